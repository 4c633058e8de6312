"""Concept distillation for fgbg_zoo."""
