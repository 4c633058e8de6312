"""The zoo's contract, kept by the baselines."""

import pytest

from fgbg_zoo.testing.contract import assert_reloads
from fgbg_zoo.testing.contract import assert_segmenter


@pytest.mark.parametrize("name", ["mean-mask", "grabcut"])
def test_the_baselines_keep_it(name: str) -> None:
    assert_segmenter(name)


def test_the_mean_mask_is_the_same_after_saving_and_loading() -> None:
    assert_reloads("mean-mask")
