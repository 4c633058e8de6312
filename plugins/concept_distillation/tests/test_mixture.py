"""The mixture of two, against scikit-learn's, and the filter of orphans."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from fgbg_zoo_concept_distillation.mixture import cut
from fgbg_zoo_concept_distillation.mixture import majority
from fgbg_zoo_concept_distillation.mixture import two_means
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

mixtures = st.tuples(
    st.integers(0, 2**31), st.floats(0.1, 0.45), st.floats(2.5, 6.0), st.floats(0.5, 2.0), st.floats(1e-3, 1e3)
)


def planted(seed, share, apart, spread, scale=1.0, count=4096):
    """(1,64,64) scores, a share of which is from a second normal distribution."""
    random = np.random.default_rng(seed)
    many = round(count * share)
    scores = np.concatenate([random.normal(0, 1, count - many), random.normal(apart, spread, many)])
    return torch.from_numpy(scores).view(1, 64, -1) * scale


def scikit_learn(scaled: np.ndarray, **settings) -> GaussianMixture:
    """Its mixture of scores (N,1) in [0,1], from k-means that begins at both ends as ours does.

    Where two distributions overlap the likelihood is so flat that a random start ends elsewhere.
    """
    upper = KMeans(2, init=np.array([[0.0], [1.0]]), n_init=1, tol=0).fit(scaled).labels_ == 1
    parts = [scaled[~upper], scaled[upper]]
    start = {
        "weights_init": [len(part) / len(scaled) for part in parts],
        "means_init": [part.mean(0) for part in parts],
        "precisions_init": [[[1 / (part.var() + 1e-6)]] for part in parts],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(2, **start, **settings).fit(scaled)


@given(mixtures)
@settings(max_examples=40, deadline=None)
def test_the_means_are_those_of_scikit_learn_give_or_take_a_round(mixture) -> None:
    scores = planted(*mixture[:4])
    low, high = scores.min(), scores.max()
    scaled = ((scores - low) / (high - low)).view(-1, 1).numpy()
    found = (two_means(scores)[0][0].numpy() - float(low)) / float(high - low)
    rounds = scikit_learn(scaled).n_iter_
    others = [scikit_learn(scaled, tol=0, max_iter=count) for count in range(max(1, rounds - 1), rounds + 2)]
    assert min(np.abs(found - np.sort(other.means_[:, 0])).max() for other in others) <= 0.005


@given(mixtures)
@settings(max_examples=40, deadline=None)
def test_neither_scale_nor_order_nor_company_matters(mixture) -> None:
    scores = planted(*mixture[:4])
    mask = cut(scores)
    assert torch.equal(cut(scores * mixture[4] + 7), mask) or (cut(scores * mixture[4] + 7) ^ mask).sum() <= 4
    order = torch.randperm(4096, generator=torch.Generator().manual_seed(mixture[0]))
    shuffled = cut(scores.view(1, -1)[:, order])
    assert torch.equal(shuffled, mask.view(1, -1)[:, order])
    company = torch.cat([planted(1, 0.3, 4, 1), scores, torch.zeros(1, 64, 64).double()])
    assert torch.equal(cut(company)[1], mask[0])


def test_the_cut_is_halfway_between_the_means_or_where_both_are_as_likely() -> None:
    scores = planted(0, 0.15, 5, 2)
    means = two_means(scores)[0].mean()
    assert torch.equal(cut(scores), scores > means)
    likely = cut(scores, rule="posterior")
    assert not torch.equal(likely, cut(scores))
    assert bool((scores[likely].min() > scores[~likely].max() - 1e-9) | (scores[~likely] < means).all())


def test_what_is_more_likely_is_what_scikit_learn_predicts() -> None:
    for seed in range(5):
        scores = planted(seed, 0.3, 4, 0.7)
        low, high = scores.min(), scores.max()
        scaled = ((scores - low) / (high - low)).view(-1, 1).numpy()
        reference = scikit_learn(scaled)
        predicted = torch.from_numpy(reference.predict(scaled) == reference.means_[:, 0].argmax()).view(scores.shape)
        assert (cut(scores, rule="posterior") ^ predicted).float().mean() < 0.005


def test_constant_scores_have_no_foreground() -> None:
    for rule in ("midpoint", "posterior"):
        assert not cut(torch.full((2, 8, 8), 0.3), rule=rule).any()
    assert two_means(torch.zeros(1, 8, 8))[0].isnan().all()


def test_what_does_not_count_changes_nothing() -> None:
    scores = planted(0, 0.3, 5, 1)
    valid = torch.ones(1, 64, 64, dtype=torch.bool)
    valid[:, 48:] = False
    other = scores.clone()
    other[:, 48:] = 1e6
    mask = cut(other, valid)
    assert torch.equal(mask[:, :48], cut(scores[:, :48]))
    assert not mask[:, 48:].any()


def test_five_of_nine_are_the_majority_and_the_border_stays() -> None:
    for count, wanted in ((4, False), (5, True)):
        mask = torch.zeros(1, 5, 5, dtype=torch.bool)
        places = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 3)][:count]
        for row, column in places:
            mask[0, row, column] = True
        assert bool(majority(mask)[0, 2, 2]) is wanted
    border = torch.zeros(1, 5, 5, dtype=torch.bool)
    border[0, 0] = border[0, :, 4] = True
    assert torch.equal(majority(border)[0, 0], border[0, 0])
    assert torch.equal(majority(border)[0, :, 4], border[0, :, 4])
    assert torch.equal(majority(torch.ones(1, 2, 2, dtype=torch.bool)), torch.ones(1, 2, 2, dtype=torch.bool))


@pytest.mark.parametrize("seed", range(3))
def test_the_filter_is_that_of_a_box_mean(seed) -> None:
    mask = torch.rand(1, 17, 23, generator=torch.Generator().manual_seed(seed)) > 0.5
    mean = ndimage.uniform_filter(mask[0].numpy().astype(float), 3)
    expected = mask[0].numpy().copy()
    expected[1:-1, 1:-1] = mean[1:-1, 1:-1] >= 0.5 - 1e-9
    assert (majority(mask)[0].numpy() == expected).all()
