from typing import Any

import pytest
import torch
from fgbg_zoo_seigan.config import Architecture
from fgbg_zoo_seigan.model import SEIGAN
from pydantic import ValidationError

SMALL = {"size": 32, "mask_width": 4, "mask_blocks": 1, "widths": (4, 4, 4), "residuals": 1}


def _model(**changes: Any) -> SEIGAN:
    torch.manual_seed(0)
    return SEIGAN(**{**SMALL, **changes}).eval()


@pytest.mark.parametrize("size", [(1, 1), (32, 32), (17, 50)])
def test_segment_any_size(size: tuple[int, int]) -> None:
    masks = _model().segment(torch.rand(2, 3, *size))
    assert masks.shape == (2, 1, *size)
    assert masks.min() >= 0
    assert masks.max() <= 1


def test_generate_layers_compose_to_the_coarse_picture() -> None:
    images, backgrounds = torch.rand(2, 3, 3, 40, 30)
    layers = _model().generate(3, images=images, backgrounds=backgrounds)
    assert layers.image.shape == images.shape
    assert torch.equal(layers.foreground, images)
    assert torch.allclose(layers.compose(), layers.extras["coarse"], atol=1e-6)
    assert set(layers.extras) == {"removed", "coarse"}
    coarse = _model().generate(3, images=images, backgrounds=backgrounds, result="coarse")
    assert torch.equal(coarse.image, coarse.extras["coarse"])


def test_noise_follows_the_seed() -> None:
    images, backgrounds = torch.rand(2, 2, 3, 32, 32)
    model = _model()
    first, again, other = (model.generate(2, seed=s, images=images, backgrounds=backgrounds) for s in (1, 1, 2))
    assert torch.equal(first.image, again.image)
    assert not torch.equal(first.image, other.image)
    assert torch.equal(first.mask, other.mask)


def test_inpainting_outside_the_mask() -> None:
    x, mask = torch.rand(1, 3, 32, 32) * 2 - 1, torch.zeros(1, 1, 32, 32)
    mask[..., 8:16, 8:16] = 1
    copying = _model(inpaint_copies=True).inpaint(x, mask)
    outside = mask.expand_as(x) == 0
    assert torch.equal(copying[outside], x[outside])
    assert not torch.allclose(_model().inpaint(x, mask)[outside], x[outside])


def test_masked_pixels_do_not_reach_the_inpainting() -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    changed = torch.where(mask.bool(), -x, x)
    for sees in (False, True):
        model = _model(inpaint_sees_mask=sees)
        assert torch.equal(model.inpaint(x, mask), model.inpaint(changed, mask))


def test_enhancement_can_add_to_its_input() -> None:
    model = _model(enhance_adds=True)
    with torch.no_grad():
        model.g_enh.out.weight.zero_()
        model.g_enh.out.bias.zero_()
    z = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.equal(model.enhance(z), z)


def test_what_is_copied_or_added_to_is_not_what_is_seen() -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    x, seen = torch.rand(2, 1, 3, 32, 32) * 2 - 1
    model = _model(inpaint_copies=True, enhance_adds=True)
    filled = model.inpaint(x, mask, seen)
    assert torch.equal(filled, torch.where(mask.bool(), model.inpaint(seen, mask), x))
    noise = torch.zeros(1, 1, 32, 32)
    with torch.no_grad():
        model.g_enh.out.weight.mul_(0.01)  # what is added stays small enough not to be clamped
    x, seen = x / 2, seen / 2
    added = model.enhance(seen, noise) - seen
    assert torch.allclose(model.enhance(x, noise, seen=seen), x + added, atol=1e-6)
    for plain in (_model(), _model(inpaint_sees_mask=True)):
        assert torch.equal(plain.inpaint(x, mask, seen), plain.inpaint(seen, mask))
        assert torch.equal(plain.enhance(x, noise, seen=seen), plain.enhance(seen, noise))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 30}, "multiple of 4"),
        ({"size": 16, "widths": (4,) * 6}, "bottleneck"),
        ({"widths": (4, 0)}, "from 1 to 1024"),
        ({"mask_width": 10**9}, "less than or equal"),
        ({"colour": 1}, "Extra inputs"),
    ],
)
def test_bad_architectures_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Architecture(**{**SMALL, **changes})


def test_paper_architecture_is_the_figures() -> None:
    paper = Architecture()
    assert (paper.mask_width, paper.mask_blocks, paper.norm, paper.residuals) == (64, 9, "batch", 2)
    assert len(paper.widths) - 1 == 6
    assert paper.size == 128
    assert not any((paper.inpaint_sees_mask, paper.inpaint_copies, paper.enhance_adds))


@pytest.mark.parametrize(("size", "levels"), [(256, 7), (128, 7), (64, 6), (32, 5), (48, 5), (36, 3)])
def test_the_levels_follow_from_the_size(size: int, levels: int) -> None:
    assert Architecture(size=size).widths == (64,) * levels
