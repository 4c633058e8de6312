"""The options against degenerate solutions that the paper does not have."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fgbg_zoo_seigan import losses
from fgbg_zoo_seigan.augment import colour_jitter
from fgbg_zoo_seigan.augment import random_crop
from fgbg_zoo_seigan.config import SeiganSettings
from fgbg_zoo_seigan.forward import Cycle
from fgbg_zoo_seigan.forward import first_pass
from fgbg_zoo_seigan.forward import second_pass
from fgbg_zoo_seigan.forward import threshold
from fgbg_zoo_seigan.forward import to_8_bits
from fgbg_zoo_seigan.model import SEIGAN
from fgbg_zoo_seigan.objective import Objective
from fgbg_zoo_seigan.trainer import SeiganTrainer
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

import fgbg_zoo
from fgbg_zoo import Dataset

ARCHITECTURE = {"size": 32, "mask_width": 4, "mask_blocks": 1, "widths": (4, 4, 4), "residuals": 1}


def _networks() -> SEIGAN:
    torch.manual_seed(0)
    return SEIGAN(**ARCHITECTURE, inpaint_copies=True)


def _settings(**options: float) -> SeiganSettings:
    return SeiganSettings(steps=10, architecture=ARCHITECTURE, features="random", **options)


class _Means(torch.nn.Module):
    """Judges by the mean and keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        self.shown.append(x)
        return [x.mean((1, 2, 3), keepdim=True)]


def test_the_threshold_is_binary_and_passes_the_gradient() -> None:
    mask = torch.tensor([0.1, 0.5, 0.51, 0.9], requires_grad=True)
    hard = threshold(mask)
    assert hard.tolist() == [0, 0, 1, 1]
    (hard * torch.tensor([1.0, 2, 3, 4])).sum().backward()
    assert mask.grad is not None
    assert mask.grad.tolist() == [1, 2, 3, 4]


def test_straight_through_pastes_and_fills_with_a_binary_mask() -> None:
    networks = _networks()
    x, y = torch.rand(2, 2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        networks.g_seg.stacks[0][-1].bias.fill_(0.0)  # type: ignore[index, union-attr]
    cycle = first_pass(networks, x, y, straight_through=True)
    assert 0.01 < cycle.mask.gt(0.5).float().mean() < 0.99
    inside = (cycle.mask > 0.5).expand_as(x)
    assert torch.equal(cycle.z[inside], x[inside])
    assert torch.equal(cycle.z[~inside], y[~inside])
    assert cycle.x_hat is not None
    torch.testing.assert_close(cycle.x_hat[~inside], x[~inside])
    assert ((cycle.mask > 0) & (cycle.mask < 1)).all()
    second_pass(networks, cycle, straight_through=True)
    assert cycle.y_cycle is not None
    cycle.y_cycle.sum().backward()
    assert all(p.grad is not None for p in networks.g_seg.parameters())


@given(st.floats(-1, 1))
@settings(deadline=None)
def test_8_bits_are_the_nearest_levels(value: float) -> None:
    rounded = float(to_8_bits(torch.tensor(value, dtype=torch.float64)))
    assert abs(rounded - value) <= 1 / 255 + 1e-12
    assert (rounded + 1) * 127.5 == pytest.approx(round((rounded + 1) * 127.5), abs=1e-9)


def test_quantising_breaks_a_hidden_code_and_keeps_the_gradient() -> None:
    networks = _networks().eval()
    grey = torch.zeros(1, 3, 32, 32)
    code = torch.zeros_like(grey)
    code[..., ::2] = 0.002  # a quarter of a level

    def cycled(hidden: torch.Tensor, quantise: bool) -> torch.Tensor:
        x_hat = (to_8_bits(grey) + hidden).requires_grad_()
        cycle = Cycle(grey, grey, torch.zeros(1, 1, 32, 32), grey, x_hat=x_hat, y_hat=to_8_bits(grey))
        torch.manual_seed(3)
        out = second_pass(networks, cycle, cycle_mask="reuse", cycle_quantise=quantise).x_cycle
        assert out is not None
        out.sum().backward()
        assert x_hat.grad is not None
        assert x_hat.grad.abs().sum() > 0
        return out.detach()

    clean = torch.zeros_like(grey)
    assert torch.equal(cycled(code, quantise=True), cycled(clean, quantise=True))
    assert not torch.equal(cycled(code, quantise=False), cycled(clean, quantise=False))


def test_the_cap_counts_what_changes_beyond_the_objects_surroundings() -> None:
    before = torch.zeros(1, 3, 8, 8)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:4, 2:4] = 1  # with a reach of 1: 4 x 4 pixels are free, 48 are not
    after = before.clone()
    after[..., 1:5, 1:5] = 0.9
    assert losses.change_beyond(before, after, mask, cap=0.0, reach=1) == 0
    after[:, :, 7] = 0.6
    assert losses.change_beyond(before, after, mask, 0.0, 1).item() == pytest.approx(0.6 * 8 / 48)
    assert losses.change_beyond(before, after, mask, 0.04, 1).item() == pytest.approx(0.1 - 0.04)
    assert losses.change_beyond(before, after, mask, 0.5, 1) == 0


def test_the_cap_reaches_the_enhancement_and_what_it_enhances() -> None:
    networks = _networks()
    objective = Objective(_settings(cap_weight=2.0, cap=0.0), _Means(), _Means(), None)  # type: ignore[arg-type]
    cycle = first_pass(networks, *(torch.rand(2, 2, 3, 32, 32) * 2 - 1))
    objective.cap(cycle)["cap"].backward()
    parts = {name: getattr(networks, name).parameters() for name in ("g_seg", "g_inp", "g_enh")}
    assert {name for name, part in parts.items() if any(p.grad is not None for p in part)} == {"g_enh", "g_seg"}
    assert Objective(_settings(), _Means(), _Means(), None).cap(cycle) == {}  # type: ignore[arg-type]


def test_jitter_changes_contrast_and_brightness_and_no_more() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(4, 3, 8, 8) * 2 - 1
    jittered = colour_jitter(pictures, 0.2)
    for before, after in zip(pictures, jittered, strict=True):
        assert abs(after.mean() - before.mean()) <= 0.2
        scale = after.std() / before.std()
        assert 0.8 <= scale <= 1.2
        torch.testing.assert_close((after - after.mean()) / scale, before - before.mean())
    assert not torch.allclose(jittered[0] - pictures[0], jittered[1] - pictures[1])


def test_judges_may_see_shrunk_pictures() -> None:
    d_bg, d_obj = _Means(), _Means()
    x, y = torch.rand(2, 2, 3, 8, 8)
    objective = Objective(_settings(discriminator_shrink=2, discriminator_layers=2), d_bg, d_obj, None)  # type: ignore[arg-type]
    objective.discriminator_terms(x, y, {"x_hat": x, "z": y})
    assert {tuple(shown.shape) for shown in (*d_bg.shown, *d_obj.shown)} == {(2, 3, 4, 4)}
    assert d_obj.shown[1][0, 0, 0, 0].item() == pytest.approx(x[0, 0, :2, :2].mean().item())


@pytest.mark.parametrize("strength", [0.0, 0.2])
def test_both_judges_see_jittered_reals_and_fakes(strength: float) -> None:
    d_bg, d_obj = _Means(), _Means()
    settings = _settings(colour_jitter=strength)
    x, y = torch.rand(2, 2, 3, 8, 8)
    Objective(settings, d_bg, d_obj, None).discriminator_terms(x, y, {"x_hat": x, "z": y})  # type: ignore[arg-type]
    for judge, reals, fakes in ((d_bg, y, x), (d_obj, x, y)):
        for shown, given_ in zip(judge.shown, (fakes, reals), strict=True):
            assert torch.equal(shown, given_) == (strength == 0)


def test_discriminators_too_deep_for_what_they_see_are_refused() -> None:
    with pytest.raises(ValueError, match="need 24 or more"):
        _settings(discriminator_shrink=2, discriminator_layers=3)
    assert _settings(discriminator_shrink=2, discriminator_layers=2).discriminator_layers == 2


def test_crops_are_windows_of_pictures_that_are_read_larger() -> None:
    torch.manual_seed(0)
    large = torch.rand(16, 3, 12, 12)
    crops = random_crop(large, 10)
    assert crops.shape == (16, 3, 10, 10)
    places = set()
    for picture, crop in zip(large, crops, strict=True):
        windows = picture.unfold(1, 10, 1).unfold(2, 10, 1)  # c, top, left, h, w
        found = (windows == crop[:, None, None]).all(-1).all(-1).all(0).nonzero()
        assert len(found) == 1
        places.add(tuple(found[0].tolist()))
    assert len(places) > 4
    assert torch.equal(random_crop(large, 12), large)


def test_training_reads_its_pictures_at_the_size_that_crops_are_taken_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: dict[str, int | None] = {}

    def stop(task: object, streams: dict[str, Dataset], *arguments: object, **options: object) -> None:
        sizes.update({name: data.size for name, data in streams.items()})
        raise InterruptedError

    monkeypatch.setattr("fgbg_zoo_seigan.trainer.fit", stop)
    data = fgbg_zoo.open_dataset("scenes", split="train")
    architecture = {"size": 32, "mask_width": 4, "mask_blocks": 1, "widths": (4, 4)}
    with pytest.raises(InterruptedError):
        SeiganTrainer("tiny", crop=1.25, architecture=architecture).fit(data, tmp_path)
    assert sizes == {"x": 40, "y": 40}
