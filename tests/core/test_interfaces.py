from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch import nn

from fgbg_zoo import Generator
from fgbg_zoo import Layers
from fgbg_zoo import MethodSpec
from fgbg_zoo import Model
from fgbg_zoo import ModelSpec
from fgbg_zoo import Option
from fgbg_zoo import Segmenter
from fgbg_zoo.devices import memory_guard
from fgbg_zoo.errors import DeviceError
from fgbg_zoo.errors import InputError
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.errors import PluginError
from fgbg_zoo.errors import UnknownOptionError

CPU = torch.device("cpu")


def layers(n: int = 3, **extras: Tensor) -> Layers:
    draw = torch.Generator().manual_seed(0)
    image, foreground, background = (torch.rand(n, 3, 4, 5, generator=draw) for _ in range(3))
    return Layers(image, foreground, background, torch.rand(n, 1, 4, 5, generator=draw), extras)


class Bright(nn.Module, Segmenter):
    """Takes what is bright for the foreground; keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def segment(self, images: Tensor, **options: object) -> Tensor:
        self.given = images, options
        return images.mean(1, keepdim=True) * self.weight * 1.5 - 0.1  # beyond [0,1] on both sides


class Mixer(nn.Module, Generator):
    inputs = ("images", "backgrounds")

    def generate(self, n, *, seed=0, images=None, backgrounds=None, **options):
        self.given = options
        mask = images.mean(1, keepdim=True)
        return Layers(mask * images + (1 - mask) * backgrounds, images * 2, backgrounds, mask, {"removed": images - 1})


class Noise(nn.Module, Generator):
    def generate(self, n, *, seed=0, images=None, backgrounds=None, **options):
        assert images is None
        assert backgrounds is None
        draw = torch.Generator().manual_seed(seed)
        return Layers(*(torch.rand(n, c, 4, 4, generator=draw) for c in (3, 3, 3, 1)))


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.segmenter, self.generator = Bright(), Mixer()


def model(network: nn.Module, dtype: torch.dtype = torch.float32, **method: object) -> Model:
    return Model(ModelSpec("toy-cub", "toy"), MethodSpec("toy", **method), network, {}, device=CPU, dtype=dtype)


def test_compose_is_the_formula():
    found = layers()
    for n, h, w in ((0, 0, 0), (2, 3, 4)):
        a = found.mask[n, 0, h, w]
        expected = a * found.foreground[n, :, h, w] + (1 - a) * found.background[n, :, h, w]
        assert torch.allclose(found.compose()[n, :, h, w], expected)


@given(st.data())
def test_layers_are_sliced_together(data):
    found = layers(5, removed=torch.arange(5.0))
    index = data.draw(st.one_of(st.integers(-5, 4), st.slices(5)))
    numbers = list(range(5))[index]
    numbers = [numbers] if isinstance(index, int) else numbers
    if isinstance(index, slice) and (index.step or 1) < 0:
        return  # tensors take no negative steps
    part = found[index]
    assert part.extras["removed"].tolist() == numbers
    assert torch.equal(part.mask, found.mask[numbers])
    assert len(part) == len(numbers)


def test_layers_index_and_iterate():
    found = layers(3)
    assert len(list(found)) == 3
    assert torch.equal(torch.cat([one.image for one in found]), found.image)
    assert torch.equal(found[torch.tensor([2, 0])].mask, found.mask[[2, 0]])
    for index in (3, -4):
        with pytest.raises(IndexError, match="of 3"):
            found[index]


def test_layers_move_and_keep_their_extras():
    moved = layers(2, removed=torch.rand(2, 3, 4, 5)).to(torch.float64)
    assert {moved.image.dtype, moved.mask.dtype, moved.extras["removed"].dtype} == {torch.float64}


def test_layers_of_unequal_lengths():
    with pytest.raises(InputError, match=r"Layers of 3 pictures hold tensors of other lengths: \{'removed': 2\}"):
        layers(3, removed=torch.rand(2, 3, 4, 4))


def test_layers_are_saved_as_pictures(tmp_path):
    folder = layers(2, removed=torch.rand(2, 3, 4, 5)).save(tmp_path / "out")
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    names = ("background", "foreground", "image", "mask", "removed")
    assert found == [f"{name}/0000{number}.png" for name in names for number in range(2)]
    with Image.open(folder / "mask" / "00001.png") as mask:
        assert (mask.size, mask.mode) == ((5, 4), "L")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([[1.0]], r"must be a torch tensor \(B,3,H,W\) in \[0,1\], not a list"),
        (torch.zeros(3, 4, 4), r"for a single picture give images\[None\]"),
        (torch.zeros(1, 4, 4, 3), r"must be \(B,3,H,W\) with B, H, W >= 1, not \(1, 4, 4, 3\)"),
        (torch.zeros(1, 1, 4, 4), "must be"),
        (torch.zeros(0, 3, 4, 4), "B, H, W >= 1"),
        (torch.zeros(1, 3, 0, 4), "B, H, W >= 1"),
        (torch.zeros(4, 4), "must be"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "divide 8-bit pictures by 255"),
        (torch.full((1, 3, 4, 4), 200.0), "from 200 to 200. Divide 8-bit pictures by 255"),
        (torch.full((1, 3, 4, 4), -1.0), r"Bring pictures from \[-1,1\] by \(x \+ 1\) / 2"),
        (torch.full((1, 3, 4, 4), float("nan")), "hold NaN"),
        (torch.full((1, 3, 4, 4), float("inf")), "found values from inf to inf"),
    ],
)
def test_pictures_that_are_none(images, message):
    with pytest.raises(InputError, match=message):
        model(Bright()).segment(images)


def test_a_single_nan_is_found():
    images = torch.rand(2, 3, 8, 8)
    images[1, 2, 3, 4] = float("nan")
    with pytest.raises(InputError, match="hold NaN"):
        model(Bright()).segment(images)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (64, 64)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_masks_are_float32_in_the_unit_interval(size, dtype):
    images = torch.rand(2, 3, *size, dtype=torch.float64)
    images[0] = 0
    images[1] = 1
    network = Bright()
    masks = model(network, dtype).segment(images)
    assert masks.dtype == torch.float32
    assert masks.shape == (2, 1, *size)
    assert masks[0].eq(0).all()
    assert masks[1].eq(1).all()
    assert network.given[0].dtype == dtype
    assert not masks.requires_grad


def test_masks_of_a_wrong_shape_are_the_plugins_fault():
    class Small(nn.Module, Segmenter):
        def segment(self, images, **options):
            return images[:, :1, ::2, ::2]

    with pytest.raises(PluginError, match=r"gave masks \(2, 1, 4, 3\) for 2 pictures of 8x6"):
        model(Small()).segment(torch.rand(2, 3, 8, 6))


def test_options_are_those_of_the_method():
    declared = (
        Option("concept", "str"),
        Option("mode", "str", "soft", choices=("soft", "hard")),
        Option("steps", "int", 3),
        Option("scale", "float", 1.0),
        Option("fast", "bool", False),
    )
    network = Bright()
    toy = model(network, segment_options=declared)
    images = torch.rand(1, 3, 4, 4)
    toy.segment(images)
    assert network.given[1] == {"concept": None, "mode": "soft", "steps": 3, "scale": 1.0, "fast": False}
    toy.segment(images, concept="a dog", mode="hard", scale=2, fast=True)
    assert network.given[1] == {"concept": "a dog", "mode": "hard", "steps": 3, "scale": 2, "fast": True}
    toy.segment(images, concept=None)
    wrong = {"concept": 3, "steps": 1.5, "scale": "x", "fast": 1, "mode": None}
    for name, value in wrong.items():
        with pytest.raises(InputError, match=f"Option '{name}' of segment of 'toy' must be"):
            toy.segment(images, **{name: value})
    with pytest.raises(InputError, match="must be a int, not True"):
        toy.segment(images, steps=True)
    with pytest.raises(InputError, match=r"one of \['soft', 'hard'\], not 'firm'"):
        toy.segment(images, mode="firm")
    with pytest.raises(UnknownOptionError, match=r"no option 'conzept'; its options: concept \(str, default None\)"):
        toy.segment(images, conzept="a dog")
    with pytest.raises(UnknownOptionError, match="its options: none"):
        model(Mixer()).generate(1, images=images, backgrounds=images, mode="soft")


def test_what_a_model_cannot_do():
    with pytest.raises(NotAvailableError, match="'toy-cub' does not generate; it can: segment"):
        model(Bright()).generate(1)
    with pytest.raises(NotAvailableError, match="'toy-cub' does not segment; it can: generate"):
        model(Mixer()).segment(torch.rand(1, 3, 4, 4))
    neither = model(nn.Linear(1, 1))
    assert (neither.segmenter, neither.generator) == (None, None)
    with pytest.raises(NotAvailableError, match="it can: nothing"):
        neither.generate(1)


def test_the_parts_of_a_model():
    both = Both()
    toy = model(both)
    assert toy.segmenter is both.segmenter
    assert toy.generator is both.generator
    assert not both.training
    assert "segment, generate" in repr(toy)

    class Wrapper(Bright):
        """A segmenter that happens to call its network by that name."""

        def __init__(self) -> None:
            super().__init__()
            self.segmenter = nn.Identity()

    wrapper = Wrapper()
    assert model(wrapper).segmenter is wrapper


def test_generating_from_pictures():
    images, backgrounds = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    found = model(Both()).generate(2, images=images, backgrounds=backgrounds)
    assert torch.allclose(found.image, found.mask * images + (1 - found.mask) * backgrounds)
    for tensor in (found.image, found.foreground, found.background, found.mask, found.extras["removed"]):
        assert tensor.dtype == torch.float32
        assert 0 <= tensor.min() <= tensor.max() <= 1


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({}, r"give images= as \(n,3,H,W\)"),
        ({"images": torch.rand(2, 3, 4, 4)}, "give backgrounds="),
        ({"images": torch.rand(1, 3, 4, 4), "backgrounds": torch.rand(2, 3, 4, 4)}, r"needs 2 images, got 1"),
        ({"images": torch.rand(2, 3, 4, 4), "backgrounds": torch.rand(2, 3, 4, 4) - 1}, "backgrounds must be in"),
    ],
)
def test_pictures_to_generate_from(keywords, message):
    with pytest.raises(InputError, match=message):
        model(Mixer()).generate(2, **keywords)


def test_generating_from_noise():
    toy = model(Noise())
    assert torch.equal(toy.generate(2, seed=3).image, toy.generate(2, seed=3).image)
    assert not torch.equal(toy.generate(2, seed=3).image, toy.generate(2, seed=4).image)
    with pytest.raises(InputError, match="generates without images"):
        toy.generate(1, images=torch.rand(1, 3, 4, 4))
    for n in (0, -1, True, 1.0, "2", None):
        with pytest.raises(InputError, match="makes n >= 1 pictures"):
            toy.generate(n)
    for seed in (-1, 2**63, True, 1.5, "a"):
        with pytest.raises(InputError, match="seed must be an integer"):
            toy.generate(1, seed=seed)


def test_as_many_are_generated_as_there_are_pictures():
    images, backgrounds = torch.rand(3, 3, 4, 4), torch.rand(3, 3, 4, 4)
    found, same = (
        model(Both()).generate(images=images, backgrounds=backgrounds),
        model(Both()).generate(3, images=images, backgrounds=backgrounds),
    )
    assert torch.equal(found.image, same.image)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError(), RuntimeError("DefaultCPUAllocator: no")]
)
def test_running_out_of_memory_is_a_sentence(error):
    class Greedy(Bright):
        def segment(self, images, **options):
            raise error

    with pytest.raises(DeviceError, match=r"Memory ran out while segmenting 2 pictures of 4x4\. Give fewer") as caught:
        model(Greedy()).segment(torch.rand(2, 3, 4, 4))
    assert caught.value.__cause__ is error
    assert isinstance(caught.value, torch.OutOfMemoryError)


def test_a_real_allocation_that_is_too_large():
    with pytest.raises(DeviceError, match="Memory ran out while trying"), memory_guard("trying"):
        torch.empty(2**60)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="something else"), memory_guard("trying"):
        raise RuntimeError("something else")
