import math

import pytest
import torch
from fgbg_zoo_seigan import losses
from fgbg_zoo_seigan.forward import coarse_pass
from fgbg_zoo_seigan.forward import first_pass
from fgbg_zoo_seigan.forward import paste
from fgbg_zoo_seigan.forward import second_pass
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor


class Constant:
    """Networks with known answers: a constant mask, an inpainting to grey, an enhancement that changes nothing."""

    def __init__(self, value: float) -> None:
        self.value = value

    def mask(self, x: Tensor) -> Tensor:
        return torch.full_like(x[:, :1], self.value)

    def inpaint(self, x: Tensor, mask: Tensor, seen: Tensor | None = None) -> Tensor:
        return (1 - mask) * x

    def enhance(self, z: Tensor, *, seen: Tensor | None = None) -> Tensor:
        return z


def test_discriminator_loss_by_hand() -> None:
    half = [torch.full((2, 1, 3, 3), 0.5)]
    assert losses.discriminator_loss(half, [half, half]).item() == pytest.approx(0.25 + 0.125 + 0.125)
    one, zero = [torch.ones(1, 1, 2, 2)], [torch.zeros(1, 1, 2, 2)]
    assert losses.discriminator_loss(one, [zero, zero]).item() == 0
    assert losses.discriminator_loss(zero, [one]).item() == 2
    # Three kinds of fakes weigh a third each: (0 + 0 + 1) / 3.
    assert losses.discriminator_loss(one, [zero, zero, one]).item() == pytest.approx(1 / 3)


def test_generator_term_by_hand() -> None:
    assert losses.real_term([torch.full((1, 1, 2, 2), -1.0)]).item() == 4
    # A global head weighs as much as the map: ((1-0)^2 + (1-3)^2) / 2.
    assert losses.real_term([torch.zeros(1, 1, 2, 2), torch.full((1, 1), 3.0)]).item() == 2.5


def test_gram_by_hand_symmetric_and_blind_to_position() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # C=2, H=1, W=2
    expected = torch.tensor([[[5.0, 11.0], [11.0, 25.0]]]) / 4
    assert torch.allclose(losses.gram(features), expected)
    random = torch.randn(2, 5, 6, 7)
    gram = losses.gram(random)
    assert torch.allclose(gram, gram.mT)
    assert torch.linalg.eigvalsh(gram.double()).min() > -1e-6
    shuffled = random.flatten(2)[:, :, torch.randperm(42)].view_as(random)
    assert torch.allclose(losses.gram(shuffled), gram, atol=1e-6)
    assert losses.gram(random.half()).dtype == torch.float32


def test_equal_pictures_cost_nothing() -> None:
    features = [torch.randn(1, 3, 4, 4), torch.randn(1, 5, 2, 2)]
    assert losses.texture_loss(features, features).item() == 0
    assert losses.perceptual_loss(features, features).item() == 0
    assert losses.l1(features[0], features[0]).item() == 0


def test_priors_by_hand() -> None:
    mask = torch.cat([torch.full((1, 1, 4, 4), 0.1), torch.full((1, 1, 4, 4), 0.9)])
    assert losses.binarisation(mask).item() == pytest.approx(0.1)
    assert losses.area_hinge(mask, 0.2, 0.6).item() == pytest.approx((0.1 + 0.3) / 2)
    assert losses.area_hinge(torch.full((1, 1, 4, 4), 0.4), 0.2, 0.6).item() == 0
    step = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])
    assert losses.total_variation(step).item() == 1
    assert torch.allclose(losses.mask_softness(mask), torch.tensor([0.1, 0.1]))


def test_cross_entropy_by_hand() -> None:
    mask = torch.tensor([0.9, 0.2, 0.5, 1.0]).view(2, 1, 1, 2)
    target = torch.tensor([1.0, 0.0, 1.0, 0.0]).view(2, 1, 1, 2)
    expected = [-(math.log(0.9) + math.log(0.8)) / 2, -(math.log(0.5) + math.log(1e-4)) / 2]
    assert losses.cross_entropy(mask, target).tolist() == pytest.approx(expected, rel=1e-5)


@given(st.integers(0, 2**31))
def test_paste_is_exact_at_the_ends_and_convex_between(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.rand(2, 1, 3, 4, 4, generator=generator) * 2 - 1
    mask = torch.rand(1, 1, 4, 4, generator=generator)
    assert torch.equal(paste(torch.zeros_like(mask), x, y), y)
    assert torch.equal(paste(torch.ones_like(mask), x, y), x)
    z = paste(mask, x, y)
    assert (z <= torch.maximum(x, y) + 1e-6).all()
    assert (z >= torch.minimum(x, y) - 1e-6).all()


def test_masked_difference_by_hand() -> None:
    a, b = torch.ones(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    b[..., 1, 1] = 7.0  # outside the mask
    assert losses.masked_l1(a, b, mask).item() == 1
    assert losses.masked_l1(a, b, torch.zeros_like(mask)).item() == 0


def test_cycle_of_empty_and_full_masks() -> None:
    x, y = torch.rand(2, 2, 3, 8, 8) * 2 - 1
    empty = second_pass(Constant(0.0), first_pass(Constant(0.0), x, y))
    assert torch.equal(empty.z, y)
    assert torch.equal(empty.x_hat, x)
    assert torch.equal(empty.x_cycle, x)  # the degenerate solution that only the discriminators see
    assert torch.equal(empty.y_cycle, y)
    full = second_pass(Constant(1.0), first_pass(Constant(1.0), x, y))
    assert torch.equal(full.z, x)
    assert torch.equal(full.x_cycle, x)
    assert full.y_cycle is not None
    assert full.y_cycle.abs().max() == 0


def test_noise_on_the_second_pass_is_seen_and_not_copied() -> None:
    seen = []

    class Copying(Constant):
        def mask(self, x: Tensor) -> Tensor:
            seen.append(x)
            return super().mask(x)

        def inpaint(self, x: Tensor, mask: Tensor, seen: Tensor | None = None) -> Tensor:
            return super().inpaint(x, mask) if seen is None else paste(mask, seen, x)

    x, y = torch.rand(2, 1, 3, 8, 8) * 2 - 1
    networks = Copying(0.0)
    cycle = second_pass(networks, first_pass(networks, x, y), cycle_noise=0.1)
    assert cycle.y_hat is not None
    assert not torch.allclose(seen[1], cycle.y_hat)
    assert torch.equal(cycle.y_cycle, cycle.y_hat)
    assert torch.equal(cycle.x_cycle, x)
    inside = second_pass(Copying(1.0), first_pass(Copying(1.0), x, y), cycle_noise=0.1)
    assert inside.y_hat is not None
    assert inside.y_cycle is not None
    assert 0 < (inside.y_cycle - inside.y_hat).abs().mean() < 0.2


def test_second_mask_is_recomputed_or_reused() -> None:
    class Brightness(Constant):
        def mask(self, x: Tensor) -> Tensor:
            return (x.mean(1, keepdim=True) + 1) / 2

    x, y = torch.rand(2, 1, 3, 8, 8) * 2 - 1
    networks = Brightness(0)
    anew = second_pass(networks, first_pass(networks, x, y))
    assert anew.y_hat is not None
    assert torch.equal(anew.mask2, networks.mask(anew.y_hat))
    again = second_pass(networks, first_pass(networks, x, y), cycle_mask="reuse")
    assert again.mask2 is again.mask


def test_coarse_pass_applies_the_cut_to_the_paste_only() -> None:
    x, y = torch.rand(2, 1, 3, 8, 8)
    cycle = coarse_pass(Constant(1.0), x, y, cut=lambda picture, mask: (picture, torch.zeros_like(mask)))
    assert torch.equal(cycle.z, y)
    assert cycle.mask.min() == 1
    assert cycle.x_hat is None
