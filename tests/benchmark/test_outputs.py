"""Tables, charts and suites."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from itertools import combinations
from itertools import product

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from fgbg_zoo.benchmark import charts
from fgbg_zoo.benchmark import columns
from fgbg_zoo.benchmark import report
from fgbg_zoo.benchmark import tables
from fgbg_zoo.benchmark.published import load_published
from fgbg_zoo.benchmark.results import Result
from fgbg_zoo.benchmark.results import metric_order
from fgbg_zoo.benchmark.results import read_result
from fgbg_zoo.benchmark.results import write_result
from fgbg_zoo.benchmark.suite import load_suite
from fgbg_zoo.benchmark.suite import shipped
from fgbg_zoo.errors import UsageError


def result(model, iou=None, **fields):
    metrics = {} if iou is None else {"iou_pooled": iou, "mae": 1 - iou, "segment_images_per_s": 10.0 / iou}
    known = {"key": model, "model": model, "method": "m_1", "data": "d", "seed": 0, "status": "ok"}
    return Result(**{**known, "metrics": metrics, **fields})


ROWS = [
    result("a", 0.5, intervals={"iou_pooled": (0.4, 0.6)}),
    result("b", 0.25),
    result("c", status="failed", error="It broke | here."),
]


def test_a_result_is_read_as_it_was_written(tmp_path):
    write_result(tmp_path, ROWS[0])
    assert read_result(tmp_path, "a") == ROWS[0]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": "a"}'])
def test_a_result_that_cannot_be_read_is_none(tmp_path, text):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "a.json").write_text(text)
    assert read_result(tmp_path, "a") is None


def test_csv_has_every_value_and_interval():
    first, second, third = csv.DictReader(io.StringIO(tables.as_csv(ROWS)))
    assert (first["iou_pooled"], first["iou_pooled_low"], first["iou_pooled_high"]) == ("0.5", "0.4", "0.6")
    assert (second["iou_pooled"], second["iou_pooled_low"]) == ("0.25", "")
    assert (third["status"], third["iou_pooled"], third["error"]) == ("failed", "", "It broke | here.")


def test_markdown_marks_the_best_and_tells_the_errors():
    text = tables.as_markdown(ROWS, [])
    assert "| a | **0.500** | **0.500** | 20 | ok |" in text
    assert "| b | 0.250 | 0.750 | 40 | ok |" in text
    assert "* c: It broke | here." in text


def test_latex_is_escaped():
    text = tables.as_latex([result("a_b", 0.5), result("c", 0.25)])
    assert r"a\_b & \textbf{0.500}" in text
    assert r"\begin{tabular}{lrrr}" in text


def test_published_numbers_are_apart_from_the_rows():
    value = tables.as_json(ROWS, load_published())
    assert [row["model"] for row in value["rows"]] == ["a", "b", "c"]
    sources = json.loads(json.dumps(value["published"]))
    methods = ["concept-distillation"] * 3 + ["ilgan", "ilgan", "ilsgan", "seigan"]
    assert [source["method"] for source in sources] == methods


def test_columns_have_an_order():
    names = {"load_s", "fid[x]", "dice", "acme", "iou_pooled", "latency_ms"}
    assert metric_order(names) == ["iou_pooled", "dice", "fid[x]", "acme", "latency_ms", "load_s"]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("dice", 0.12345, "0.123"),
        ("fid[x]", 123.456, "123.5"),
        ("latency_ms", 0.01234, "0.0123"),
        ("peak_memory_mb", 1234.5, "1234"),
        ("parameters", 1_234_567, "1.23 M"),
        ("parameters", 12, "12"),
        ("dice", None, ""),
    ],
)
def test_values_as_text(name, value, shown):
    assert columns.text(name, value) == shown


def test_costs_are_never_best():
    assert columns.best(ROWS, columns.column("segment_images_per_s")) == set()
    assert columns.best(ROWS, columns.column("mae")) == {0.5}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(-1, 6), st.integers(3, 47)),
        min_size=2,
        max_size=14,
        unique_by=lambda t: t[:2],
    )
)
def test_labels_cover_neither_each_other_nor_points(drawn):
    rows = [
        result("x" * length, metrics={"iou_pooled": score, "segment_images_per_s": 10**decade})
        for score, decade, length in drawn
    ]
    plot = charts.scatter(rows, {id(row): row.model for row in rows}, set())
    boxes = []
    for point in plot.points:
        assert 0 <= point.x <= plot.width
        assert 0 <= point.y <= plot.height
        left = point.label_x - (6.3 * len(point.name) if point.anchor == "end" else 0)
        boxes.append((left, point.label_y - 10, left + 6.3 * len(point.name), point.label_y + 2))
        assert point.away == (abs(point.label_y - 4 - point.y) > 1)
    for one, other in combinations(boxes, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    for box, point in product(boxes, plot.points):
        assert not (box[0] < point.x < box[2] and box[1] < point.y < box[3])


def test_bars_begin_where_the_longest_name_has_room():
    bar = charts.Bar("", 0.5, None, None, False)
    for length in (1, 12, 30, 47):
        chart = charts.BarChart("IoU", [bar, replace(bar, name="x" * length)])
        assert chart.left - 8 >= 6 * length
        assert chart.span >= 100
        assert chart.left + chart.span <= 440


def test_the_conventions_are_the_metrics_own():
    found = dict(report.conventions())
    assert {"Threshold", "Empty masks"} <= set(found)
    assert "No picture is left out" in found["Empty masks"]


@pytest.mark.parametrize("name", sorted(shipped("suites")))
def test_every_suite_can_be_read(name):
    assert load_suite(name).name == name


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name: x", "title: Field required"),
        ("{", "cannot be read as YAML"),
        ("{name: x, title: t, protocol: p, data: [{name: scenes, size: 0}], metrics: [dice]}", "data.0.size"),
        ("{name: x, title: t, protocol: p, data: [], metrics: [dice], colour: red}", "colour"),
    ],
)
def test_a_suite_that_is_wrong_says_where(tmp_path, text, part):
    (tmp_path / "suite.yaml").write_text(text)
    with pytest.raises(UsageError, match=part):
        load_suite(str(tmp_path / "suite.yaml"))
