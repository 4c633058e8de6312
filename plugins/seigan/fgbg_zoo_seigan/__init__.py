"""SEIGAN (arXiv 1811.07630): segment, enhance, inpaint, learned from unpaired pictures with and without an object."""
