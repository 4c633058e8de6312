"""Which term gives a gradient to which network: the table of the method's losses."""

from typing import Any

import pytest
import torch
from fgbg_zoo_seigan.config import SeiganSettings
from fgbg_zoo_seigan.features import VGGFeatures
from fgbg_zoo_seigan.forward import Cycle
from fgbg_zoo_seigan.forward import Held
from fgbg_zoo_seigan.forward import coarse_pass
from fgbg_zoo_seigan.forward import first_pass
from fgbg_zoo_seigan.forward import second_pass
from fgbg_zoo_seigan.model import SEIGAN
from fgbg_zoo_seigan.nets import PatchDiscriminator
from fgbg_zoo_seigan.objective import Objective
from fgbg_zoo_seigan.objective import total

ARCHITECTURE = {"size": 32, "mask_width": 4, "mask_blocks": 1, "widths": (4, 4, 4), "residuals": 1}
ALL = {"g_seg", "g_inp", "g_enh"}

RECEIVERS = {
    1: {"g_inp", "g_seg"},
    2: ALL,
    3: ALL,
    4: ALL,
    5: ALL,
    6: ALL,
    7: ALL,
    8: {"g_seg"},
    9: {"g_enh", "g_seg"},
    10: {"g_enh"},
    11: {"g_inp", "g_seg"},
}


def _settings(**weights: Any) -> SeiganSettings:
    none = {f"lambda_{number}": 0.0 for number in range(1, 12)}
    return SeiganSettings(steps=10, features="random", architecture=ARCHITECTURE, **{**none, **weights})


def _setup(settings: SeiganSettings) -> tuple[SEIGAN, Objective, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    networks = SEIGAN(**settings.architecture.model_dump())
    judges = [PatchDiscriminator(4, 1) for _ in range(2)]
    for judge in judges:
        judge.requires_grad_(False)
    x, y = torch.rand(2, 2, 3, 32, 32) * 2 - 1
    return networks, Objective(settings, *judges, VGGFeatures(width=16)), x, y  # type: ignore[arg-type]


@pytest.mark.parametrize("number", range(1, 12))
def test_each_term_alone_reaches_exactly_its_networks(number: int) -> None:
    settings = _settings(**{f"lambda_{number}": 1.0})
    networks, objective, x, y = _setup(settings)
    terms = objective.terms(networks, second_pass(networks, first_pass(networks, x, y)))
    assert set(terms) == {f"lambda_{number}"}
    total(terms).backward()
    reached = {
        name
        for name in ALL
        if any(p.grad is not None and p.grad.abs().max() > 0 for p in getattr(networks, name).parameters())
    }
    assert reached == RECEIVERS[number]


def test_weights_scale_their_terms() -> None:
    once, thrice = (_settings(lambda_5=w) for w in (1.0, 3.0))
    values = []
    for settings in (once, thrice):
        networks, objective, x, y = _setup(settings)
        networks.eval()
        torch.manual_seed(1)
        cycle = second_pass(networks, first_pass(networks, x, y))
        values.append(objective.terms(networks, cycle)["lambda_5"].item())
        assert cycle.y_cycle is not None
        assert values[-1] == pytest.approx(settings.lambda_5 * (y - cycle.y_cycle).abs().mean().item())
    assert values[1] == pytest.approx(3 * values[0])


def test_automatic_texture_weight_is_measured_once() -> None:
    networks, objective, x, y = _setup(_settings(lambda_3="auto", lambda_5=10.0))
    terms = objective.terms(networks, second_pass(networks, first_pass(networks, x, y)))
    assert terms["lambda_3"].item() == pytest.approx(terms["lambda_5"].item(), rel=1e-5)
    measured = objective.lambda_3
    objective.terms(networks, second_pass(networks, first_pass(networks, y, x)))
    assert objective.lambda_3 == measured


def test_nocycle_has_the_coarse_term_alone() -> None:
    settings = _settings(lambda_1=1.0, lambda_8=1.0, lambda_10=1.0, variant="nocycle")
    networks, objective, x, y = _setup(settings)
    assert set(objective.terms(networks, coarse_pass(networks, x, y))) == {"lambda_8"}


def test_object_judge_sees_the_cycle_only_when_asked() -> None:
    settings = _settings(lambda_9=1.0, dobj_on_cycle=True)
    networks, objective, x, y = _setup(settings)
    terms = objective.terms(networks, second_pass(networks, first_pass(networks, x, y)))
    assert set(terms) == {"lambda_9", "dobj_on_cycle"}


def test_filling_teaches_the_inpainting_alone() -> None:
    networks, objective, x, y = _setup(_settings(fill_weight=2.0))
    with torch.no_grad():
        networks.g_seg.stacks[0][-1].bias += 3  # so that the masks have holes
    terms = objective.fill(networks, coarse_pass(networks, x, y))
    terms["fill"].backward()
    reached = {n for n in ALL if any(p.grad is not None for p in getattr(networks, n).parameters())}
    assert reached == {"g_inp"}
    _, plain, _, _ = _setup(_settings())
    assert plain.fill(networks, coarse_pass(networks, x, y)) == {}


def test_self_training_teaches_the_masks_alone_once_it_starts() -> None:
    networks, objective, x, y = _setup(_settings(self_training_weight=2.0, self_training_after=0.5))
    cycle = coarse_pass(networks, x, y)
    cycle.mask = torch.zeros_like(cycle.mask)
    cycle.mask[..., 8:24, 8:24] = 0.9
    assert objective.self_training(networks, cycle, 0.4) == {}
    terms = objective.self_training(networks, cycle, 0.5)
    terms["self_training"].backward()
    reached = {n for n in ALL if any(p.grad is not None for p in getattr(networks, n).parameters())}
    assert reached == {"g_seg"}


def test_self_training_sees_the_moved_cut_out_and_knows_its_mask() -> None:
    class Oracle:
        """Finds what is 1 in the composite, where the background is -1, and keeps what it saw."""

        def mask(self, composite: torch.Tensor) -> torch.Tensor:
            self.seen = composite
            return (composite[:, :1] > 0).float()

    settings = _settings(self_training_weight=1.0, self_training_after=0.0, self_training_shift=0.25)
    _, objective, _, _ = _setup(settings)
    x, y = torch.ones(4, 3, 32, 32), -torch.ones(4, 3, 32, 32)
    mask = torch.zeros(4, 1, 32, 32)
    mask[..., 12:20, 10:22] = 0.6
    mask[2], mask[3] = 0.0, 1.0  # nothing and everything: left out
    torch.manual_seed(0)
    networks = Oracle()
    cycle = Cycle(x, y, mask, z=x)
    found = objective.self_training(networks, cycle, 0.0)["self_training"]  # type: ignore[arg-type]
    places = networks.seen[:2, 0] > 0
    assert places.sum((1, 2)).tolist() == [8 * 12 - 4] * 2  # the corners of the softened outline are below a half
    assert not torch.equal(places[0], places[1])
    corners = 4 / 32**2 * -torch.tensor(1e-4).log()
    assert found.item() == pytest.approx(corners.item(), rel=1e-5)


def test_self_training_onto_the_next_picture_without_its_object() -> None:
    seen = []

    class Watching:
        def mask(self, composite: torch.Tensor) -> torch.Tensor:
            seen.append(composite)
            return torch.full_like(composite[:, :1], 0.5)

    settings = _settings(self_training_weight=1.0, self_training_after=0.0, self_training_onto="removed")
    _, objective, _, _ = _setup(settings)
    x, y, x_hat = torch.rand(3, 2, 3, 32, 32)
    cycle = Cycle(x, y, torch.zeros(2, 1, 32, 32), z=y, x_hat=x_hat)
    objective.self_training(Watching(), cycle, 0.0)  # type: ignore[arg-type]
    assert torch.equal(seen[0], x_hat.flip(0))


@pytest.mark.parametrize(
    ("held", "learns"),
    [
        ({}, ALL),
        ({"mask": True}, {"g_inp", "g_enh"}),
        ({"inpaint": True}, {"g_seg", "g_enh"}),
        ({"mask": True, "inpaint": True}, {"g_enh"}),
    ],
)
def test_held_networks_are_the_same_and_learn_from_no_term(held: dict[str, bool], learns: set[str]) -> None:
    settings = _settings(**{f"lambda_{number}": 1.0 for number in range(1, 12)})
    networks, objective, x, y = _setup(settings)
    some = Held(networks, **held)
    assert torch.equal(some.mask(x), networks.mask(x))
    assert torch.equal(some.inpaint(x, networks.mask(x)), networks.inpaint(x, networks.mask(x)))
    terms = objective.terms(some, second_pass(some, first_pass(some, x, y)))
    assert len(terms) == 11
    total(terms).backward()
    reached = {n for n in ALL if any(p.grad is not None for p in getattr(networks, n).parameters())}
    assert reached == learns


def test_self_training_without_any_object_is_zero() -> None:
    networks, objective, x, y = _setup(_settings(self_training_weight=1.0, self_training_after=0.0))
    cycle = Cycle(x, y, torch.zeros(2, 1, 32, 32), z=y)
    assert objective.self_training(networks, cycle, 0.0)["self_training"].item() == 0


def test_priors_start_when_they_should() -> None:
    settings = _settings(hinge_weight=2.0, hinge_low=0.2, binarise_weight=1.0, binarise_after=0.5, total_variation=1.0)
    _, objective, _, _ = _setup(settings)
    mask = torch.full((1, 1, 4, 4), 0.1)
    early, late = objective.priors(mask, 0.4), objective.priors(mask, 0.5)
    assert set(early) == {"area_hinge", "total_variation"}
    assert early["area_hinge"].item() == pytest.approx(0.2)
    assert late["binarisation"].item() == pytest.approx(0.1)


def test_discriminators_by_hand() -> None:
    class Judge(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [x.mean((1, 2, 3), keepdim=True)]

    objective = Objective(_settings(), Judge(), Judge(), None)  # type: ignore[arg-type]
    one, half = torch.ones(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)
    fakes = {"x_hat": half, "y_cycle": one, "y_hat": half, "z": half}
    terms, watched = objective.discriminator_terms(one, half, fakes)
    assert terms["d_bg"].item() == pytest.approx(0.25 + (0.25 + 1) / 2)
    assert terms["d_obj"].item() == pytest.approx(0 + 0.25)
    scores = {"y": 0.5, "x_hat": 0.5, "y_cycle": 1.0, "x": 1.0, "y_hat": 0.5, "z": 0.5}
    assert {name: value.item() for name, value in watched.items()} == {f"score_{k}": v for k, v in scores.items()}


@pytest.mark.parametrize(("square", "expected"), [(True, 2.25), (False, 1.5)])
def test_background_terms_with_and_without_the_square(square: bool, expected: float) -> None:
    settings = _settings(lambda_1=1.0, lambda_2=1.0, lambda_8=1.0, square_background=square)
    networks, objective, x, y = _setup(settings)
    objective.d_bg = objective.d_obj = lambda picture: [torch.full((len(picture), 1, 2, 2), -0.5)]  # type: ignore[assignment]
    terms = objective.terms(networks, second_pass(networks, first_pass(networks, x, y)))
    found = {name: term.item() for name, term in terms.items()}
    assert found == pytest.approx({"lambda_1": expected, "lambda_2": expected, "lambda_8": 2.25})
