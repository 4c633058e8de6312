"""Improved Layered GAN for fgbg_zoo."""
