"""The Bradley-Terry model of pairwise preferences, with which the paper's figure 4 ranks its variants.

Bradley & Terry, "Rank Analysis of Incomplete Block Designs", Biometrika 1952; the minorisation-maximisation iteration
is that of Hunter, "MM Algorithms for Generalized Bradley-Terry Models", Annals of Statistics 2004, eq. 3.
"""

from __future__ import annotations

from collections.abc import Hashable
from collections.abc import Iterable

import torch
from torch import Tensor

_ITERATIONS = 10_000
_CONVERGED = 1e-12


def count_wins(votes: Iterable[tuple[Hashable, Hashable]], candidates: list[Hashable]) -> Tensor:
    """(K,K) float64: how often each candidate (row) was preferred to each other one (column).

    Args:
        votes: (preferred, other), one for each answer of an assessor.
        candidates: in the order of the rows.

    Raises:
        ValueError: for a vote between a candidate and itself, or for one that is not a candidate.
    """
    place = {candidate: index for index, candidate in enumerate(candidates)}
    wins = torch.zeros(len(place), len(place), dtype=torch.float64)
    for preferred, other in votes:
        if preferred not in place or other not in place or preferred == other:
            raise ValueError(f"a vote must be between two of {candidates}, not {preferred} and {other}")
        wins[place[preferred], place[other]] += 1
    return wins


def bradley_terry(wins: Tensor) -> Tensor:
    """The strengths p that make the wins most likely, where i is preferred to j with probability p_i / (p_i + p_j).

    Args:
        wins: (K,K), how often, or in which share of equally many comparisons, the row was preferred to the column. The
            diagonal is ignored.

    Returns:
        (K,) float64 of sum 1.

    Raises:
        ValueError: for another shape, negative or infinite numbers; and where no strengths are most likely, because
            some candidates never won against the others, or never met them.
    """
    if wins.dim() != 2 or wins.shape[0] != wins.shape[1] or len(wins) < 2:
        raise ValueError(f"wins must be (K,K) with K >= 2, not {tuple(wins.shape)}")
    wins = wins.double().clone().fill_diagonal_(0)
    if not torch.isfinite(wins).all() or (wins < 0).any():
        raise ValueError("wins must be finite and not negative")
    if not _all_reach_all(wins > 0):
        raise ValueError("some candidates never won against the others, directly or in turn: no finite strengths fit")
    met, won = wins + wins.T, wins.sum(1)
    strengths = torch.full_like(won, 1 / len(won))
    for _ in range(_ITERATIONS):
        updated = won / (met / (strengths[:, None] + strengths)).sum(1)
        updated /= updated.sum()
        change = (updated - strengths).abs().max()
        strengths = updated
        if change < _CONVERGED:
            break
    return strengths


def _all_reach_all(beat: Tensor) -> bool:
    """Whether every candidate beat every other one, directly or through others (Hunter's assumption 1)."""
    reach = beat | torch.eye(len(beat), dtype=torch.bool)
    for _ in range(len(beat)):
        reach = (reach.double() @ reach.double()) > 0
    return bool(reach.all())
