"""Bradley-Terry strengths: of the paper's figure 4, of made-up strengths, and where there are none."""

from __future__ import annotations

import pytest
import torch
from fgbg_zoo_seigan.preferences import bradley_terry
from fgbg_zoo_seigan.preferences import count_wins
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st


def test_the_strengths_of_figure_4_follow_from_its_table() -> None:
    # Ground truth, SEIGAN-Full, SEIGAN-Coarse, NoCycle: the share of comparisons that the row won.
    table = torch.tensor([[0.0, 0.70, 0.72, 0.84], [0.30, 0, 0.55, 0.73], [0.28, 0.45, 0, 0.68], [0.16, 0.27, 0.32, 0]])
    strengths = bradley_terry(table)
    assert strengths.tolist() == pytest.approx([0.496, 0.227, 0.188, 0.088], abs=1e-3)
    assert strengths.tolist() == pytest.approx([0.50, 0.23, 0.19, 0.09], abs=0.01)


@settings(deadline=None)
@given(st.lists(st.floats(0.05, 1), min_size=2, max_size=6))
def test_wins_at_exactly_the_models_rates_give_the_strengths_back(values: list[float]) -> None:
    strengths = torch.tensor(values, dtype=torch.float64)
    rates = strengths[:, None] / (strengths[:, None] + strengths)
    torch.testing.assert_close(bradley_terry(rates), strengths / strengths.sum(), atol=1e-6, rtol=0)


def test_two_candidates_have_their_shares() -> None:
    assert bradley_terry(count_wins([*[("a", "b")] * 3, ("b", "a")], ["a", "b"])).tolist() == pytest.approx(
        [0.75, 0.25]
    )


@pytest.mark.parametrize(
    ("wins", "says"),
    [
        (torch.ones(2, 3), "not \\(2, 3\\)"),
        (torch.tensor([[0.0, -1], [1, 0]]), "not negative"),
        (torch.tensor([[0.0, 1], [0, 0]]), "never won"),
        (torch.block_diag(torch.ones(2, 2), torch.ones(2, 2)), "never won"),
    ],
)
def test_what_has_no_strengths_is_refused(wins: torch.Tensor, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        bradley_terry(wins)


def test_a_vote_is_between_two_candidates() -> None:
    with pytest.raises(ValueError, match="between two of"):
        count_wins([("a", "a")], ["a", "b"])
