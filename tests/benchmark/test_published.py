"""The published numbers that are shipped, their schema, and how they are shown."""

from __future__ import annotations

import pytest

from fgbg_zoo.benchmark import columns
from fgbg_zoo.benchmark import tables
from fgbg_zoo.benchmark.published import Published
from fgbg_zoo.benchmark.published import PublishedRow
from fgbg_zoo.benchmark.published import load_published
from fgbg_zoo.benchmark.suite import read_yaml
from fgbg_zoo.benchmark.suite import shipped
from fgbg_zoo.errors import UsageError

ILGAN_ON_CUB = {
    "U-Net": (0.979, 0.883, 0.930),
    "GrabCut": (0.723, 0.360, 0.523),
    "ReDO": (0.845, 0.426, None),
    "PerturbGAN": (None, None, 0.380),
    "IEM + SegNet": (0.893, 0.551, 0.714),
    "OneGAN": (None, 0.555, None),
    "Melas-Kyriazi et al.": (0.921, 0.664, None),
    "ILGAN": (0.943, 0.697, 0.817),
}
ILGAN_FID = {"FineGAN": (23.0, 54.9, 24.8), "OneGAN": (20.5, 48.7, 24.2), "ILGAN": (12.9, 59.3, 19.0)}
STAGES = {
    "M_pre": (0.835, 0.290, 0.557),
    "M_crop": (0.900, 0.307, 0.600),
    "U-Net on M_pre": (0.917, 0.665, 0.782),
    "M": (0.924, 0.636, 0.774),
    "U-Net on D_s": (0.952, 0.751, 0.848),
    "U-Net on D_s and D'_s": (0.956, 0.772, 0.860),
}
BOXES = {"Dogs": (43.1, 0.638), "Cars": (13.4, 0.552), "Human3.6m": (63.7, 0.692)}
DRC = {"all": (0.564, 0.717, 0.724), "held-out": (0.546, 0.723, 0.708)}
PLAIN = {"accuracy": "accuracy", "iou_pooled": "iou", "miou": "mean_iou"}
DATA = ("CUB", "Dogs", "Cars")


def source(name: str) -> Published:
    return read_yaml(shipped("published")[name], Published)


@pytest.mark.parametrize("name", sorted(shipped("published")))
def test_every_file_says_whose_numbers_they_are_where_they_were_read_and_how_they_were_measured(name):
    found = source(name)
    assert name.startswith(found.method)
    assert found.url.startswith("https://arxiv.org/abs/")
    assert min(len(text) for text in (found.paper, found.provenance, found.protocol)) > 30


def test_all_files_are_loaded_in_the_order_of_their_names():
    assert load_published() == [source(name) for name in sorted(shipped("published"))]


def test_the_numbers_of_seigan():
    table = {(row.model, row.data): row.metrics["iou"] for row in source("seigan").rows}
    assert table["SEIGAN", "COCO"] == 0.762
    assert table["NoCycle", "Cityscapes"] == 0.754
    assert table["Supervised", "Cityscapes"] == 0.867


def test_the_numbers_of_ilgan_on_segmentation():
    found = source("ilgan-segmentation")
    names = ("accuracy", "iou", "mean_iou")
    assert {row.model: tuple(map(row.metrics.get, names)) for row in found.rows} == ILGAN_ON_CUB
    trained = {row.model: row.supervision for row in found.rows if row.supervision != "unsupervised"}
    assert trained == {"OneGAN": "weak", "U-Net": "supervised"}
    assert "2212.14306" in found.provenance


def test_the_numbers_of_ilgan_on_generation():
    found = source("ilgan-generation")
    fid = {(row.model, row.data): row.metrics["fid"] for row in found.rows}
    assert fid == {(model, data): v for model, row in ILGAN_FID.items() for data, v in zip(DATA, row, strict=True)}
    iou = {row.model: row.metrics["iou"] for row in found.rows if "iou" in row.metrics}
    assert iou == {"FineGAN": 0.445, "OneGAN": 0.555, "ILGAN": 0.697}


def test_the_numbers_of_concept_distillation_on_segmentation():
    found, theirs = source("concept-distillation-segmentation"), dict(ILGAN_ON_CUB)
    del theirs["OneGAN"]  # of another table
    rows = {row.model: row.metrics for row in found.rows}
    values = {name: tuple(row.get(one, row.get(plain)) for one, plain in PLAIN.items()) for name, row in rows.items()}
    assert values == theirs | {name: STAGES[name] for name in ("U-Net on D_s", "U-Net on D_s and D'_s")}
    assert [row.model for row in found.rows if row.supervision != "unsupervised"] == ["U-Net"]


def test_the_numbers_of_the_stages_of_concept_distillation():
    rows = source("concept-distillation-stages").rows
    assert {row.model: tuple(map(row.metrics.get, PLAIN)) for row in rows} == STAGES
    assert [row.model for row in rows if "not of the same pixels" in row.note] == ["M_pre", "M_crop"]


@pytest.mark.parametrize("name", ["concept-distillation-segmentation", "concept-distillation-stages"])
def test_what_is_called_pooled_can_be_pooled(name):
    for row in source(name).rows:
        accuracy, iou, miou = map(row.metrics.get, PLAIN)
        if miou is not None:
            assert pooled_miou(accuracy, iou) == pytest.approx(miou, abs=0.002)
        if "mean_iou" in row.metrics and len(row.metrics) == 3:
            assert pooled_miou(accuracy, row.metrics["iou"]) != pytest.approx(row.metrics["mean_iou"], abs=0.002)


def pooled_miou(accuracy: float, iou: float) -> float:
    """By the shares of all pixels that are rightly foreground, rightly background, and wrong."""
    wrong = 1 - accuracy
    foreground = wrong * iou / (1 - iou)
    background = 1 - wrong - foreground
    return (iou + background / (background + wrong)) / 2


def test_the_numbers_of_concept_distillation_on_generation_keep_boxes_and_masks_apart():
    rows = source("concept-distillation-generation").rows
    ours = {row.data: row for row in rows if row.model == "Concept distillation (D_s)"}
    assert ours.pop("CUB").metrics == {"fid": 9.8, "iou_pooled": 0.751}
    assert {data: tuple(map(row.metrics.get, ("fid", "iou"))) for data, row in ours.items()} == BOXES
    assert all(row.note == "IoU of bounding boxes, not of masks" for row in ours.values())
    others = [row for row in rows if row.model in ILGAN_FID]
    fid = {(row.model, row.data): row.metrics["fid"] for row in others}
    assert fid == {(model, data): v for model, row in ILGAN_FID.items() for data, v in zip(DATA, row, strict=True)}
    assert {row.model for row in others if row.supervision == "weak"} == {"FineGAN", "OneGAN"}


def test_the_numbers_of_drc_stand_beside_ilsgan():
    found = source("ilsgan-drc")
    assert found.method == "ilsgan"
    assert {row.model for row in found.rows} == {"DRC"}
    table = {(row.note.split()[0], row.data): row.metrics for row in found.rows}
    expected = {(kind, data): v for kind, row in DRC.items() for data, v in zip(DATA, row, strict=True)}
    assert table == {place: {"iou_per_image": v} for place, v in expected.items()}


def test_markdown_shows_them_marked_with_training_protocol_and_note():
    text = tables.as_markdown([], load_published())
    assert "## Published: Learning Foreground-Background Segmentation from Improved Layered GANs" in text
    assert "| ILGAN | CUB | unsupervised | iou | 0.697 |  |" in text
    assert "| FineGAN | Cars | weak | fid | 24.8 |  |" in text
    assert "| DRC | Dogs | unsupervised | iou_per_image | 0.723 | held-out test split |" in text
    assert source("ilgan-segmentation").protocol in text


def test_every_metric_that_they_name_has_a_title():
    names = {name for found in load_published() for row in found.rows for name in row.metrics}
    assert all(columns.column(name).title != name for name in names)


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ("{model: a, data: b, metrics: {iou: 69.7}}", "iou is 69.7; write it as a fraction from 0 to 1"),
        ("{model: a, data: b, metrics: {accuracy: -0.1}}", "accuracy is -0.1"),
        ("{model: a, data: b, metrics: {}}", "rows.0.metrics"),
        ("{model: a, data: b, metrics: {iou: 0.5}, supervision: boxes}", "rows.0.supervision"),
        ("{model: a, data: b, metrics: {iou: 0.5}, colour: red}", "rows.0.colour"),
    ],
)
def test_a_row_that_is_wrong_says_where(tmp_path, row, part):
    path = tmp_path / "paper.yaml"
    path.write_text(f"{{method: m, paper: p, url: u, provenance: p, protocol: p, rows: [{row}]}}")
    with pytest.raises(UsageError, match=part.replace(".", r"\.")):
        read_yaml(path, Published)


def test_distances_and_information_are_no_fractions():
    metrics = {"fid": 12.9, "fid[inception]": 59.3, "layer_mi_whole": 4.2}
    assert PublishedRow(model="a", data="b", metrics=metrics).metrics == metrics
