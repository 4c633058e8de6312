"""Pictures that are drawn larger and averaged down."""

from __future__ import annotations

import torch

import fgbg_zoo
from fgbg_zoo.data.pictures import resize
from fgbg_zoo.data.reduced import Reduced


def test_it_shows_what_a_model_that_resizes_sees_at_8_bits():
    large = fgbg_zoo.open_dataset("scenes", split="val", size=64)
    small = Reduced(large, 32)
    assert (len(small), small.size, small.split, small.name) == (256, 32, "val", "scenes")
    seen, wanted = small[3], resize(large[3].image[None], (32, 32))[0]
    assert (seen.image - wanted).abs().max() <= 0.5 / 255 + 1e-6
    assert torch.equal((seen.image * 255).round() / 255, seen.image)
    covered = large[3].mask.unfold(1, 2, 2).unfold(2, 2, 2).mean((-1, -2))
    sure = (covered == 0) | (covered == 1)
    assert torch.equal(seen.mask[sure], covered[sure])
    assert (seen.name, seen.caption) == (large[3].name, large[3].caption)
    drawn = fgbg_zoo.open_dataset("scenes", split="val", size=32)[3].image
    assert (drawn - seen.image).abs().mean() > 0.01  # which is why this is needed


def test_its_identity_and_what_it_opens_again():
    large = fgbg_zoo.open_dataset("scenes", split="val", size=64)
    small = Reduced(large, 32)
    assert len({large.fingerprint(), small.fingerprint(), Reduced(large, 16).fingerprint()}) == 3
    other = small.reopen(split="test")
    assert (other.split, other.size, other[0].image.shape) == ("test", 32, (3, 32, 32))
    assert torch.equal(small.reopen(size=64)[0].image, large[0].image)
    assert small.has_masks
