"""Data sets in the layouts of their original archives, with the splits and crops of the layered-GAN papers."""
