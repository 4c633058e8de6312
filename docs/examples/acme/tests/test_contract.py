"""The zoo's contract, kept by this package's model and data set."""

from fgbg_zoo.testing.contract import assert_dataset
from fgbg_zoo.testing.contract import assert_reloads
from fgbg_zoo.testing.contract import assert_segmenter


def test_model():
    assert_segmenter("border-colour-discs")
    assert_reloads("border-colour-discs")


def test_data():
    assert_dataset("discs", split="train")
