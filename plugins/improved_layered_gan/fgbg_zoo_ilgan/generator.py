"""The layered generator of both papers: a background network, and one for the foreground and its mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from typing import Final

import torch
from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from pydantic import field_validator
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from fgbg_zoo.interfaces import Generator
from fgbg_zoo.interfaces import Layers
from fgbg_zoo.nn.stylegan2 import Mapping
from fgbg_zoo.nn.stylegan2 import Noise
from fgbg_zoo.nn.stylegan2 import Synthesis
from fgbg_zoo.nn.stylegan2 import resolutions
from fgbg_zoo_ilgan.inputs import check_inputs
from fgbg_zoo_ilgan.perturbation import shift as shifted

_BATCH: Final = 32
"""Pictures that `LayeredGenerator.generate` makes at once, whatever their number."""


class GeneratorArchitecture(BaseModel):
    """The layered generator. Everything here is in a snapshot's ``config.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    resolution: int = Field(64, ge=8, le=1024, description="side of the pictures, a power of two")
    z_dim: int = Field(512, ge=1, le=4096, description="length of the latent code")
    w_dim: int = Field(512, ge=1, le=4096, description="length of the styles")
    c_dim: int = Field(0, ge=0, le=4096, description="categories of the foreground's private code; 0 for none")
    c_continuous: int = Field(0, ge=0, le=4096, description="continuous parts of it, uniform in [-1,1]")
    shared_z: bool = Field(True, description="false: background and foreground have codes of their own")
    mapping_layers: int = Field(8, ge=1, le=32, description="layers of each mapping network")
    mapping_lr: float = Field(0.01, gt=0, le=1, description="how much slower than the rest they learn")
    channel_base: int = Field(16384, ge=64, le=2**18, description="channels at a resolution R are channel_base / R,")
    channel_max: int = Field(256, ge=1, le=1024, description="but no more than this")
    half_resolutions: int = Field(
        0, ge=0, le=9, description="how many of the highest may be computed in half precision"
    )
    clamp: float | None = Field(None, gt=0, description="largest activation, which half precision needs; null for none")
    bounded: bool = Field(False, description="colours through tanh; unbounded in the papers")
    mask_gain: float = Field(1.0, gt=0, description="the mask is sigmoid(mask_gain * logit); 1 in the papers")
    mask_side: int | None = Field(
        None, ge=2, description="the mask's logit is averaged down to this side and drawn up again; null: as it is"
    )
    mask_prior: float = Field(
        0.0, ge=0, description="height of a fixed blob, 1 in the middle and -0.96 at the corners, added to the logit"
    )
    mask_margin: int = Field(0, ge=0, description="width in pixels of a frame in which the mask is 0")
    colour_gain: float = Field(1.0, gt=0, description="colours are multiplied by this; 1 in the papers")
    background_max: int | None = Field(
        None, ge=1, description="channels of the background's network at most; null: channel_max"
    )

    def model_post_init(self, context: object) -> None:
        """Check what fits together."""
        if self.channel_base < self.resolution:
            raise ValueError(f"channel_base {self.channel_base} leaves no channels at resolution {self.resolution}")

    @field_validator("resolution")
    @classmethod
    def _a_power_of_two(cls, resolution: int) -> int:
        resolutions(resolution)
        return resolution


class LayeredGenerator(nn.Module, Generator):
    """Latent codes to a background, a foreground and its mask.

    Two StyleGAN2 generators without shared weights get the same z; the second one has a fourth channel, the mask's
    logit. A private code, of the improved layered GAN, reaches the foreground alone.

    Args:
        **architecture: the fields of `GeneratorArchitecture`.
    """

    blob: Tensor
    frame: Tensor

    def __init__(self, **architecture: Any) -> None:
        super().__init__()
        self.architecture = a = GeneratorArchitecture(**architecture)
        widths: dict[str, Any] = {"channel_base": a.channel_base, "channel_max": a.channel_max}
        half: dict[str, Any] = {"half_resolutions": a.half_resolutions, "clamp": a.clamp}
        narrow = widths if a.background_max is None else {**widths, "channel_max": a.background_max}
        self.synthesis_bg = Synthesis(a.w_dim, a.resolution, 3, **narrow, **half)
        self.synthesis_fg = Synthesis(a.w_dim, a.resolution, 4, **widths, **half)
        self.mapping_bg = Mapping(a.z_dim, a.w_dim, a.mapping_layers, lr=a.mapping_lr)
        self.mapping_fg = Mapping(a.z_dim, a.w_dim, a.mapping_layers, a.c_dim + a.c_continuous, lr=a.mapping_lr)
        self.register_buffer("blob", _blob(a.resolution), persistent=False)
        self.register_buffer("frame", _frame(a.resolution, a.mask_margin), persistent=False)

    def forward(
        self,
        z: Tensor,
        *,
        c: Tensor | None = None,
        noise: Noise = "const",
        truncation: float = 1.0,
        shift: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Layers:
        """Codes (B,`code_length`) to layers in the network's range: colours nominally in [-1,1], but unbounded.

        Args:
            z: of the standard normal distribution.
            c: the private code (B,c_dim + c_continuous); drawn if the generator has one and it is left out.
            noise: the stored per-pixel noise, fresh, or none.
            truncation: 1 for none; less draws the styles towards their mean.
            shift: (B,2) whole pixels, right and down, by which foreground and mask are moved; zeros come in.
            dtype: of the blocks of half precision.

        Raises:
            InputError: for a shape, a type or a value that it has no use for.
        """
        check_inputs(z, c, noise, truncation, shift, codes=self.code_length, private=self.private_length)
        if c is None and self.private_length:
            c = self.draw(len(z), device=z.device)[1]
        z_bg, z_fg = (z, z) if self.architecture.shared_z else z.chunk(2, 1)
        background = self.synthesis_bg(self.mapping_bg(z_bg, truncation=truncation), noise, dtype)
        front = self.synthesis_fg(self.mapping_fg(z_fg, c, truncation), noise, dtype)
        foreground, mask = front[:, :3], self._mask(front[:, 3:])
        if (gain := self.architecture.colour_gain) != 1:
            background, foreground = background * gain, foreground * gain
        if self.architecture.bounded:
            background, foreground = background.tanh(), foreground.tanh()
        if shift is not None:
            moved = shifted(torch.cat([foreground, mask], 1), shift.long())
            foreground, mask = moved[:, :3], moved[:, 3:]
        return Layers((1 - mask) * background + mask * foreground, foreground, background, mask)

    def _mask(self, logit: Tensor) -> Tensor:
        """The logit (B,1,R,R) that the network gave to the mask, by the options of the architecture."""
        a = self.architecture
        if a.mask_side is not None:
            coarse = F.adaptive_avg_pool2d(logit, a.mask_side)
            logit = F.interpolate(coarse, (a.resolution, a.resolution), mode="bilinear", align_corners=False)
        logit = logit * a.mask_gain
        if a.mask_prior:
            logit = logit + a.mask_prior * self.blob
        mask = logit.sigmoid()
        return mask * self.frame if a.mask_margin else mask

    @property
    def code_length(self) -> int:
        """How many numbers `forward` takes as z."""
        return self.architecture.z_dim * (1 if self.architecture.shared_z else 2)

    @property
    def private_length(self) -> int:
        """And as c."""
        return self.architecture.c_dim + self.architecture.c_continuous

    def draw(
        self, n: int, generator: torch.Generator | None = None, device: torch.device | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Codes z (n,`code_length`) and private codes (n,c_dim + c_continuous), drawn on a device.

        Categories are one-hot and equally likely, continuous parts uniform in [-1,1]. ``device`` is the random
        generator's, if one is given.
        """
        device = device if generator is None else generator.device
        options: dict[str, Any] = {"generator": generator, "device": device}
        z = torch.randn(n, self.code_length, **options)
        parts = []
        if count := self.architecture.c_dim:
            parts.append(F.one_hot(torch.randint(count, (n,), **options), count).float())
        if count := self.architecture.c_continuous:
            parts.append(2 * torch.rand(n, count, **options) - 1)
        return z, torch.cat(parts, 1) if parts else None

    def generate(
        self,
        n: int,
        *,
        seed: int = 0,
        images: Tensor | None = None,
        backgrounds: Tensor | None = None,
        truncation: float = 1.0,
        noise: Noise = "const",
        **options: Any,
    ) -> Layers:
        """Make layered pictures from noise.

        Args:
            n: how many.
            seed: of the codes, which do not depend on ``n``.
            images: none.
            backgrounds: none.
            truncation: 1 for none; less gives more typical, less various pictures.
            noise: ``"const"`` (stored with the weights), ``"random"`` or ``"none"``.
            **options: none.

        Returns:
            Layers in [0,1]: colours clamped after the composition, as the papers' code does.
        """
        return concatenated(list(self.stream(n, seed=seed, truncation=truncation, noise=noise)))

    def stream(self, n: int, *, seed: int, truncation: float = 1.0, noise: Noise = "const") -> Iterator[Layers]:
        """What `generate` gives, in parts; the memory that it takes does not depend on ``n``."""
        weight = self.synthesis_bg.get_submodule("b4").const
        assert isinstance(weight, Tensor)
        device, dtype = weight.device, weight.dtype
        codes, seeds = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
        for start in range(0, n, _BATCH):
            z, c = self.draw(_BATCH, codes)
            # Of the per-pixel noise; each part has its own, as the caller may draw random numbers between two parts.
            own = int(torch.randint(2**63 - 1, (), generator=seeds))
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(own)
                code = None if c is None else c.to(device)
                layers = self(z.to(device), c=code, noise=noise, truncation=truncation, dtype=dtype)
            yield in_unit_range(layers[: n - start])


def in_unit_range(layers: Layers) -> Layers:
    """Layers whose colours are nominally in [-1,1], brought to [0,1] and clamped."""
    colours = (((part + 1) / 2).clamp(0, 1) for part in (layers.image, layers.foreground, layers.background))
    image, foreground, background = colours
    return Layers(image, foreground, background, layers.mask)


def concatenated(parts: list[Layers]) -> Layers:
    """The layers of all parts."""
    return Layers(
        torch.cat([part.image for part in parts]),
        torch.cat([part.foreground for part in parts]),
        torch.cat([part.background for part in parts]),
        torch.cat([part.mask for part in parts]),
    )


def _blob(resolution: int) -> Tensor:
    """(1,R,R): 1 in the middle, -0.73 at the middle of a side, -0.96 at the corners."""
    place = torch.linspace(-1, 1, resolution)
    return 2 * torch.exp(-2 * (place[:, None] ** 2 + place[None] ** 2))[None] - 1


def _frame(resolution: int, margin: int) -> Tensor:
    """(1,R,R): 0 in a frame of some pixels, 1 within."""
    frame = torch.zeros(1, resolution, resolution)
    frame[:, margin : resolution - margin, margin : resolution - margin] = 1
    return frame
