"""Estimating the statistics of batch normalisation anew, after training.

In training each network sees three kinds of inputs in turn (G_inp: the first picture without its object, the second one
without it, and a background without anything taken out), so its running averages mix the three and fit none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch import nn

from fgbg_zoo.data import Dataset
from fgbg_zoo.data.pictures import resize
from fgbg_zoo_seigan.forward import paste
from fgbg_zoo_seigan.model import SEIGAN


@torch.no_grad()
def recalibrate(networks: SEIGAN, objects: Dataset, backgrounds: Dataset, count: int, batch: int = 64) -> None:
    """Estimate the statistics of each network on what it is given in use: that of the first pass.

    Args:
        networks: in evaluation mode; changed in place. Without batch normalisation nothing changes.
        objects: pictures with an object, brought to the networks' size here.
        backgrounds: pictures without.
        count: how many of each to use; 0 leaves the statistics as they are.
        batch: pictures at a time.
    """
    total = min(count, len(objects), len(backgrounds))
    batch = min(batch, max(total, 1))
    device = next(networks.parameters()).device

    side = networks.architecture.size

    def read(data: Dataset, start: int) -> Tensor:
        pictures = torch.stack([data[index].image for index in range(start, start + batch)])
        return resize(pictures.to(device), (side, side)) * 2 - 1

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, total - total % batch, batch):
            yield read(objects, start), read(backgrounds, start)

    with _estimating(networks.g_seg):
        for x, _ in pairs():
            networks.mask(x)
    if networks.architecture.mask_only:
        return
    with _estimating(networks.g_inp), _estimating(networks.g_enh):
        for x, y in pairs():
            mask = networks.mask(x)
            networks.inpaint(x, mask)
            networks.enhance(paste(mask, x, y))


@contextmanager
def _estimating(network: nn.Module) -> Iterator[None]:
    """Let the batch normalisations of a network take plain averages over the batches that pass meanwhile."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    kept = [{name: buffer.clone() for name, buffer in norm.named_buffers()} for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    yield
    for norm, momentum, before in zip(norms, momenta, kept, strict=True):
        norm.eval()
        norm.momentum = momentum
        if norm.num_batches_tracked == 0:
            for name, buffer in before.items():
                norm.get_buffer(name).copy_(buffer)
