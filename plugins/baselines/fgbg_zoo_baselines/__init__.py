"""Baselines: the mean training mask, and GrabCut."""
