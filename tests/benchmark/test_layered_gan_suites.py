"""The suites of the layered GANs' papers, from archives and snapshots to rows, against the papers' protocol by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fgbg_zoo_ilgan.model import LayeredGAN
from PIL import Image

import fgbg_zoo
from fgbg_zoo.benchmark.suite import load_suite
from fgbg_zoo.snapshot import write_snapshot

Archive = Callable[[str], Path]
DATA = ("cub", "dogs", "cars")
PLUGINS = "ilgan,ilsgan"
ENOUGH = ("--generated", "64")  # for the information that layers share
METRICS = {"iou_pooled", "miou", "accuracy", "iou_per_image", "dice", "mask_area", "mask_softness", "swd"}
METRICS |= {f"layer_mi{part}" for part in ("", "_foreground", "_background", "_whole")}


def snapshot(folder: Path, birds: Path, method: str, resolution: int) -> Path:
    """A small model with random weights that finds foreground in some pixels of the birds; it sees 64 pixels."""
    torch.manual_seed(0)
    narrow = {"z_dim": 4, "w_dim": 4, "mapping_layers": 1, "channel_base": 4 * resolution, "channel_max": 4}
    architecture = {"generator": {"resolution": resolution, **narrow}, "segmenter": {"size": 64, "width": 2}}
    network = LayeredGAN(**architecture).eval()
    assert network.segmenter is not None
    with torch.no_grad():
        pictures = torch.stack([sample.image for sample in fgbg_zoo.open_dataset("cub", birds, size=64)])
        for part in network.segmenter.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.momentum = 1.0  # one look is enough
        network.segmenter.train()(pictures * 2 - 1)
        logits = network.segmenter.eval()(pictures * 2 - 1)
        *_, bias = network.segmenter.parameters()
        bias[1] -= (logits[:, 1] - logits[:, 0]).mean()
    about = {"method": method, "dataset": "cub", "preprocessing": {"size": 64, "range": [-1, 1]}}
    return write_snapshot(folder, network, architecture=architecture, model=f"{method}-tiny", **about)


def of_the_papers(archive: Path, model: Path, side: int) -> dict[str, float]:
    """The scores on the test birds, computed from the files of the archive as the papers' code does."""
    segmenter = fgbg_zoo.load(model, device="cpu").network.segmenter
    files = dict(line.split() for line in (archive / "CUB_200_2011" / "images.txt").read_text().splitlines())
    codes = dict(
        line.split() for line in (archive / "CUB_200_2011" / "train_val_test_split.txt").read_text().splitlines()
    )
    boxes = dict(
        line.split(maxsplit=1) for line in (archive / "CUB_200_2011" / "bounding_boxes.txt").read_text().splitlines()
    )
    found, truth = [], []
    for id in (id for id, code in codes.items() if code == "2"):
        x, y, w, h = (int(float(value)) for value in boxes[id].split())
        r, cx, cy = int(0.75 * max(w, h)), int((2 * x + w) / 2), int((2 * y + h) / 2)
        photograph = Image.open(archive / "CUB_200_2011" / "images" / files[id]).convert("RGB")
        votes = Image.open((archive / "segmentations" / files[id]).with_suffix(".png")).convert("L")
        crop = (max(0, cx - r), max(0, cy - r), min(photograph.width, cx + r), min(photograph.height, cy + r))
        picture, votes = (
            part.crop(crop).resize((side, side), Image.Resampling.BILINEAR) for part in (photograph, votes)
        )
        truth.append(np.asarray(votes) / 255 > 0.5)
        image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
        seen = torch.nn.functional.interpolate(image, (64, 64), mode="bilinear", antialias=True)
        logits = segmenter.network(seen)
        logits = torch.nn.functional.interpolate(logits, (side, side), mode="bilinear", align_corners=False)
        found.append(logits.argmax(1)[0].numpy() == 1)
    p, g = np.stack(found), np.stack(truth)
    both, either = (p & g).sum((1, 2)), (p | g).sum((1, 2))
    neither_pooled = (~p & ~g).sum() / (~p | ~g).sum()
    pooled = both.sum() / either.sum()
    return {
        "iou_pooled": pooled,
        "miou": (pooled + neither_pooled) / 2,
        "accuracy": (p == g).mean(),
        "iou_per_image": (both / either).mean(),
        "dice": (2 * both / (p.sum((1, 2)) + g.sum((1, 2)))).mean(),
    }


@pytest.mark.parametrize(("resolution", "method"), [(128, "ilsgan"), pytest.param(64, "ilgan", marks=pytest.mark.slow)])
def test_birds_are_scored_as_the_papers_code_scores_them(
    bench, drawn_archive: Archive, tmp_path: Path, resolution: int, method: str
) -> None:
    birds = drawn_archive("cub")
    model = snapshot(tmp_path / "model", birds, method, resolution)
    suite = f"layered-gan-{resolution}"
    words = ["--suite", suite, "--data", f"cub={birds}", "--models", str(model), *ENOUGH]
    ran = bench(tmp_path / "run", *words, FGBG_ZOO_PLUGINS=PLUGINS)
    assert ran.code == 0, ran.err
    (row,) = ran.rows
    assert (row["model"], row["data"], row["status"], row["settings"]["pictures"]) == (f"{method}-tiny", "cub", "ok", 4)
    assert row["metrics"].keys() >= METRICS
    assert all(math.isfinite(row["metrics"][name]) for name in METRICS)
    expected = of_the_papers(birds, model, resolution)
    assert 0.05 < expected["iou_pooled"] < 0.95
    assert {name: row["metrics"][name] for name in expected} == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("resolution", "method"), [(64, "ilsgan"), (128, "ilgan")])
def test_all_three_data_sets_run(bench, drawn_archive: Archive, tmp_path: Path, resolution: int, method: str) -> None:
    model = snapshot(tmp_path / "model", drawn_archive("cub"), method, resolution)
    data = [word for name in DATA for word in ("--data", f"{name}={drawn_archive(name)}")]
    words = ["--suite", f"layered-gan-{resolution}", *data, "--models", str(model), *ENOUGH]
    ran = bench(tmp_path / "run", *words, FGBG_ZOO_PLUGINS=PLUGINS)
    assert ran.code == 0, ran.err
    assert [(row["model"], row["data"], row["status"]) for row in ran.rows] == [
        (f"{method}-tiny", name, "ok") for name in DATA
    ]
    assert all(row["metrics"].keys() >= METRICS for row in ran.rows)
    assert f"layered-gan-{resolution}" in (ran.folder / "report.html").read_text()


@pytest.mark.parametrize("resolution", [64, 128])
def test_the_suites_are_those_of_the_papers(resolution: int) -> None:
    suite = load_suite(f"layered-gan-{resolution}")
    assert [(item.name, item.split, item.options) for item in suite.data] == [(name, "test", {}) for name in DATA]
    assert suite.size == resolution
    assert set(suite.metrics) == METRICS
    for words in ("box", "64 pixels", f"{resolution} x {resolution}", "larger logit"):
        assert words in suite.protocol
