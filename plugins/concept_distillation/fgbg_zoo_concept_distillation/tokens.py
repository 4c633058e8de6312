"""CLIP's tokenizer without files, and where in a prompt a word is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from typing import Final

import torch
from tokenizers import Encoding
from tokenizers import Tokenizer
from tokenizers.models import BPE
from torch import Tensor
from transformers import CLIPTokenizer

from fgbg_zoo.errors import InputError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo_concept_distillation.architecture import TokenizerArchitecture

START: Final = "<|startoftext|>"
END: Final = "<|endoftext|>"
_WORD_END: Final = "</w>"


def build_tokenizer(architecture: TokenizerArchitecture) -> Any:
    """A ``CLIPTokenizer`` from its merges alone."""
    merges = [tuple(merge.split(" ")) for merge in architecture.merges]
    if any(len(pair) != 2 for pair in merges):
        raise SnapshotError("A merge of the tokenizer is a pair of symbols with a space between them.")
    vocabulary = _vocabulary([(left, right) for left, right in merges])
    if architecture.pad not in vocabulary:
        raise SnapshotError(f"The tokenizer's padding '{architecture.pad}' is no symbol of its vocabulary.")
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,
        unk_token=END,
        bos_token=START,
        eos_token=END,
        pad_token=architecture.pad,
        model_max_length=architecture.length,
    )


def describe_tokenizer(tokenizer: Any) -> TokenizerArchitecture:
    """The merges of a ``CLIPTokenizer``.

    Raises:
        SnapshotError: if it is another kind of tokenizer, or its vocabulary does not follow from its merges.
    """
    core: Tokenizer = tokenizer.backend_tokenizer
    if not isinstance(core.model, BPE):
        raise SnapshotError(f"A CLIP tokenizer is needed, and this is a {type(tokenizer).__name__}.")
    pairs = [tuple(pair) for pair in json.loads(core.to_str())["model"]["merges"]]
    if _vocabulary([(left, right) for left, right in pairs]) != tokenizer.get_vocab():
        raise SnapshotError("The tokenizer's vocabulary does not follow from its merges, as CLIP's does.")
    length = int(tokenizer.model_max_length)
    if length > 1024:
        raise SnapshotError(f"The tokenizer's longest prompt, {length} tokens, is not to be believed.")
    return TokenizerArchitecture(
        merges=tuple(f"{left} {right}" for left, right in pairs), length=length, pad=str(tokenizer.pad_token)
    )


def merges_of_words(words: Iterable[str]) -> tuple[str, ...]:
    """Merges that make each of some words, of ASCII letters, a token of its own."""
    ranks: dict[tuple[str, str], int] = {}
    for word in words:
        symbols = [*word.lower()[:-1], word.lower()[-1] + _WORD_END]
        while len(symbols) > 1:
            pairs = list(pairwise(symbols))
            place = min(range(len(pairs)), key=lambda place: ranks.get(pairs[place], len(ranks)))
            ranks.setdefault(pairs[place], len(ranks))
            symbols[place : place + 2] = ["".join(pairs[place])]
    return tuple(f"{left} {right}" for left, right in ranks)


def prompt_of(concept: str) -> str:
    """The prompt of a concept: "a photo of a star", "a photo of an arrow"."""
    article = "an" if concept[:1].lower() in tuple("aeiou") else "a"
    return f"a photo of {article} {concept}"


def words_of(concept: str) -> list[str]:
    """The words of a concept: one, or several with commas between them.

    Raises:
        InputError: if there is none.
    """
    words = [word.strip() for word in concept.split(",") if word.strip()]
    if not words:
        raise InputError("The concept is empty; say what to look for, as concept='bird'.")
    return words


def encode(tokenizer: Any, prompts: Sequence[str]) -> Tensor:
    """(N,L) token numbers of prompts, each filled up to the tokenizer's length.

    Raises:
        InputError: for an empty prompt, or one that is too long; nothing is cut off silently.
    """
    for prompt in prompts:
        if not prompt.strip():
            raise InputError("The prompt is empty; say what the picture shows, as 'a photo of a bird'.")
        needed = len(_encoding(tokenizer, prompt).ids)
        if needed > tokenizer.model_max_length:
            raise InputError(
                f"The prompt '{_short(prompt)}' needs {needed} tokens, and the tokenizer allows "
                f"{tokenizer.model_max_length}; use a shorter one."
            )
    numbers = tokenizer(list(prompts), padding="max_length", truncation=False).input_ids
    return torch.tensor(numbers)


def positions(tokenizer: Any, prompt: str, word: str) -> list[int]:
    """The places of a word's tokens in a prompt's, the start token's being 0.

    The word is found by its characters, so one that the tokenizer splits into several pieces has several places.

    Raises:
        InputError: if the prompt does not have the word, or the word is longer than the tokenizer allows.
    """
    limit = tokenizer.model_max_length
    pieces = len(_encoding(tokenizer, word).ids) - 2
    if pieces > limit - 2:
        raise InputError(
            f"The word '{_short(word)}' makes {pieces} tokens, and the tokenizer allows {limit - 2}; use a shorter one."
        )
    found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", prompt, re.IGNORECASE)
    if found is None:
        raise InputError(f"The word '{_short(word)}' is not in the prompt '{_short(prompt)}'; use one that has it.")
    spans = enumerate(_encoding(tokenizer, prompt).offsets)
    return [place for place, (start, end) in spans if start < found.end() and end > found.start()]


def token_weights(tokenizer: Any, prompt: str, concept: str) -> Tensor:
    """(L,) how much each token's attention counts: words are summed, the pieces of a word averaged."""
    weights = torch.zeros(tokenizer.model_max_length)
    for word in words_of(concept):
        places = positions(tokenizer, prompt, word)
        weights[places] += 1 / len(places)
    return weights


def _encoding(tokenizer: Any, text: str) -> Encoding:
    """The tokens of a text, with start and end, however many; transformers' own call warns of long ones."""
    core: Tokenizer = tokenizer.backend_tokenizer
    core.no_truncation()
    core.no_padding()
    return core.encode(text)


def _vocabulary(merges: Sequence[tuple[str, str]]) -> dict[str, int]:
    from tokenizers.pre_tokenizers import ByteLevel

    plain = [*map(chr, range(33, 127)), *map(chr, range(161, 173)), *map(chr, range(174, 256))]
    rest = sorted(set(ByteLevel.alphabet()) - set(plain))  # stand for control characters, the space and the like
    symbols = [*plain, *rest]
    words = [*symbols, *(symbol + _WORD_END for symbol in symbols), *("".join(pair) for pair in merges), START, END]
    return {word: number for number, word in enumerate(words)}


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
