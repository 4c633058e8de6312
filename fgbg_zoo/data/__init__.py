"""Data sets: the interface, the embedded scenes, folders of pictures, and the reading and writing of pictures."""

from __future__ import annotations

from fgbg_zoo.data.base import Dataset as Dataset
from fgbg_zoo.data.base import Sample as Sample
from fgbg_zoo.data.base import open_dataset as open_dataset

__all__ = ["Dataset", "Sample", "open_dataset"]
