"""The numbers of the layered-GAN papers' evaluation code on fixed predictions."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from safetensors.torch import load_file

from fgbg_zoo.metrics import make_metric

SHARED = Path(os.environ.get("FGBG_ZOO_SHARED") or Path(__file__).resolve().parents[3] / "shared")
FIXTURE = SHARED / "parity" / "metrics.json"


@pytest.mark.skipif(not FIXTURE.is_file(), reason="the parity fixtures are not here; set FGBG_ZOO_SHARED to them")
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("pACC", "accuracy"),
        ("IoU", "iou_pooled"),
        ("mIoU", "miou"),
        ("DRC_IoU", "iou_per_image"),
        ("DRC_DICE", "dice"),
    ],
)
def test_our_metrics_give_the_numbers_of_their_evaluation(theirs: str, ours: str) -> None:
    expected = json.loads(FIXTURE.read_text())[theirs]
    fixture = load_file(FIXTURE.with_suffix(".safetensors"))
    # They predict the larger of two scores; that is a probability of the second above 0.5.
    probabilities = fixture["pred_logits"].softmax(1)[:, 1:]
    metric = make_metric(ours)
    metric.update(probabilities, fixture["ground_truth"][:, None])
    assert float(metric.compute()) == pytest.approx(expected, abs=1e-7)
