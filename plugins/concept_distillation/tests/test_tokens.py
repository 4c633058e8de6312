"""Where words are in prompts, by a tokenizer that needs no files."""

from __future__ import annotations

import pytest
import torch
from fgbg_zoo_concept_distillation import tokens
from fgbg_zoo_concept_distillation.architecture import TokenizerArchitecture
from hypothesis import given
from hypothesis import strategies as st

from fgbg_zoo.errors import InputError
from fgbg_zoo.errors import SnapshotError

HUMAN = "a photo of a human with arms and legs"


def test_words_are_where_the_paper_has_them(pipeline) -> None:
    tokenizer = pipeline.tokenizer
    assert tokens.positions(tokenizer, "a photo of a bird", "bird") == [5]
    assert [tokens.positions(tokenizer, HUMAN, word) for word in ("human", "arms", "legs")] == [[5], [7], [9]]
    assert tokens.positions(tokenizer, "A photo of a BIRD", "bird") == [5]


def test_several_words_are_summed_and_the_pieces_of_one_averaged(pipeline) -> None:
    tokenizer = pipeline.tokenizer
    three = tokens.token_weights(tokenizer, HUMAN, "human, arms,legs")
    assert three.nonzero()[:, 0].tolist() == [5, 7, 9]
    assert three.sum() == 3
    pieces = tokens.positions(tokenizer, "a photo of a zebra", "zebra")
    assert len(pieces) > 1
    weights = tokens.token_weights(tokenizer, "a photo of a zebra", "zebra")
    assert weights.nonzero()[:, 0].tolist() == pieces
    assert torch.allclose(weights[pieces], torch.tensor(1 / len(pieces)))


def test_a_word_is_a_whole_word(pipeline) -> None:
    assert tokens.positions(pipeline.tokenizer, "a photo of birds and a bird", "bird")[0] > 5
    with pytest.raises(InputError, match="'bird' is not in the prompt 'a photo of birds'"):
        tokens.positions(pipeline.tokenizer, "a photo of birds", "bird")


def test_what_cannot_be_asked_has_its_own_sentence(pipeline) -> None:
    tokenizer = pipeline.tokenizer
    with pytest.raises(InputError, match="The prompt is empty"):
        tokens.encode(tokenizer, [" "])
    with pytest.raises(InputError, match="needs 102 tokens, and the tokenizer allows 77"):
        tokens.encode(tokenizer, ["bird " * 100])
    with pytest.raises(InputError, match="makes 90 tokens, and the tokenizer allows 75"):
        tokens.token_weights(tokenizer, f"a photo of a {'z' * 90}", "z" * 90)
    with pytest.raises(InputError, match="The concept is empty"):
        tokens.words_of(" , ")


def test_a_tokenizer_is_its_merges(pipeline) -> None:
    described = tokens.describe_tokenizer(pipeline.tokenizer)
    again = tokens.build_tokenizer(described)
    assert again.get_vocab() == pipeline.tokenizer.get_vocab()
    assert again(HUMAN).input_ids == pipeline.tokenizer(HUMAN).input_ids
    assert described == pipeline.architecture.tokenizer


def test_malformed_tokenizers_are_refused() -> None:
    with pytest.raises(SnapshotError, match="a pair of symbols"):
        tokens.build_tokenizer(TokenizerArchitecture(merges=("ab",)))
    with pytest.raises(SnapshotError, match="no symbol of its vocabulary"):
        tokens.build_tokenizer(TokenizerArchitecture(merges=("a b",), pad="padding"))


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=6), min_size=1, max_size=8, unique=True))
def test_every_word_that_merges_are_made_for_is_one_token(words) -> None:
    tokenizer = tokens.build_tokenizer(TokenizerArchitecture(merges=tokens.merges_of_words(words), length=32))
    for word in words:
        assert len(tokenizer(word).input_ids) == 3, word


def test_prompts_have_their_article() -> None:
    assert tokens.prompt_of("star") == "a photo of a star"
    assert tokens.prompt_of("arrow") == "a photo of an arrow"
