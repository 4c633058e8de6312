"""Which concept a picture is looked through for: one that is said, or the one that the foundation model sees in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from typing import Final

import torch
from torch import Tensor

from fgbg_zoo.errors import InputError
from fgbg_zoo_concept_distillation import tokens
from fgbg_zoo_concept_distillation.attention import capturing
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion
from fgbg_zoo_concept_distillation.pipeline import predict
from fgbg_zoo_concept_distillation.pipeline import together
from fgbg_zoo_concept_distillation.sampling import noise_of

_TIMES: Final = (101, 201, 301, 401, 501, 601)


@dataclass(frozen=True)
class Concept:
    """What is looked for.

    Attributes:
        words: one, or several with commas between them.
        prompt: which has them.
    """

    words: str
    prompt: str


def check_concept(words: str, prompt: str | None, known: Sequence[str]) -> Concept:
    """A concept that a user named.

    Args:
        words: one word, or several with commas between them.
        prompt: which has them; "a photo of a ..." if ``None``.
        known: the concepts that the foundation model learned; empty where it knows the language.

    Raises:
        InputError: for no word, an empty prompt, or a word that is not known.
    """
    named, words_known = tokens.words_of(words), _words(known)
    if unknown := [word for word in named if known and word.lower() not in words_known]:
        raise InputError(f"The model does not know the concept '{unknown[0]}'; it knows {', '.join(known)}.")
    if prompt is not None and not prompt.strip():
        raise InputError("The prompt is empty; leave it out, or say what the picture shows, as 'a photo of a bird'.")
    if prompt is None:
        prompt = tokens.prompt_of(named[0]) if len(named) == 1 else f"a photo of {' and '.join(named)}"
    return Concept(words, prompt)


def concept_of(caption: str, known: Sequence[str] = ()) -> str | None:
    """The concept of a caption "a photo of a ...": the first word that is known, or else the one after the article."""
    words = caption.lower().replace(",", " ").replace(".", " ").split()
    if known:
        words_known = _words(known)
        return next((word for word in words if word in words_known), None)
    for before, word in pairwise(words):
        if before in ("a", "an") and word != "photo":
            return word
    return None


def recognise(pipeline: LatentDiffusion, latents: Tensor, known: Sequence[str], *, seed: int = 0) -> list[str]:
    """For each picture the concept under whose prompt its noise is predicted best.

    Li et al., "Your Diffusion Model is Secretly a Zero-Shot Classifier" (arXiv 2303.16203), with the same noise for all
    concepts.

    Args:
        pipeline: the foundation model.
        latents: (P,C,h,h).
        known: the concepts to choose from.
        seed: of the noise, which is the same for all pictures.
    """
    side, device = latents.shape[-1], latents.device
    noises = torch.stack([noise_of(seed + t, latents.shape[1:]) for t in _TIMES]).to(device)
    times = torch.tensor(_TIMES, device=device)
    pairs = torch.arange(len(latents) * len(times), device=device)
    errors = torch.zeros(len(known), len(latents), device=device)
    for row, word in zip(errors, known, strict=True):
        context = pipeline.embed([check_concept(word, None, ()).prompt])
        with capturing(pipeline.unet, context, None, side):  # only so that keys and values are computed once
            for part in torch.split(pairs, together(pipeline.unet, latents)):
                picture, place = part // len(times), part % len(times)
                x, noise, t = latents[picture].float(), noises[place], times[place]
                found = predict(pipeline.unet, pipeline.add_noise(x, noise, t).to(latents.dtype), t, context)
                row.index_add_(0, picture, (found - pipeline.target(x, noise, t)).float().pow(2).mean((1, 2, 3)))
    return [known[number] for number in errors.argmin(0).tolist()]


def _words(known: Sequence[str]) -> set[str]:
    """The single words of some concepts, in small letters."""
    return {word.lower() for concept in known for word in tokens.words_of(concept)}


def groups(concepts: Sequence[Any]) -> dict[Any, list[int]]:
    """The places of equal concepts."""
    found: dict[Any, list[int]] = {}
    for place, concept in enumerate(concepts):
        found.setdefault(concept, []).append(place)
    return found
