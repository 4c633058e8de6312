from pathlib import Path

import torch
from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from torch import nn

from fgbg_zoo import Generator
from fgbg_zoo import Layers
from fgbg_zoo import Segmenter
from fgbg_zoo import Trainer
from fgbg_zoo.weights import write_snapshot


class Toy(nn.Module, Segmenter, Generator):
    """Brightness is foreground; what is generated is noise on noise."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def segment(self, images, *, concept="light", gain=1.0, hard_edges=False):
        light = images.mean(1, keepdim=True) * gain + self.bias
        masks = (light if concept == "light" else 1 - light).clamp(0, 1)
        return masks.round() if hard_edges else masks

    def generate(self, n, *, seed=0, images=None, backgrounds=None, tint=0.0):
        noise = torch.rand(n, 7, 32, 32, generator=torch.Generator().manual_seed(seed))
        mask, foreground, background = noise[:, :1], noise[:, 1:4] * (1 - tint), noise[:, 4:]
        return Layers(mask * foreground + (1 - mask) * background, foreground, background, mask)


class Paste(nn.Module, Generator):
    inputs = ("images", "backgrounds")

    def generate(self, n, *, seed=0, images=None, backgrounds=None, tint=0.0):
        mask = images.mean(1, keepdim=True)
        image = mask * images + (1 - mask) * backgrounds
        return Layers(image, images, backgrounds, mask, {"removed": images * (1 - mask)})


class NotANumber(nn.Module, Segmenter):
    def segment(self, images, **options):
        return images[:, :1] * float("nan")


class Hungry(nn.Module, Segmenter):
    def segment(self, images, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


class ToySettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    steps: int = Field(10, ge=1, description="how long")
    seed: int = 0
    device: str = "cpu"
    learning_rate: float = Field(1e-3, gt=0)
    flip: bool = True
    widths: tuple[int, ...] = (8, 16)
    limit: int | None = None


class ToyTrainer(Trainer):
    Settings = ToySettings

    def fit(self, data, out, *, resume=True, on_event=None) -> Path:
        used = ToySettings(**self.settings)
        network = Toy()
        network.bias.data += 0.25
        training = {**used.model_dump(mode="json"), "preset": self.preset, "resume": resume, "pictures": len(data)}
        return write_snapshot(Path(out) / "snapshot", network, method="toy", architecture={}, training=training)
