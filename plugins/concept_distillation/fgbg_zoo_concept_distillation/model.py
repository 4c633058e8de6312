"""Concept distillation as a model of the zoo: preliminary and refined masks, the student, and layered pictures."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import Any
from typing import Final

import torch
from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from pydantic import ValidationError
from torch import Tensor
from torch import nn

from fgbg_zoo.errors import DeviceError
from fgbg_zoo.errors import InputError
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.interfaces import Generator
from fgbg_zoo.interfaces import Layers
from fgbg_zoo.interfaces import Segmenter
from fgbg_zoo_concept_distillation import tokens
from fgbg_zoo_concept_distillation.architecture import PipelineArchitecture
from fgbg_zoo_concept_distillation.concepts import Concept
from fgbg_zoo_concept_distillation.concepts import check_concept
from fgbg_zoo_concept_distillation.concepts import concept_of
from fgbg_zoo_concept_distillation.concepts import groups
from fgbg_zoo_concept_distillation.concepts import recognise
from fgbg_zoo_concept_distillation.geometry import Canvas
from fgbg_zoo_concept_distillation.geometry import Geometry
from fgbg_zoo_concept_distillation.geometry import to_canvas
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion
from fgbg_zoo_concept_distillation.pipeline import build_unet
from fgbg_zoo_concept_distillation.plugin import MODES
from fgbg_zoo_concept_distillation.preliminary import MapSettings
from fgbg_zoo_concept_distillation.preliminary import attention_maps
from fgbg_zoo_concept_distillation.preliminary import preliminary_mask
from fgbg_zoo_concept_distillation.refinement import RefineSettings
from fgbg_zoo_concept_distillation.refinement import fill_background
from fgbg_zoo_concept_distillation.refinement import mirrored_background
from fgbg_zoo_concept_distillation.refinement import refined_mask
from fgbg_zoo_concept_distillation.sampling import denoise
from fgbg_zoo_concept_distillation.sampling import noise_of
from fgbg_zoo_concept_distillation.settings import BACKGROUND
from fgbg_zoo_concept_distillation.student import Student
from fgbg_zoo_concept_distillation.student import StudentArchitecture

PerPicture = str | Sequence[str | None] | None
"""A text for all pictures, or one for each."""

_TOGETHER: Final = 32  # generated pictures
_APART: Final = 1_000_003  # seeds of two generations
_MOST: Final = 2**63 - 1
_ALONE: Final = threading.RLock()  # capturing attention exchanges parts of a U-Net for a while


class Architecture(BaseModel):
    """The model. Everything here is in a snapshot's ``config.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pipeline: PipelineArchitecture
    concepts: tuple[str, ...] = Field((), description="what it looks for, and generates, where nothing else is said")
    closed: bool = Field(False, description="whether the foundation model knows no other words than these")
    prompt: str | None = Field(None, description="of the concepts, with their words in it; null: a photo of a ...")
    background: str = Field(BACKGROUND, min_length=1, description="the prompt of backgrounds")
    tuned: bool = Field(False, description="whether there is a fine-tuned U-Net beside the pipeline's own")
    student: StudentArchitecture | None = None
    preliminary_student: bool = Field(False, description="whether there is a student of preliminary masks, to compare")
    maps: MapSettings = Field(default_factory=MapSettings)
    refine: RefineSettings = Field(default_factory=RefineSettings)
    geometry: Geometry = "letterbox"


class ConceptDistillation(nn.Module, Segmenter, Generator):
    """The foundation model, its fine-tuned U-Net, and the student.

    Args:
        pipeline: the foundation model, or its architecture.
        **architecture: the other fields of `Architecture`.
    """

    def __init__(self, pipeline: LatentDiffusion | dict[str, Any], **architecture: Any) -> None:
        super().__init__()
        described = pipeline.architecture if isinstance(pipeline, LatentDiffusion) else pipeline
        self.architecture = a = Architecture(**{**architecture, "pipeline": described})
        self.pipeline = pipeline if isinstance(pipeline, LatentDiffusion) else LatentDiffusion(a.pipeline)
        self.tuned: nn.Module | None = build_unet(a.pipeline) if a.tuned else None
        student = None if a.student is None else a.student.model_dump()
        self.student = None if student is None else Student(**student)
        self.preliminary_student = Student(**student) if student is not None and a.preliminary_student else None

    @property
    def unet(self) -> Any:
        """The fine-tuned U-Net, or the pipeline's own where there is none."""
        return self.pipeline.unet if self.tuned is None else self.tuned

    def with_students(self, student: Student, other: Student | None = None) -> ConceptDistillation:
        """The same networks with a student, and perhaps one of preliminary masks to compare with."""
        a = self.architecture
        made = copy.copy(self)
        made._modules = dict(self._modules)
        made.architecture = a.model_copy(
            update={
                "tuned": self.tuned is not None,
                "student": student.architecture,
                "preliminary_student": other is not None,
            }
        )
        made.student, made.preliminary_student = student, other
        return made

    def segment(
        self,
        images: Tensor,
        *,
        concept: PerPicture = None,
        prompt: PerPicture = None,
        caption: PerPicture = None,
        mode: str | None = None,
        seed: int = 0,
        times: int | None = None,
        steps: int | None = None,
        **options: Any,
    ) -> Tensor:
        """Masks by one of the stages; several threads may ask, and those that need the diffusion model take turns.

        Args:
            images: (B,3,H,W) in [0,1].
            concept: what to look for; a student does not ask. ``None``: the only one that the model knows, or for each
                picture the one that it sees in it (`recognise`).
            prompt: with the concept's words in it; "a photo of a ..." if ``None``.
            caption: "a photo of a ...", which names the concept where ``concept`` does not. All three may be lists,
                with one for each picture.
            mode: one of `MODES`; ``None`` for the last stage that there is. ``"refined"`` works without fine-tuning,
                too: the pipeline's own U-Net fills in then.
            seed: of the noise, which is the same for all pictures; 0 to 2**63 - 1.
            times: noise levels that preliminary masks look at, the smallest ones; the config's, 40, if ``None``.
            steps: of filling in backgrounds; the config's, 50, if ``None``.
            **options: none.

        Returns:
            (B,1,H,W) in [0,1].

        Raises:
            InputError: for a concept or prompt that cannot be used, or pictures smaller than a latent cell.
            NotAvailableError: for a stage that the model does not have.
            DeviceError: if the attention overflows, as it may in half precision.
        """
        mode = mode or (
            "student" if self.student is not None else "refined" if self.tuned is not None else "preliminary"
        )
        if mode in ("student", "preliminary-student"):
            student = self.student if mode == "student" else self.preliminary_student
            if student is None:
                raise NotAvailableError(
                    f"The model has no {mode.replace('-', ' ')}; other modes: {', '.join(MODES[1:4])}."
                )
            return student.segment(images)
        if not 0 <= seed <= _MOST:
            raise InputError(f"seed must be an integer from 0 to 2**63 - 1, not {seed}.")
        work, a = self._with(times, steps), self.architecture
        with _ALONE:
            canvas = to_canvas(images, a.pipeline.size, self.pipeline.factor, a.geometry)
            latents = self.pipeline.encode(canvas.pictures)
            asked = self._asked(latents, concept, prompt, caption, seed)
            found = work.masks(canvas, latents, asked, mode, [seed] * len(images))
        return torch.stack(canvas.back(found[:, None])).to(images.dtype)

    def _with(self, times: int | None, steps: int | None) -> ConceptDistillation:
        """The same networks with other settings."""
        if times is None and steps is None:
            return self
        a, made = self.architecture, copy.copy(self)
        maps = a.maps if times is None else {**a.maps.model_dump(), "times": times}
        refine = a.refine if steps is None else {**a.refine.model_dump(), "steps": steps}
        try:
            made.architecture = a.model_copy(
                update={"maps": MapSettings.model_validate(maps), "refine": RefineSettings.model_validate(refine)}
            )
        except ValidationError as error:
            found = error.errors()[0]
            where = ".".join(map(str, found["loc"])) or "times"
            raise InputError(f"{where}: {found['msg'].removeprefix('Value error, ')}.") from error
        return made

    def masks(
        self, canvas: Canvas, latents: Tensor, concepts: Sequence[Concept], mode: str, seeds: Sequence[int]
    ) -> Tensor:
        """(B,k,k) bool masks of concepts on canvases, by a mode that needs no student.

        Args:
            canvas: the pictures.
            latents: (B,C,h,h) of them.
            concepts: what to look for in each.
            mode: ``"preliminary"``, of the latents' size; ``"refined"`` or ``"mirrored"``, of the canvas's.
            seeds: of each picture's noise.
        """
        mask = self.preliminary(canvas, latents, concepts, seeds)
        if mode == "preliminary":
            return mask
        if mode == "mirrored":
            return refined_mask(canvas, mirrored_background(canvas, mask), mask, self.architecture.refine)
        return self.refined(canvas, latents, mask, self.contexts(concepts), seeds)

    def preliminary(self, canvas: Canvas, latents: Tensor, concepts: Sequence[Concept], seeds: Sequence[int]) -> Tensor:
        """(B,h,h) bool preliminary masks, of the latents' size; arguments as in `masks`."""
        settings, side = self.architecture.maps, latents.shape[-1]
        maps = torch.zeros(len(latents), side, side, device=latents.device)
        for concept, places in groups(concepts).items():
            weights = tokens.token_weights(self.pipeline.tokenizer, concept.prompt, concept.words).to(latents.device)
            context, own = self.pipeline.embed([concept.prompt]), [seeds[place] for place in places]
            maps[places] = attention_maps(
                self.pipeline, latents[places], context, weights, seeds=own, settings=settings
            )
        _check_finite(maps, "attention", latents)
        return preliminary_mask(maps, settings, canvas.valid(side))

    def contexts(self, concepts: Sequence[Concept]) -> Tensor:
        """(B,L,D), the concepts' prompts."""
        prompts = [concept.prompt for concept in concepts]
        named = sorted(set(prompts))
        return self.pipeline.embed(named)[[named.index(prompt) for prompt in prompts]]

    def refined(self, canvas: Canvas, latents: Tensor, mask: Tensor, counter: Tensor, seeds: Sequence[int]) -> Tensor:
        """(B,S,S) bool refined masks of preliminary ones; ``counter`` (B or 1,L,D) is the object's prompt."""
        filled = self.background(latents, mask, counter, seeds)
        return refined_mask(canvas, filled, mask, self.architecture.refine)

    def background(self, latents: Tensor, mask: Tensor, context: Tensor, seeds: Sequence[int]) -> Tensor:
        """(B,3,S,S) in [-1,1]: the pictures with background where a mask (B,h,h) is; ``context`` is the object's."""
        own = self.pipeline.embed([self.architecture.background])
        settings = self.architecture.refine
        filled = fill_background(self.pipeline, self.unet, latents, mask, own, context, seeds=seeds, settings=settings)
        _check_finite(filled, "background", latents)
        return filled

    def generate(
        self,
        n: int,
        *,
        seed: int = 0,
        images: Tensor | None = None,
        backgrounds: Tensor | None = None,
        concept: str | None = None,
        guidance: float = 1.0,
        **options: Any,
    ) -> Layers:
        """Pictures of a concept by the fine-tuned U-Net, taken apart as pictures are: preliminary, then refined masks.

        Args:
            n: how many.
            seed: picture number ``i`` follows from it and ``i``.
            images: not used.
            backgrounds: not used.
            concept: of all pictures; ``None``: those that the model knows, in turns.
            guidance: away from the background's prompt; 1, as in the paper, for none.
            **options: none.

        Returns:
            Layers of the pipeline's size: the picture; the same with the foreground filled in; the foreground, black
            where it is not; the refined mask, 0 or 1.
        """
        known = self.architecture.concepts
        if concept is None and not known:
            raise InputError("Say what the pictures shall show, as concept='bird'.")
        words = [concept] * n if concept is not None else [known[number % len(known)] for number in range(n)]
        return self.synthesise(words, [seed_of(seed, place) for place in range(n)], guidance)

    def synthesise(self, words: Sequence[str], seeds: Sequence[int], guidance: float = 1.0) -> Layers:
        """Layers of pictures, each of its own concept and noise; see `generate`."""
        concepts, made = [self.concept(word) for word in words], []
        for start in range(0, len(words), _TOGETHER):
            places = slice(start, start + _TOGETHER)
            with _ALONE:
                made.append(self._generate(concepts[places], seeds[places], guidance))
        parts = ("image", "foreground", "background", "mask")
        image, foreground, background, mask = (torch.cat([getattr(one, name) for one in made]) for name in parts)
        return Layers(image, foreground, background, mask)

    def _generate(self, concepts: Sequence[Concept], seeds: Sequence[int], guidance: float) -> Layers:
        p = self.pipeline
        weight = next(p.vae.parameters())
        context, counter = self.contexts(concepts), p.embed([self.architecture.background])
        shape = (p.channels, p.side, p.side)
        start = torch.stack([noise_of(2 * seed % _MOST, shape) for seed in seeds]).to(weight)
        steps = self.architecture.refine.steps
        latents = denoise(p, self.unet, start, context, steps=steps, guidance=guidance, counter=counter)
        pictures = p.decode(latents)
        side = pictures.shape[-1]
        sizes = ((side, side),) * len(pictures)
        canvas = Canvas(pictures, sizes, sizes)
        further = [(2 * seed + 1) % _MOST for seed in seeds]
        preliminary = self.preliminary(canvas, latents, concepts, further)
        filled = self.background(latents, preliminary, context, further)
        mask = refined_mask(canvas, filled, preliminary, self.architecture.refine)[:, None].to(weight.dtype)
        image = pictures / 2 + 0.5
        background = mask * (filled / 2 + 0.5) + (1 - mask) * image
        return Layers(image, mask * image, background, mask)

    def _named(self, caption: str | None) -> str | None:
        if caption is None:
            return None
        a = self.architecture
        if found := concept_of(caption, a.concepts if a.closed else ()):
            return found
        known = f" of {', '.join(a.concepts)}" if a.closed else ""
        raise InputError(f"The caption '{caption}' names no concept{known}; say it, as concept='bird'.")

    def _asked(
        self, latents: Tensor, concept: PerPicture, prompt: PerPicture, caption: PerPicture, seed: int
    ) -> list[Concept]:
        """The concept of each picture: what is said, what its caption names, or what is seen in it."""
        count, known = len(latents), self.architecture.concepts
        said, prompts, captions = (_each(value, count) for value in (concept, prompt, caption))
        words = [word if word is not None else self._named(text) for word, text in zip(said, captions, strict=True)]
        if any(word is None and text is not None for word, text in zip(words, prompts, strict=True)):
            raise InputError("A prompt needs the concept in it that is looked for, as concept='bird'.")
        if left := [place for place, word in enumerate(words) if word is None]:
            if not known:
                raise InputError("Say what to look for, as concept='bird' (--concept bird on the command line).")
            seen = recognise(self.pipeline, latents[left], known, seed=seed) if len(known) > 1 else list(known) * count
            for place, word in zip(left, seen, strict=False):
                words[place] = word
        return [self.concept(word or "", text) for word, text in zip(words, prompts, strict=True)]

    def concept(self, words: str, prompt: str | None = None) -> Concept:
        """A concept that was named, checked; its prompt is the model's own where it has one and none is given."""
        a = self.architecture
        if prompt is None and words in a.concepts:
            prompt = a.prompt
        return check_concept(words, prompt, a.concepts if a.closed else ())


def seed_of(seed: int, place: int) -> int:
    """That of a generated picture, from the seed of them all and its place."""
    return seed * _APART + place


def _check_finite(found: Tensor, what: str, latents: Tensor) -> None:
    """Refuse what overflowed, which would make masks of nothing.

    Raises:
        DeviceError: naming the precision.
    """
    if not bool(torch.isfinite(found).all()):
        kind = str(latents.dtype).removeprefix("torch.")
        raise DeviceError(
            f"The {what} is not finite in {kind} on {latents.device.type}; choose another dtype, as bf16 or fp32."
        )


def _each(value: PerPicture, count: int) -> list[str | None]:
    return [value] * count if value is None or isinstance(value, str) else list(value)
