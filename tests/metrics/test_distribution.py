"""Fréchet and kernel distances against linear algebra by hand, and the extractors that they are made with."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from scipy import linalg
from torch import nn

from fgbg_zoo.errors import InputError
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.errors import PluginError
from fgbg_zoo.metrics import make_extractor
from fgbg_zoo.metrics import make_metric
from fgbg_zoo.metrics.distribution import FID
from fgbg_zoo.metrics.distribution import KID

NAMES = ["fid[random-conv-v1]", "kid[random-conv-v1]"]


class Corner(nn.Module):
    """The 2x2 pixels in a corner as features: D = 12."""

    num_features = 12

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :, :2, :2].flatten(1)


def pictures(count: int, seed: int, power: float = 1.0, side: int = 8) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) ** power


def features(images: torch.Tensor) -> np.ndarray:
    return Corner()(images).double().numpy()


def fid(real: torch.Tensor, fake: torch.Tensor) -> float:
    """By the matrix square root of a symmetric product, which stays accurate where covariances are singular."""
    (m1, s1), (m2, s2) = ((x.mean(0), np.cov(x, rowvar=False)) for x in (features(real), features(fake)))
    values, vectors = np.linalg.eigh(s1)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ s2 @ root).clip(0)).sum()
    return float(((m1 - m2) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * cross)


def kid(real: torch.Tensor, fake: torch.Tensor) -> float:
    """The unbiased estimate on all pictures, sum by sum."""
    x, y = features(real), features(fake)
    n, m = len(x), len(y)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 12 + 1) ** 3)

    within = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    without = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within + without - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def compare(metric: FID | KID, real: torch.Tensor, fake: torch.Tensor, batch: int = 1000) -> float:
    for images, is_real in ((real, True), (fake, False)):
        for start in range(0, len(images), batch):
            metric.update(images[start : start + batch], real=is_real)
    return float(metric.compute())


@pytest.mark.parametrize(("n", "m"), [(60, 60), (60, 45), (5, 4), (2, 2)])
def test_the_frechet_distance_is_that_of_the_fitted_gaussians(n: int, m: int) -> None:
    real, fake = pictures(n, 0), pictures(m, 1, power=1.5)
    value = compare(FID(Corner()), real, fake)
    assert value == pytest.approx(fid(real, fake), abs=1e-6)  # square roots of rounding in singular covariances
    if n == 60:
        s1, s2 = (np.cov(features(x), rowvar=False) for x in (real, fake))
        shift = ((features(real).mean(0) - features(fake).mean(0)) ** 2).sum()
        assert value == pytest.approx(shift + np.trace(s1 + s2 - 2 * linalg.sqrtm(s1 @ s2).real), abs=1e-9)


@pytest.mark.parametrize("n", [2, 3, 40])
def test_a_set_is_at_distance_zero_from_itself(n: int) -> None:
    same = pictures(n, 0)
    assert 0 <= compare(make_metric(NAMES[0]), same, same) < 1e-6
    constant = torch.full((n, 3, 8, 8), 0.5)
    assert 0 <= compare(make_metric(NAMES[0]), constant, constant) < 1e-6
    assert compare(make_metric(NAMES[0]), constant, same) > 0.01


def test_the_kernel_distance_of_equal_sets_in_size_is_the_unbiased_estimate_on_all() -> None:
    real, fake = pictures(20, 0), pictures(20, 1, power=1.5)
    assert compare(KID(Corner()), real, fake, batch=7) == pytest.approx(kid(real, fake), abs=1e-6)


def test_the_kernel_distance_of_unequal_sets_is_the_mean_over_seeded_subsets_of_the_smaller_size() -> None:
    real, fake = pictures(40, 0), pictures(24, 1, power=1.5)
    torch.manual_seed(5)
    value = compare(KID(Corner()), real, fake)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1)), "the caller's random numbers are left alone"
    torch.manual_seed(6)
    assert compare(KID(Corner()), real, fake) == value
    assert value == pytest.approx(kid(real, fake), abs=0.1 * kid(real, fake))


@pytest.mark.parametrize("name", NAMES)
def test_batches_order_pickles_and_merges_do_not_matter(name: str) -> None:
    real, fake = pictures(13, 0), pictures(13, 1, power=1.5)
    whole = compare(make_metric(name), real, fake)
    assert whole > 0
    assert compare(make_metric(name), real.flip(0), fake.roll(4, 0), batch=5) == pytest.approx(whole, abs=1e-6)
    first, second = make_metric(name), make_metric(name)
    first.update(real[:5], real=True)
    first = pickle.loads(pickle.dumps(first))
    first.update(fake[:2], real=False)
    second.update(real[5:], real=True)
    second.update(fake[2:], real=False)
    first.merge_state(second)
    assert float(first.compute()) == pytest.approx(whole, abs=1e-6)
    first.reset()
    assert compare(first, real, fake) == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_it_grows_with_the_difference(name: str) -> None:
    real = pictures(40, 0)
    values = [compare(make_metric(name), real, pictures(40, 1, power)) for power in (1.0, 1.2, 1.6, 2.5)]
    assert values == sorted(values)
    assert values[0] < values[1] / 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("real", "fake"), [(1, 5), (5, 1), (3, 0), (0, 3)])
def test_fewer_than_two_pictures_are_an_error(name: str, real: int, fake: int) -> None:
    metric = make_metric(name)
    for count, is_real in ((real, True), (fake, False)):
        if count:
            metric.update(pictures(count, 0), real=is_real)
    with pytest.raises(NotAvailableError, match=f"not {real} real and {fake} generated"):
        metric.compute()


@pytest.mark.parametrize("name", NAMES)
def test_what_are_no_pictures_is_refused(name: str) -> None:
    for images in (pictures(2, 0)[:, :1], pictures(2, 0) * 255, (pictures(2, 0) * 255).byte()):
        with pytest.raises(InputError):
            make_metric(name).update(images, real=True)


class Broken(nn.Module):
    """An extractor that keeps no promise."""

    num_features = 4

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        width = 5 if self.mode == "shape" else 4
        return torch.full((len(images), width), float("nan") if self.mode == "nan" else 1.0)


@pytest.mark.parametrize(("mode", "message"), [("shape", r"\(2, 5\) instead of \(2, 4\)"), ("nan", "not finite")])
def test_an_extractor_that_gives_rubbish_is_named(mode: str, message: str) -> None:
    with pytest.raises(PluginError, match=f"'mine'.*{message}"):
        FID(Broken(mode), "mine").update(pictures(2, 0), real=True)


def test_an_extractor_stays_in_evaluation_mode() -> None:
    class Normed(nn.Module):
        num_features = 3

        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.norm(images)[:, :, 0, 0]

    metric = FID(Normed())
    metric.train()
    metric.update(pictures(4, 0), real=True)
    assert int(metric.inception.extractor.norm.num_batches_tracked) == 0


def digest(module: nn.Module) -> str:
    weights = [parameter.detach().numpy().astype("<f4").tobytes() for parameter in module.parameters()]
    return hashlib.sha256(b"".join(weights)).hexdigest()


RANDOM_CONV = "6384b5d704cb8d468f8b605657086648c494df17c8d382e58637f93340c9ad15"


def test_the_random_extractor_is_the_same_in_every_process_and_never_changes() -> None:
    torch.manual_seed(1)
    extractor = make_extractor("random-conv-v1")
    assert digest(extractor) == RANDOM_CONV  # other weights are another extractor, random-conv-v2
    ramp = torch.linspace(0, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    code = (
        "import torch, json; from fgbg_zoo.metrics import make_extractor; torch.manual_seed(2);"
        "ramp = torch.linspace(0, 1, 3 * 32 * 32).view(1, 3, 32, 32);"
        "print(json.dumps(make_extractor('random-conv-v1')(ramp)[0].tolist()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    with torch.no_grad():
        here = extractor(ramp)[0]
    assert here.shape == (224,)
    assert torch.allclose(here, torch.tensor(json.loads(done.stdout)), rtol=1e-5, atol=1e-6)
    assert float(here.sum()) == pytest.approx(50.8854, abs=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (64, 64), (150, 70)])
def test_the_random_extractor_takes_pictures_of_any_size(shape: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    given = make_extractor("random-conv-v1")(images)
    assert given.shape == (2, 224)
    assert bool(given.isfinite().all())
    assert torch.allclose(given[1:], make_extractor("random-conv-v1")(images[1:]), atol=1e-5)


def test_the_imagenet_extractor_is_not_available_without_its_weights_and_loads_them_from_the_cache(
    tmp_path: Path,
) -> None:
    code = """
import json, sys, torch
from pathlib import Path
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.metrics import make_extractor, make_metric
from fgbg_zoo.metrics.extractors import TimmFeatures
try:
    make_metric("fid[timm/resnet18.a1_in1k]")
    print("made")
except NotAvailableError as error:
    print(error)
try:
    TimmFeatures("no_such_network")
    print("made")
except NotAvailableError as error:
    print(error)
import timm
from safetensors.torch import save_file
torch.manual_seed(0)
network = timm.create_model("resnet18.a1_in1k", pretrained=False)
repository = Path(sys.argv[1]) / "hub" / "models--timm--resnet18.a1_in1k"
snapshot = repository / "snapshots" / ("0" * 40)
snapshot.mkdir(parents=True)
(repository / "refs").mkdir()
(repository / "refs" / "main").write_text("0" * 40)
save_file(network.state_dict(), snapshot / "model.safetensors")
extractor = make_extractor("timm/resnet18.a1_in1k").eval()
network.reset_classifier(0)
images = torch.rand(2, 3, 224, 224)
mean, std = (torch.tensor(network.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
with torch.no_grad():
    assert torch.allclose(extractor(images), network.eval()((images - mean) / std), atol=1e-4)
    print(tuple(extractor(images[:, :, :30, :50]).shape), extractor.num_features)
"""
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    environment = {k: v for k, v in environment.items() if k not in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    first, unknown, second = done.stdout.splitlines()
    assert "timm/no_such_network" in unknown
    assert first.startswith("The weights of feature extractor 'timm/resnet18.a1_in1k' are not in the Hub's cache")
    assert second == "(2, 512) 512"


def test_making_a_metric_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in NAMES:
            make_metric(name)


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_an_accelerator_gives_the_same(name: str) -> None:
    real, fake = pictures(20, 0), pictures(20, 1, power=1.5)
    assert compare(make_metric(name).to("cuda"), real, fake) == pytest.approx(
        compare(make_metric(name), real, fake), rel=1e-2
    )


@pytest.mark.parametrize("there", [True, False])
def test_only_a_hub_within_reach_is_asked(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    asked = []

    def create_model(*arguments: object, **options: object) -> None:
        asked.append(not constants.HF_HUB_OFFLINE)
        raise OSError("no weights")

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1] if there else 9}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr("urllib.request.getproxies", dict)
        monkeypatch.setattr("timm.create_model", create_model)
        with pytest.raises(NotAvailableError, match="no weights"):
            make_extractor("timm/resnet18.a1_in1k")
    assert asked == [there]
    assert constants.HF_HUB_OFFLINE is False
