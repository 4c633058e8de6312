"""The zoo's contract, kept by the bundled model."""

import pytest

from fgbg_zoo.testing.contract import assert_generator
from fgbg_zoo.testing.contract import assert_reloads
from fgbg_zoo.testing.contract import assert_segmenter


@pytest.mark.parametrize("promise", [assert_segmenter, assert_generator, assert_reloads])
def test_the_bundled_model_keeps_it(promise) -> None:
    promise("seigan-scenes")
