"""ILSGAN for fgbg_zoo."""
