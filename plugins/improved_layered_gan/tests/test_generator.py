"""The layered generator: the original's layers, the papers' sizes, codes, seeds, parts, half precision."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from fgbg_zoo_ilgan.generator import GeneratorArchitecture
from fgbg_zoo_ilgan.generator import LayeredGenerator
from fgbg_zoo_ilgan.perturbation import shift_by
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor

from fgbg_zoo.errors import InputError

SHARED = Path(os.environ.get("FGBG_ZOO_SHARED") or Path(__file__).resolve().parents[4] / "shared")
SMALL: dict[str, Any] = {
    "resolution": 16,
    "z_dim": 6,
    "w_dim": 8,
    "mapping_layers": 2,
    "channel_base": 64,
    "channel_max": 8,
}
LAYERS = ("image", "foreground", "background", "mask")


@pytest.fixture(scope="module", params=["layered_32", "layered_64"])
def original(request: pytest.FixtureRequest) -> tuple[LayeredGenerator, dict[str, Tensor]]:
    """The generator with the original's weights, and what the original gave."""
    fixture = SHARED / "parity" / f"{request.param}.json"
    if not fixture.is_file():
        pytest.skip("the parity fixtures are not here; set FGBG_ZOO_SHARED to them")
    config, tensors = json.loads(fixture.read_text()), load_file(fixture.with_suffix(".safetensors"))
    names = ("resolution", "z_dim", "w_dim", "mapping_layers", "channel_base", "channel_max")
    network = LayeredGenerator(**{name: config[name] for name in names})
    state = {name.removeprefix("G/"): value for name, value in tensors.items() if name.startswith("G/")}
    network.load_state_dict(
        {name: value for name, value in state.items() if not name.endswith("resample_filter")}, strict=True
    )
    return network.eval().requires_grad_(False), tensors


@pytest.fixture
def small() -> LayeredGenerator:
    """A small generator whose noise is seen, and whose layers differ from picture to picture."""
    return _small()


def _small(**changes: Any) -> LayeredGenerator:
    torch.manual_seed(0)
    network = LayeredGenerator(**SMALL | changes).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith("noise_strength"):
            parameter.fill_(0.3)
    return network


def _same(a: Any, b: Any) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in LAYERS)


@pytest.mark.parametrize("name", LAYERS)
def test_it_gives_the_originals_layers(original: tuple[LayeredGenerator, dict[str, Tensor]], name: str) -> None:
    network, tensors = original
    found = getattr(network(tensors["in/z"]), name)
    torch.testing.assert_close(found, tensors[f"out/{name}"], atol=1e-4, rtol=0)


def test_it_gives_the_originals_perturbed_layers(original: tuple[LayeredGenerator, dict[str, Tensor]]) -> None:
    network, tensors = original
    side = network.architecture.resolution
    layers = network(tensors["in/z"], shift=shift_by(tensors["in/eps"], 0.125, (side, side)))
    for name in ("image", "foreground", "mask"):
        torch.testing.assert_close(getattr(layers, name), tensors[f"out/shifted_{name}"], atol=1e-4, rtol=0)
    torch.testing.assert_close(layers.background, tensors["out/background"], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("options", "output"), [({"noise": "none"}, "image_no_noise"), ({"truncation": 0.7}, "image_truncation_0.7")]
)
def test_it_gives_the_originals_options(
    original: tuple[LayeredGenerator, dict[str, Tensor]], options: dict[str, Any], output: str
) -> None:
    network, tensors = original
    found = network(tensors["in/z"], **options).image
    torch.testing.assert_close(found, tensors[f"out/{output}"], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("resolution", "parameters"), [(64, 18_518_325), (128, 19_929_792)])
def test_the_papers_sizes(resolution: int, parameters: int) -> None:
    with torch.device("meta"):
        network = LayeredGenerator(resolution=resolution)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert len(network.state_dict()) == {64: 212, 128: 250}[resolution] - {64: 28, 128: 34}[resolution]


def test_layers_are_what_they_are_composed_of(small: LayeredGenerator) -> None:
    z, _ = small.draw(3)
    layers = small(z)
    assert [tuple(getattr(layers, name).shape) for name in LAYERS] == [(3, 3, 16, 16)] * 3 + [(3, 1, 16, 16)]
    torch.testing.assert_close(layers.image, layers.compose())
    assert layers.mask.min() > 0
    assert layers.mask.max() < 1


def test_the_private_code_reaches_the_foreground_alone() -> None:
    network = _small(c_dim=3, c_continuous=2)
    z, code = network.draw(64)
    assert code is not None
    kind, rest = code.split([3, 2], 1)
    assert torch.equal(kind.sort(1).values, torch.tensor([0.0, 0.0, 1.0]).expand(64, -1))
    assert set(kind.argmax(1).tolist()) == {0, 1, 2}
    assert rest.min() >= -1
    assert rest.max() <= 1
    assert rest.std() > 0.4
    one, two = network(z[:2], c=code[:2]), network(z[:2], c=code[:2].flip(1))
    assert torch.equal(one.background, two.background)
    assert not torch.allclose(one.foreground, two.foreground)
    assert not torch.allclose(one.mask, two.mask)


def test_a_private_code_that_is_left_out_is_drawn() -> None:
    network = LayeredGenerator(**SMALL, c_dim=3, c_continuous=1).eval().requires_grad_(False)
    z = torch.randn(4, 6)
    torch.manual_seed(0)
    found = network(z)
    torch.manual_seed(0)
    _, c = network.draw(4)
    assert torch.equal(found.image, network(z, c=c).image)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"z": torch.zeros(2, 5)}, r"z must be a float tensor \(B,6\) with B >= 1, not float32 \(2, 5\)"),
        ({"z": torch.zeros(6)}, r"not float32 \(6,\)"),
        ({"z": torch.zeros(0, 6)}, "B >= 1"),
        ({"z": torch.zeros(2, 6).long()}, "not int64"),
        ({"z": [1.0] * 6}, "not a list"),
        ({"c": torch.zeros(2, 3)}, "no private code"),
        ({"noise": "fresh"}, "noise must be one of const, random, none, not 'fresh'"),
        ({"noise": None}, "not None"),
        ({"truncation": float("nan")}, "truncation must be a finite number, not nan"),
        ({"truncation": "1"}, "not '1'"),
        ({"shift": torch.zeros(3, 2).long()}, r"shift must be whole pixels in a tensor \(2,2\), not int64 \(3, 2\)"),
        ({"shift": torch.full((2, 2), 0.5)}, "whole pixels"),
        ({"shift": (1, 2)}, "not a tuple"),
    ],
)
def test_what_it_has_no_use_for_is_refused_in_a_sentence(
    small: LayeredGenerator, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        small(**{"z": torch.zeros(2, 6), **changes})


def test_whole_pixels_may_be_of_any_type(small: LayeredGenerator) -> None:
    z, pixels = torch.randn(2, 6), torch.tensor([[1, -2], [0, 3]])
    assert torch.equal(small(z, shift=pixels.float()).image, small(z, shift=pixels).image)


def test_codes_are_shared_or_of_each_layer() -> None:
    own = _small(shared_z=False)
    assert own.code_length == 12
    z, _ = own.draw(2)
    changed = torch.cat([z[:, :6], z[:, 6:].flip(0)], 1)
    assert torch.equal(own(z).background, own(changed).background)
    assert not torch.allclose(own(z).foreground, own(changed).foreground)
    assert _small().code_length == 6


def test_the_masks_logit_has_a_gain_a_prior_and_a_coarseness() -> None:
    plain, steep, prior, coarse = _small(), _small(mask_gain=3.0), _small(mask_prior=2.0), _small(mask_side=4)
    z, _ = plain.draw(2)
    for network in (steep, prior, coarse):
        network.load_state_dict(plain.state_dict())
    logit = plain(z).mask.logit()
    torch.testing.assert_close(steep(z).mask, (3 * logit).sigmoid(), atol=1e-5, rtol=1e-4)
    blob = (prior(z).mask.logit() - logit)[0, 0] / 2
    assert blob[8, 8] > 0.9
    assert blob[0, 0] < blob[0, 8] < blob[4, 8] < blob[8, 8]
    means = torch.nn.functional.avg_pool2d(logit, 4)
    wanted = torch.nn.functional.interpolate(means, scale_factor=4, mode="bilinear", align_corners=False)
    torch.testing.assert_close(coarse(z).mask, wanted.sigmoid(), atol=1e-5, rtol=1e-4)


def test_a_mask_may_have_a_margin_and_colours_a_gain() -> None:
    plain, framed, pale = _small(), _small(mask_margin=3), _small(colour_gain=0.5)
    z, _ = plain.draw(2)
    for network in (framed, pale):
        network.load_state_dict(plain.state_dict())
    mask, layers = framed(z).mask, plain(z)
    assert torch.equal(mask[..., 3:-3, 3:-3], layers.mask[..., 3:-3, 3:-3])
    assert torch.count_nonzero(mask) == torch.count_nonzero(mask[..., 3:-3, 3:-3])
    torch.testing.assert_close(pale(z).background, layers.background / 2)
    torch.testing.assert_close(pale(z).foreground, layers.foreground / 2)
    torch.testing.assert_close(pale(z).mask, layers.mask)


def test_the_backgrounds_network_may_be_narrower() -> None:
    narrow = _small(background_max=2)
    widest = max(p.shape[0] for name, p in narrow.synthesis_bg.named_parameters() if name.endswith("conv1.weight"))
    assert widest == 2
    assert narrow.synthesis_fg.b4.conv1.weight.shape[0] > 2


def test_pictures_are_in_the_unit_range_and_clamped_after_the_composition(small: LayeredGenerator) -> None:
    small.synthesis_bg.b4.torgb.bias.fill_(30)
    small.synthesis_fg.b4.torgb.bias.fill_(-30)
    layers, raw = small.generate(2), small(small.draw(32, torch.Generator().manual_seed(0))[0])
    for name in LAYERS[:3]:
        part = getattr(layers, name)
        assert part.min() >= 0
        assert part.max() <= 1
    torch.testing.assert_close(layers.image, ((raw.image[:2] + 1) / 2).clamp(0, 1))
    torch.testing.assert_close(layers.mask, raw.mask[:2])


@pytest.mark.parametrize("noise", ["const", "random", "none"])
@pytest.mark.parametrize("changes", [{}, {"c_dim": 3}])
def test_a_seed_gives_the_same_pictures_whatever_their_number(noise: Any, changes: dict[str, Any]) -> None:
    network = _small(**changes)
    many = network.generate(70, seed=5, noise=noise)
    assert len(many) == 70
    assert _same(many, network.generate(70, seed=5, noise=noise))
    for n in (1, 32, 33):
        assert _same(many[:n], network.generate(n, seed=5, noise=noise))
    assert not torch.allclose(many.image, network.generate(70, seed=6, noise=noise).image)


def test_fresh_noise_is_another_in_each_part(small: LayeredGenerator) -> None:
    small.mapping_bg.w_avg.zero_()
    layers = small.generate(64, noise="random", truncation=0.0)  # the styles are the same everywhere
    assert not torch.allclose(layers.background[0], layers.background[1])
    assert not torch.allclose(layers.background[0], layers.background[32])


def test_truncation_makes_pictures_alike(small: LayeredGenerator) -> None:
    spread = [float(small.generate(8, truncation=psi).image.var(0).mean()) for psi in (1.0, 0.5, 0.0)]
    assert spread[0] > spread[1] > spread[2]
    assert spread[2] == pytest.approx(0, abs=1e-10)


def test_a_stream_gives_parts_of_at_most_32_pictures(small: LayeredGenerator) -> None:
    assert [len(part) for part in small.stream(70, seed=0)] == [32, 32, 6]
    assert [len(part) for part in small.stream(32, seed=0)] == [32]
    # A billion pictures take the time and the memory of those that are asked for.
    first, second = itertools.islice(small.stream(10**9, seed=0), 2)
    assert _same(first, small.generate(32))
    assert _same(second, small.generate(64)[32:])
    assert not _same(first, second)


def test_the_callers_random_numbers_and_the_streams_are_apart(small: LayeredGenerator) -> None:
    torch.manual_seed(3)
    expected = [torch.rand(()) for _ in range(3)]
    whole = small.generate(70, seed=1, noise="random")
    torch.manual_seed(3)
    parts, found = [], []
    for part in small.stream(70, seed=1, noise="random"):
        parts.append(part)
        found.append(torch.rand(()))
    assert found == expected
    assert torch.equal(torch.cat([part.image for part in parts]), whole.image)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
@pytest.mark.parametrize("halves", [0, 2])
def test_half_precision_gives_nearly_the_same_pictures(dtype: torch.dtype, tolerance: float, halves: int) -> None:
    network = _small(half_resolutions=halves, clamp=256.0)
    exact = network.generate(4)
    z, _ = network.draw(4, torch.Generator().manual_seed(0))
    forward = network(z, dtype=dtype)
    assert forward.image.dtype == torch.float32
    assert (forward.mask - network(z).mask).abs().max() < tolerance
    half = network.to(dtype).generate(4)  # as `load` with a dtype keeps the weights
    assert (half.mask.float() - exact.mask).abs().max() < tolerance
    assert (half.image.float() - exact.image).abs().mean() < tolerance


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resolution": 48}, "power of two"),
        ({"resolution": 4}, "resolution"),
        ({"resolution": 2048}, "resolution"),
        ({"z_dim": 0}, "z_dim"),
        ({"channels": 3}, "channels"),
        ({"clamp": 0.0}, "clamp"),
    ],
)
def test_wrong_architectures_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        GeneratorArchitecture(**SMALL | changes)
