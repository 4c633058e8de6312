"""Reading a concept's attention off a U-Net's cross-attention, without a tensor of probabilities.

In each cross-attention layer the queries and the keys get channels of zeros, which change no score, and the values get
a channel that is the concept's weight of each token. What the fused kernel gives in that channel is the attention that
the query pays to the concept. Self-attention is left alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import Final

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from fgbg_zoo.errors import InputError

_FURTHER: Final = 8  # channels: fused kernels want a multiple of 8


class Capture:
    """Adds up what the cross-attention layers of a U-Net pay to a concept, for each picture, by the layers' sizes.

    Attributes:
        sums: side -> (P,side*side) float32: summed over the layers of that side, each a mean over heads, and over the
            forwards of each picture.
        owners: (B,) which picture each forward of the batch is of.
        layers: how many layers there are, of each side.
    """

    def __init__(self) -> None:
        self.sums: dict[int, Tensor] = {}
        self.owners = torch.empty(0, dtype=torch.long)
        self.layers: dict[int, int] = {}

    def begin(self, owners: Tensor, pictures: int) -> None:
        """Forget what was captured; ``owners`` (B,) says which of the pictures each forward of a batch is of."""
        self.owners = owners
        for side in self.layers:
            if side in self.sums and len(self.sums[side]) == pictures:
                self.sums[side].zero_()
            else:
                self.sums[side] = torch.zeros(pictures, side * side, device=owners.device)

    def add(self, side: int, attention: Tensor) -> None:
        """Add (B,heads,N), what a layer pays to the concept."""
        self.sums[side].index_add_(0, self.owners, attention.mean(1, dtype=torch.float32))

    def maps(self, side: int, mode: str = "nearest") -> Tensor:
        """(P,side,side): the sum over all layers, each brought to ``side``.

        Resizing is linear, so layers of one size are summed before it.
        """
        total = None
        for own, flat in self.sums.items():
            small = rearrange(flat, "b (h w) -> b 1 h w", h=own)
            antialias = {} if mode == "nearest" else {"align_corners": False}
            large = small if own == side else F.interpolate(small, (side, side), mode=mode, **antialias)
            total = large if total is None else total + large
        assert total is not None, "the U-Net has cross-attention"
        return total[:, 0]


@contextlib.contextmanager
def capturing(
    unet: Any, context: Tensor, weights: Tensor | None, side: int, sides: Sequence[int] = ()
) -> Iterator[Capture]:
    """Let a U-Net's cross-attention attend to one prompt, and capture the attention to a concept, within a block.

    The prompt's keys and values are computed once; what the U-Net is called with as ``encoder_hidden_states`` is not
    looked at meanwhile.

    Args:
        unet: diffusers' ``UNet2DConditionModel``.
        context: (1,L,D), the prompt.
        weights: (L,) the concept's weight of each token; ``None`` to capture nothing.
        side: of the latents, in cells.
        sides: the layers' sizes to capture; empty for all.

    Raises:
        InputError: if no layer has one of the sizes.
    """
    there = attention_sides(unet, side)
    if missing := sorted(set(sides) - there.keys()):
        named = ", ".join(map(str, sorted(there)))
        raise InputError(f"No cross-attention of the U-Net has {missing[0]} cells a side; they have {named}.")
    before = dict(unet.attn_processors)
    capture, processors = Capture(), {}
    for name, processor in before.items():
        layer = unet.get_submodule(name.removesuffix(".processor"))
        if not layer.is_cross_attention:
            processors[name] = processor
            continue
        own = _side(unet, name, side)
        captured = weights is not None and (not sides or own in sides)
        processors[name] = _Concept(layer, context, weights, capture if captured else None, own)
        if captured:
            capture.layers[own] = capture.layers.get(own, 0) + 1
    unet.set_attn_processor(processors)
    try:
        yield capture
    finally:
        unet.set_attn_processor(before)


class _Concept:
    """A cross-attention layer's processor, as diffusers calls it."""

    def __init__(self, layer: Any, context: Tensor, weights: Tensor | None, capture: Capture | None, side: int) -> None:
        self.capture, self.side = capture, side
        self.key, self.value = (_heads(part(context), layer.heads) for part in (layer.to_k, layer.to_v))
        self.width = self.key.shape[-1]
        if capture is not None and weights is not None:
            concept = weights.to(self.value)[None, None, :, None].expand(1, layer.heads, -1, 1)
            self.key = _padded(self.key, _FURTHER)
            self.value = torch.cat([self.value, _padded(concept, _FURTHER - 1)], -1)

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        query = _heads(attn.to_q(hidden_states), attn.heads)
        if self.capture is not None:
            query = _padded(query, _FURTHER)
        key, value = (part.expand(len(query), -1, -1, -1) for part in (self.key, self.value))
        out = F.scaled_dot_product_attention(query, key, value, scale=self.width**-0.5)
        if self.capture is not None:
            self.capture.add(self.side, out[..., self.width])
        merged = rearrange(out[..., : self.width], "b heads n d -> b n (heads d)")
        for layer in attn.to_out:
            merged = layer(merged)
        result: Tensor = merged / attn.rescale_output_factor
        return result


def attention_sides(unet: Any, side: int) -> dict[int, int]:
    """The sizes of a U-Net's cross-attention layers, and how many there are of each."""
    found: dict[int, int] = {}
    for name in unet.attn_processors:
        if unet.get_submodule(name.removesuffix(".processor")).is_cross_attention:
            own = _side(unet, name, side)
            found[own] = found.get(own, 0) + 1
    return found


def _side(unet: Any, name: str, side: int) -> int:
    """The size of a layer's maps; halvings round up."""
    levels: int = len(unet.config["block_out_channels"])
    return -(-side // int(2 ** _level(name, levels)))


def _level(name: str, levels: int) -> int:
    """How many halvings a layer of diffusers' U-Net is below the latents."""
    kind, _, rest = name.partition(".")
    if kind == "mid_block":
        return levels - 1
    number = int(rest.split(".", 1)[0])
    return number if kind == "down_blocks" else levels - 1 - number


def _heads(x: Tensor, heads: int) -> Tensor:
    return rearrange(x, "b n (heads d) -> b heads n d", heads=heads)


def _padded(x: Tensor, channels: int) -> Tensor:
    return F.pad(x, (0, channels))
