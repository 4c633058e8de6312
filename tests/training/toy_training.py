"""Tiny tasks and pictures to train on, in this process or, as a script, in one of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch import nn

from fgbg_zoo.data.base import Dataset
from fgbg_zoo.data.base import Sample
from fgbg_zoo.errors import FgbgZooError
from fgbg_zoo.training import Batch
from fgbg_zoo.training import LoopSettings
from fgbg_zoo.training import Phase
from fgbg_zoo.training import Task
from fgbg_zoo.training import fit
from fgbg_zoo.training import seed_everything


class Pictures(Dataset):
    """``length`` pictures of noise, each a function of its index; of uneven sizes on request."""

    name, split, size = "pictures", "train", 8

    def __init__(self, length: int = 23, *, uneven: bool = False) -> None:
        self.length, self.uneven = length, uneven

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.length:
            raise IndexError(index)
        side = 8 + index if self.uneven else 8
        generator = torch.Generator().manual_seed(index)
        return Sample(image=torch.rand(3, side, side, generator=generator), name=str(index))

    def fingerprint(self) -> str:
        return f"pictures-{self.length}"


class ToyGan(Task):
    """A masker with batch norm and dropout against a critic; two phases, a lazy third, a pool of fakes."""

    ema = ("masker",)

    def __init__(self, seed: int = 0) -> None:
        seed_everything(seed)
        self.masker = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.LeakyReLU(), nn.Dropout(0.2), nn.Conv2d(8, 1, 1)
        )
        self.critic = nn.Sequential(nn.Conv2d(3, 8, 4, 2, 1), nn.LeakyReLU(), nn.Flatten(), nn.Linear(128, 1))
        self.modules = {"masker": self.masker, "critic": self.critic}
        self.optimizers = {
            "masker": torch.optim.Adam(self.masker.parameters(), 1e-3),
            "critic": torch.optim.Adam(self.critic.parameters(), 1e-3),
        }
        self.schedulers = {"masker": torch.optim.lr_scheduler.ExponentialLR(self.optimizers["masker"], 0.999)}
        self.pool = torch.zeros(4, 3, 8, 8)
        self.pooled = 0

    def phases(self) -> list[Phase]:
        return [
            Phase("masker", ("masker",), "masker", self.masker_loss),
            Phase("critic", ("critic",), "critic", self.critic_loss),
            Phase("r1", ("critic",), "critic", self.r1_loss, every=4),
        ]

    def prepare_batch(self, batch: Batch, step: int) -> Batch:
        flip = torch.rand(len(batch["objects"]), 1, 1, 1, device=batch["objects"].device) < 0.5
        return {**batch, "objects": torch.where(flip, batch["objects"].flip(-1), batch["objects"])}

    def masker_loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        mask = self.masker(batch["objects"]).float().sigmoid()
        batch["fake"] = mask * batch["objects"] + (1 - mask) * batch["backgrounds"]
        loss = -self.critic(batch["fake"]).float().mean() + (mask.mean() - 0.4).square()
        return loss, {"mask_area": mask.mean((1, 2, 3))}

    def critic_loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        fake = batch["fake"].detach()
        self.pool[self.pooled % 4] = fake[0].cpu()
        self.pooled += 1
        pooled = self.pool[torch.randint(4, (1,))].to(fake.device)
        real, made = self.critic(batch["objects"]), self.critic(torch.cat([fake, pooled]))
        return (1 - real).relu().mean() + (1 + made).relu().mean(), {"real": real.mean()}

    def r1_loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        images = batch["objects"].detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.critic(images).sum(), images, create_graph=True)
        return gradient.float().square().sum((1, 2, 3)).mean(), {}

    def sample(self, modules: Mapping[str, nn.Module]) -> Tensor:
        mask: Tensor = modules["masker"](torch.rand(1, 3, 8, 8)).sigmoid()
        return mask[0].expand(3, -1, -1)

    def evaluate(self, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        return {"val_area": float(modules["masker"](torch.rand(2, 3, 8, 8)).sigmoid().mean())}

    def state_dict(self) -> dict[str, Any]:
        return {"pool": self.pool, "pooled": self.pooled}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.pool, self.pooled = state["pool"], state["pooled"]


class Regression(Task):
    """One linear layer that learns the mean brightness: no batch statistics, no noise."""

    def __init__(self, lr: float = 0.01) -> None:
        seed_everything(3)
        self.modules = {"net": nn.Linear(192, 1)}
        self.optimizers = {"net": torch.optim.SGD(self.modules["net"].parameters(), lr)}

    def phases(self) -> list[Phase]:
        return [Phase("fit", ("net",), "net", self.loss)]

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        images = batch["images"]
        error = (self.modules["net"](images.flatten(1)).squeeze(1) - images.mean((1, 2, 3))).square().mean()
        return error, {}


def gan_streams() -> dict[str, Dataset]:
    return {"objects": Pictures(23), "backgrounds": Pictures(10)}


def weights(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return {f"{m}.{k}": v.clone() for m, module in modules.items() for k, v in module.state_dict().items()}


def train_gan(out: str, **settings: Any) -> None:
    """Train a `ToyGan` to the end, leave ``final.pt``, or exit as the command line does and leave ``error.txt``."""
    torch.set_num_threads(1)
    chosen = LoopSettings(**settings)
    try:
        result = fit(ToyGan(chosen.seed), gan_streams(), out, chosen)
    except FgbgZooError as error:
        Path(out, "error.txt").write_text(str(error))
        sys.exit(error.exit_code)
    torch.save(weights(result.modules), os.path.join(out, "final.pt"))


def train_regression(out: str, **settings: Any) -> None:
    """Train a `Regression`; each process leaves its weights as ``rank<number>.pt``."""
    result = fit(Regression(), {"images": Pictures(40)}, out, LoopSettings(**settings))
    torch.save(weights(result.modules), os.path.join(out, f"rank{os.environ.get('RANK', '0')}.pt"))


if __name__ == "__main__":
    function, folder, *pairs = sys.argv[1:]
    {"gan": train_gan, "regression": train_regression}[function](folder, **dict(pair.split("=") for pair in pairs))
