"""What a method implements (Generator, Segmenter, Trainer) and what a user holds (Layers, Model)."""

from __future__ import annotations

from abc import ABC
from abc import abstractmethod
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any
from typing import ClassVar

import torch
from torch import Tensor
from torch import nn

from fgbg_zoo.checks import check_images
from fgbg_zoo.checks import check_options
from fgbg_zoo.checks import check_per_picture
from fgbg_zoo.devices import memory_guard
from fgbg_zoo.errors import InputError
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.errors import PluginError

if TYPE_CHECKING:
    from fgbg_zoo.data import Dataset
    from fgbg_zoo.spec import MethodSpec
    from fgbg_zoo.spec import ModelSpec

Event = Mapping[str, Any]
"""What a trainer reports: ``kind`` (``"step"``, ``"sample"``, ``"checkpoint"``, ``"done"``), ``step`` and values."""


@dataclass(frozen=True)
class Layers:
    """Pictures taken apart, or about to be put together.

    Attributes:
        image: (B,3,H,W) in [0,1], the finished picture.
        foreground: (B,3,H,W) in [0,1].
        background: (B,3,H,W) in [0,1], complete: also where the foreground hides it.
        mask: (B,1,H,W) in [0,1], the foreground's share of each pixel.
        extras: further tensors with the same first axis, by name (SEIGAN: ``removed``, the inpainted source).
    """

    image: Tensor
    foreground: Tensor
    background: Tensor
    mask: Tensor
    extras: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.image)
        sizes = {name: len(value) for name, value in self._tensors().items() if len(value) != n}
        if sizes:
            raise InputError(f"Layers of {n} pictures hold tensors of other lengths: {sizes}.")

    def compose(self) -> Tensor:
        """(B,3,H,W): ``mask * foreground + (1 - mask) * background``."""
        return self.mask * self.foreground + (1 - self.mask) * self.background

    def to(self, *args: Any, **kwargs: Any) -> Layers:
        """The same layers on another device or in another type, as ``Tensor.to``."""
        return self._map(lambda tensor: tensor.to(*args, **kwargs))

    def save(self, folder: str | Path, *, start: int = 0) -> Path:
        """Write each layer as PNG files ``<layer>/<number>.png`` (8 bit) under a folder, and give the folder.

        Args:
            folder: where.
            start: the first picture's number, for pictures that are made batch by batch.
        """
        from fgbg_zoo.data.pictures import write_png

        folder = Path(folder)
        for name, tensor in self._tensors().items():
            for number, picture in enumerate(tensor, start):
                write_png(picture, folder / name / f"{number:05d}.png")
        return folder

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: int | slice | Tensor) -> Layers:
        """The layers of some pictures; a single index keeps the batch axis."""
        if isinstance(index, int):
            if not -len(self) <= index < len(self):
                raise IndexError(f"picture {index} of {len(self)}")
            index = slice(index, index + 1 or None)
        return self._map(lambda tensor: tensor[index])

    def __iter__(self) -> Iterator[Layers]:
        return (self[index] for index in range(len(self)))

    def _tensors(self) -> dict[str, Tensor]:
        named = {"image": self.image, "foreground": self.foreground, "background": self.background, "mask": self.mask}
        return {**named, **self.extras}

    def _map(self, function: Callable[[Tensor], Tensor]) -> Layers:
        mapped = {name: function(tensor) for name, tensor in self._tensors().items()}
        fields = {name: mapped.pop(name) for name in ("image", "foreground", "background", "mask")}
        return Layers(**fields, extras=mapped)


class Generator(ABC):
    """Something that makes layered pictures."""

    inputs: ClassVar[tuple[str, ...]] = ()
    """The pictures it needs: ``()`` or ``("images", "backgrounds")``."""

    @abstractmethod
    def generate(
        self, n: int, *, seed: int = 0, images: Tensor | None = None, backgrounds: Tensor | None = None, **options: Any
    ) -> Layers:
        """Make ``n`` layered pictures; the same seed on the same device gives the same pictures."""


class Segmenter(ABC):
    """Something that finds the foreground."""

    @abstractmethod
    def segment(self, images: Tensor, **options: Any) -> Tensor:
        """(B,3,H,W) in [0,1] of any size to (B,1,H,W) in [0,1]: the probability of foreground.

        What it gives for a picture must not depend on the other pictures of the batch.
        """


class Trainer(ABC):
    """Something that makes a snapshot from a data set."""

    Settings: ClassVar[type[Any]]
    """A pydantic model of the training's settings: what the command line's ``--set`` and a preset may change."""

    def __init__(self, preset: str | None = None, **settings: Any) -> None:
        self.preset = preset
        self.settings = settings

    @abstractmethod
    def fit(
        self, data: Dataset, out: str | Path, *, resume: bool = True, on_event: Callable[[Event], None] | None = None
    ) -> Path:
        """Train on a data set and give the path of a snapshot that `load` takes, ``<out>/snapshot``.

        A run that was interrupted goes on where its last checkpoint was, unless ``resume`` is false.
        """


class Model:
    """A method with weights, ready to use: what `load` gives.

    Attributes:
        spec: what the registry says of it.
        method: what the registry says of its method.
        network: the whole module.
        config: the snapshot's ``config.json``.
        device: where it runs.
        dtype: what it computes in.
    """

    def __init__(
        self,
        spec: ModelSpec,
        method: MethodSpec,
        network: nn.Module,
        config: Mapping[str, Any],
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.spec = spec
        self.method = method
        self.config = dict(config)
        self.device = device
        self.dtype = dtype
        self.network = network.to(device=device, dtype=dtype).eval().requires_grad_(False)

    @property
    def segmenter(self) -> nn.Module | None:
        """The module that segments, or ``None``."""
        return parts(self.network).get("segment")

    @property
    def generator(self) -> nn.Module | None:
        """The module that generates, or ``None``."""
        return parts(self.network).get("generate")

    @torch.inference_mode()
    def segment(self, images: Tensor, **options: Any) -> Tensor:
        """Find the foreground.

        Args:
            images: (B,3,H,W) float in [0,1], any H and W, on any device.
            **options: those that the method declares as ``segment_options``; the spec may have defaults of its own.

        Returns:
            (B,1,H,W) float32 in [0,1] on the model's device.

        Raises:
            InputError: for pictures of another shape, type or range, or with NaN.
            UnknownOptionError: for an option that the method does not declare.
            NotAvailableError: if the model does not segment.
        """
        segmenter = parts(self.network).get("segment")
        if segmenter is None:
            raise NotAvailableError(f"'{self.spec.name}' does not segment; it can: {self._can()}.")
        check_images(images, "images")
        options = {**self.spec.segment_defaults, **options}
        options = check_options(options, self.method.segment_options, f"segment of '{self.method.name}'")
        check_per_picture(options, self.method.segment_options, len(images))
        with memory_guard(f"segmenting {_sizes(images)}", "Give fewer pictures at a time, or smaller ones."):
            masks: Tensor = segmenter.segment(images.to(self.device, self.dtype), **options)
        b, _, h, w = images.shape
        if tuple(masks.shape) != (b, 1, h, w):
            raise PluginError(f"'{self.spec.name}' gave masks {tuple(masks.shape)} for {_sizes(images)}; report it.")
        return masks.float().clamp(0, 1)

    @torch.inference_mode()
    def generate(
        self,
        n: int | None = None,
        *,
        seed: int = 0,
        images: Tensor | None = None,
        backgrounds: Tensor | None = None,
        **options: Any,
    ) -> Layers:
        """Make layered pictures.

        Args:
            n: how many; as many as there are pictures if left out.
            seed: of the noise, from 0 to 2**63 - 1; the same seed on the same device gives the same pictures.
            images: (n,3,H,W) float in [0,1], for a generator whose ``inputs`` name them.
            backgrounds: (n,3,H,W) float in [0,1], likewise.
            **options: those that the method declares as ``generate_options``.

        Returns:
            Layers of float32 tensors in [0,1] on the model's device.

        Raises:
            InputError: for an ``n`` below 1, or pictures that are missing, not asked for, or malformed.
            UnknownOptionError: for an option that the method does not declare.
            NotAvailableError: if the model does not generate.
            PluginError: if it makes another number of pictures, or layers of several sizes.
        """
        generator = parts(self.network).get("generate")
        if generator is None:
            raise NotAvailableError(f"'{self.spec.name}' does not generate; it can: {self._can()}.")
        if n is None and isinstance(given := images if images is not None else backgrounds, Tensor) and given.dim():
            n = len(given)
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise InputError(f"generate makes n >= 1 pictures, not {n!r}.")
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise InputError(f"seed must be an integer from 0 to 2**63 - 1, not {seed!r}.")
        options = check_options(options, self.method.generate_options, f"generate of '{self.method.name}'")
        sources = {"images": images, "backgrounds": backgrounds}
        pictures = {
            name: self._pictures(name, value, n, needed=name in generator.inputs) for name, value in sources.items()
        }
        with memory_guard(f"generating {n} pictures", "Make fewer at a time."):
            layers: Layers = generator.generate(n, seed=seed, **pictures, **options)
        self._check(layers, n)
        return layers._map(lambda tensor: tensor.float().clamp(0, 1))

    def _pictures(self, name: str, value: Tensor | None, n: int, *, needed: bool) -> Tensor | None:
        if not needed:
            if value is not None:
                raise InputError(f"'{self.spec.name}' generates without {name}; leave them out.")
            return None
        if value is None:
            raise InputError(f"'{self.spec.name}' generates from pictures: give {name}= as (n,3,H,W) in [0,1].")
        check_images(value, name)
        if len(value) != n:
            raise InputError(f"generate({n}) needs {n} {name}, got {len(value)}.")
        return value.to(self.device, self.dtype)

    def _check(self, layers: Layers, n: int) -> None:
        size = layers.image.shape[-2:]
        for part, channels in (("image", 3), ("foreground", 3), ("background", 3), ("mask", 1)):
            shape = tuple(getattr(layers, part).shape)
            if shape != (n, channels, *size):
                raise PluginError(f"'{self.spec.name}' gave a layer '{part}' {shape} for {n} pictures; report it.")

    def _can(self) -> str:
        return ", ".join(parts(self.network)) or "nothing"

    def __repr__(self) -> str:
        return f"Model({self.spec.name!r}, {self._can()}, device={str(self.device)!r}, dtype={self.dtype})"


def parts(network: nn.Module) -> dict[str, Any]:
    """What a network can do, from ``"segment"`` and ``"generate"``, and which of its modules does it.

    That is its attribute ``segmenter`` or ``generator``, or else the network itself.
    """
    found: dict[str, Any] = {}
    named: tuple[tuple[str, str, type[Any]], ...] = (
        ("segment", "segmenter", Segmenter),
        ("generate", "generator", Generator),
    )
    for verb, attribute, kind in named:
        part = getattr(network, attribute, None)
        if isinstance(part, kind) or isinstance(part := network, kind):
            found[verb] = part
    return found


def _sizes(images: Tensor) -> str:
    b, _, h, w = images.shape
    return f"{b} {'picture' if b == 1 else 'pictures'} of {h}x{w}"
