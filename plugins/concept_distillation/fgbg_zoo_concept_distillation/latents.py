"""The latents of a data set's pictures, encoded once and kept in a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from safetensors.torch import save
from torch import Tensor

from fgbg_zoo.data import Dataset
from fgbg_zoo.errors import DataError
from fgbg_zoo.files import replacing
from fgbg_zoo.training.events import progress_bar

_BATCH = 64


@dataclass(frozen=True)
class Latents:
    """Pictures as latents.

    Attributes:
        values: (N,C,h,w) float16.
        captions: of each picture; empty texts where it has none.
    """

    values: Tensor
    captions: list[str]

    def scaled(self, scale: float) -> Latents:
        """The same, multiplied."""
        return Latents(self.values * scale, self.captions)

    def __len__(self) -> int:
        return len(self.values)


def cached_latents(encode: Callable[[Tensor], Tensor], data: Dataset, folder: Path, key: str) -> Latents:
    """Encode the pictures of a data set, or take what an earlier call with the same key and data left in a folder.

    Args:
        encode: (B,3,H,W) in [0,1] to latents.
        data: pictures of one size.
        folder: where the latents are kept.
        key: what tells the encoder from others.

    Raises:
        OutputError: if the folder cannot be written.
    """
    name = hashlib.sha256(f"{key}/{data.fingerprint()}".encode()).hexdigest()[:16]
    path = folder / f"{name}.safetensors"
    captions = path.with_suffix(".json")
    if path.is_file() and captions.is_file():
        return Latents(load_file(path)["latents"], json.loads(captions.read_text(encoding="utf-8")))
    parts, texts = [], []
    with torch.no_grad(), progress_bar("latents", len(data)) as move:
        for start in range(0, len(data), _BATCH):
            samples = [data[index] for index in range(start, min(start + _BATCH, len(data)))]
            parts.append(encode(torch.stack([sample.image for sample in samples])).half().cpu())
            texts += [sample.caption or "" for sample in samples]
            move(len(texts))
    values = torch.cat(parts)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(captions) as target:
        target.write(json.dumps(texts).encode())
    with replacing(path) as target:  # last: what is there is complete
        target.write(save({"latents": values}))
    return Latents(values, texts)


def check_captioned(data: Dataset) -> None:
    """Refuse a data set without captions.

    Raises:
        DataError: naming it.
    """
    if len(data) == 0 or not data[0].caption:
        raise DataError(
            f"The pictures of '{data.name}' have no captions, and a foundation model learns from captions; fine-tune "
            "one that there is: --set pipeline=FOLDER."
        )
