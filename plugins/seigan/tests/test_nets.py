import pytest
import torch
from fgbg_zoo_seigan.nets import MaskNet
from fgbg_zoo_seigan.nets import PatchDiscriminator
from fgbg_zoo_seigan.nets import ResUNet
from torch import nn


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_mask_net_has_the_papers_size() -> None:
    # Counted by hand from figure 3, right, with a 7x7 64->64 convolution in the last block: 11.58 M.
    assert _count(MaskNet(64, 9)) == pytest.approx(11.58e6, rel=0.005)
    assert _count(MaskNet(32, 6)) == pytest.approx(2.01e6, rel=0.005)


def test_unet_with_64_everywhere_has_4_million_parameters() -> None:
    assert _count(ResUNet(3, (64,) * 7)) == pytest.approx(4.1e6, rel=0.02)


def test_patch_discriminator_is_cyclegans() -> None:
    net = PatchDiscriminator(64, 3)
    assert _count(net) == pytest.approx(2.76e6, rel=0.01)
    (scores,) = net(torch.zeros(1, 3, 128, 128))
    assert scores.shape == (1, 1, 14, 14)


@pytest.mark.parametrize(("size", "levels"), [(128, 6), (64, 5), (32, 4)])
def test_shapes_and_ranges(size: int, levels: int) -> None:
    x = torch.rand(2, 3, size, size) * 2 - 1
    mask = MaskNet(8, 2).eval()(x)
    assert mask.shape == (2, 1, size, size)
    assert mask.min() > 0
    assert mask.max() < 1
    picture = ResUNet(4, (6,) * (levels + 1)).eval()(torch.cat([x, mask], 1))
    assert picture.shape == (2, 3, size, size)
    assert picture.abs().max() <= 1


def test_up_doubles_exactly_and_out_keeps_the_size() -> None:
    net = ResUNet(3, (4, 6))
    inner = torch.zeros(1, 6, 5, 7)
    assert net.ups[0](inner).shape == (1, 4, 10, 14)
    assert net.out.stride == (1, 1)


def test_mask_starts_near_its_bias_and_respects_its_bound() -> None:
    torch.manual_seed(0)
    x = torch.rand(4, 3, 32, 32) * 2 - 1
    assert MaskNet(16, 2, bias=-0.85).eval()(x).mean().item() == pytest.approx(0.3, abs=0.03)
    bounded = MaskNet(16, 2, bias=50.0, bound=2.0).eval()(x)
    assert bounded.max().item() <= torch.sigmoid(torch.tensor(2.0)).item() + 1e-6


def test_second_stack_sees_the_first_ones_mask() -> None:
    net = MaskNet(8, 1, stacks=2).eval()
    first, second = net.stacks
    assert first[0].in_channels == 3
    assert second[0].in_channels == 4
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    before = net(x)
    with torch.no_grad():
        first[-1].bias += 3
    assert not torch.equal(before, net(x))


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_every_norm_trains(norm: str) -> None:
    net = MaskNet(8, 1, norm=norm)  # type: ignore[arg-type]
    net(torch.rand(2, 3, 16, 16)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_discriminator_options() -> None:
    net = PatchDiscriminator(8, 2, norm=None, spectral=True, global_head=True)
    patch, whole = net(torch.rand(3, 3, 32, 32))
    assert patch.shape[:2] == (3, 1)
    assert whole.shape == (3, 1)
    assert len(net.features(torch.rand(1, 3, 32, 32))) == 3


def test_second_scale_judges_the_picture_at_half_its_size() -> None:
    torch.manual_seed(0)
    net = PatchDiscriminator(4, 2, norm=None, global_head=True, scales=2)
    picture = torch.rand(1, 3, 32, 32)
    full, _, half, _ = net(picture)
    assert (full.shape[-1], half.shape[-1]) == (6, 2)
    # Detail that the halving averages away does not reach the second scale.
    detail = torch.tensor([[0.1, -0.1], [-0.1, 0.1]]).repeat(16, 16)
    other_full, _, other_half, _ = net(picture + detail)
    changed = [(a - b).abs().max().item() for a, b in ((full, other_full), (half, other_half))]
    assert changed[0] > 1000 * changed[1]


@pytest.mark.parametrize("skip", ["concat", "sum"])
@pytest.mark.parametrize("stem", [False, True])
def test_unet_options_keep_sizes_and_count_what_they_should(skip: str, stem: bool) -> None:
    plain, net = ResUNet(4, (6, 6, 6)), ResUNet(4, (6, 6, 6), skip=skip, stem=stem)  # type: ignore[arg-type]
    assert net(torch.rand(2, 4, 16, 16)).shape == (2, 3, 16, 16)
    joining = 2 * (6 * 6 * 9) if skip == "sum" else 0  # two levels' convolutions see 6 channels less
    first = plain.levels[0].before, net.levels[0].before
    stemmed = 4 * 6 + 6 + _count(first[1]) - _count(first[0]) if stem else 0
    assert _count(net) == _count(plain) - joining + stemmed
