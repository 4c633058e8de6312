"""The stages after the foundation: masks of the training's pictures, fine-tuning, refined masks, generated pictures."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from fgbg_zoo.data import Dataset
from fgbg_zoo.data import Sample
from fgbg_zoo.data.pictures import resize
from fgbg_zoo.devices import pick_device
from fgbg_zoo.errors import DataError
from fgbg_zoo_concept_distillation.concepts import Concept
from fgbg_zoo_concept_distillation.concepts import concept_of
from fgbg_zoo_concept_distillation.geometry import Canvas
from fgbg_zoo_concept_distillation.geometry import join
from fgbg_zoo_concept_distillation.geometry import on_canvas
from fgbg_zoo_concept_distillation.geometry import to_canvas
from fgbg_zoo_concept_distillation.geometry import with_shorter_side
from fgbg_zoo_concept_distillation.kept import kept
from fgbg_zoo_concept_distillation.model import ConceptDistillation
from fgbg_zoo_concept_distillation.model import seed_of
from fgbg_zoo_concept_distillation.settings import TuningSettings
from fgbg_zoo_concept_distillation.stages import Run
from fgbg_zoo_concept_distillation.stages import digest
from fgbg_zoo_concept_distillation.stages import digest_of
from fgbg_zoo_concept_distillation.student_task import Pair
from fgbg_zoo_concept_distillation.tuning import TuningData
from fgbg_zoo_concept_distillation.tuning import TuningTask
from fgbg_zoo_concept_distillation.tuning import plain_state

_GENERATED: Final = 500_000  # seeds of the training's pictures, beside those that users take first


class Distillation:
    """What is made of a foundation model and pictures; everything is kept in the training's folder.

    Args:
        run: the training.
        model: without a fine-tuned U-Net and a student yet.
        data: pictures of any sizes.
    """

    def __init__(self, run: Run, model: ConceptDistillation, data: Dataset) -> None:
        self.run, self.model, self.data = run, model, data
        self.settings = run.settings
        self.device = pick_device(self.settings.device)
        self.model.to(self.device).eval().requires_grad_(False)
        self.count = min(len(data), self.settings.tuning.pictures)
        described = model.architecture.pipeline.model_dump_json()
        self._foundation = digest_of([described, digest(model.pipeline)])

    def preliminary(self) -> list[dict[str, Tensor]]:
        """The first pictures' preliminary masks, ``mask`` (h,h) bool each."""

        def make(places: range) -> list[dict[str, Tensor]]:
            samples, canvas, latents = self._placed(places)
            concepts = [self.concept(sample.caption) for sample in samples]
            with self._precision():
                found = self.model.preliminary(canvas, latents, concepts, [self._seed(s.name) for s in samples])
            return [{"mask": mask} for mask in found]

        return self._kept("preliminary", make)

    def tune(self, masks: list[dict[str, Tensor]]) -> None:
        """Give the model a fine-tuned U-Net."""
        s, model = self.settings, self.model
        data = self._tuning_data(masks)

        def task(stage: TuningSettings) -> TuningTask:
            unet = copy.deepcopy(model.pipeline.unet).requires_grad_(True)
            return TuningTask(stage, model.pipeline, unet, data, s.seed)

        about = {**self._identity(), "maps": s.maps.model_dump(mode="json")}
        result = self.run.fit("tuning", task, s.tuning, identity=about)
        tuned = copy.deepcopy(model.pipeline.unet)
        tuned.load_state_dict(plain_state(result.modules["unet"]))
        model.tuned = tuned.to(self.device).eval().requires_grad_(False)

    def refined(self, masks: list[dict[str, Tensor]]) -> list[Pair]:
        """The first pictures and their refined masks, for the student (D_s of the paper)."""
        return self._pairs("refined", masks)

    def compared(self, masks: list[dict[str, Tensor]]) -> list[Pair]:
        """The first pictures and their preliminary masks, for a student to compare with."""
        return self._pairs("preliminary", masks)

    def generated(self) -> list[Pair]:
        """Generated pictures and their masks (D'_s of the paper)."""
        words, first = self.model.architecture.concepts, _GENERATED * (1 + self.settings.seed)
        side = self.settings.student.network.size

        def make(places: range) -> list[dict[str, Tensor]]:
            concepts = [words[place % len(words)] for place in places]
            with self._precision():
                layers = self.model.synthesise(concepts, [seed_of(first, place) for place in places])
            images, labels = (resize(part.float(), (side, side)) for part in (layers.image, layers.mask))
            return [{"image": _bytes(i), "label": _bytes(m)} for i, m in zip(images, labels, strict=True)]

        count, about = self.settings.student.synthetic, self._about_refinement()
        found = self._kept("generated", make, count, words=words, side=side, **about)
        return [(each["image"], each["label"]) for each in found]

    def concept(self, caption: str | None) -> Concept:
        """What a picture of the training shows.

        Raises:
            DataError: if neither the settings nor its caption say it.
        """
        s = self.settings
        words = s.concept or concept_of(caption or "", self.model.architecture.concepts)
        if words is None:
            said = f"the caption '{caption}' names none that is known" if caption else "they have no captions"
            raise DataError(f"What do the pictures of '{self.data.name}' show? {said}; say it by --set concept=bird.")
        return self.model.concept(words, s.prompt)

    def _pairs(self, mode: str, preliminary: list[dict[str, Tensor]]) -> list[Pair]:
        side = self.settings.student.network.size

        def make(places: range) -> list[dict[str, Tensor]]:
            samples, canvas, latents = self._placed(places)
            masks = torch.stack([preliminary[place]["mask"] for place in places]).to(self.device)
            if mode == "refined":
                masks = self._refined(samples, canvas, latents, masks)
            made = []
            for sample, mask in zip(samples, canvas.back(masks[:, None]), strict=True):
                size = with_shorter_side(sample.image.shape[-2:], side)
                image, label = (resize(part[None].float(), size)[0] for part in (sample.image, mask.cpu()))
                made.append({"image": _bytes(image), "label": _bytes(label)})
            return made

        about = self._about_refinement() if mode == "refined" else {}
        found = self._kept(f"{mode}-pairs", make, side=side, **about)
        return [(each["image"], each["label"]) for each in found]

    def _refined(self, samples: list[Sample], canvas: Canvas, latents: Tensor, masks: Tensor) -> Tensor:
        with self._precision():
            counter = self.model.contexts([self.concept(sample.caption) for sample in samples])
            seeds = [self._seed(sample.name) for sample in samples]
            return self.model.refined(canvas, latents, masks, counter, seeds)

    def _placed(self, places: range) -> tuple[list[Sample], Canvas, Tensor]:
        """Pictures of the data set, on canvases, and their latents."""
        samples = [self.data[index] for index in places]
        canvas = self._canvas([sample.image for sample in samples])
        with self._precision():
            return samples, canvas, self.model.pipeline.encode(canvas.pictures).float()

    def _tuning_data(self, masks: list[dict[str, Tensor]]) -> TuningData:
        """Views of the pictures as latents, with their masks and prompts."""
        s, p = self.settings.tuning, self.model.pipeline
        concepts = [self.concept(caption) for caption in self._captions()]
        named = sorted({concept.prompt for concept in concepts})
        contexts = p.embed([*named, self.settings.background])

        def make(places: range) -> list[dict[str, Tensor]]:
            made = []
            for index in places:
                image = self.data[index].image
                views = [self._view(image, masks[index]["mask"], index, number) for number in range(s.views)]
                pictures = torch.stack([picture for picture, _ in views]).to(self.device)
                with self._precision():
                    latents = p.encode(pictures * 2 - 1)
                made.append({"latents": latents.half(), "masks": torch.stack([mask for _, mask in views])})
            return made

        found = self._kept("views", make, views=s.views, maps=self.settings.maps.model_dump(mode="json"))
        latents = torch.stack([each["latents"] for each in found], 1)
        covered = torch.stack([each["masks"] for each in found], 1)
        rows = torch.tensor([named.index(concept.prompt) for concept in concepts])
        return TuningData(latents, covered, rows, contexts.float().cpu())

    def _captions(self) -> list[str | None]:
        """Those of the first pictures; none where the settings say the concept, so that no picture is opened for it."""
        said = self.settings.concept is not None
        return [None if said else self.data[index].caption for index in range(self.count)]

    def _view(self, image: Tensor, mask: Tensor, index: int, number: int) -> tuple[Tensor, Tensor]:
        """A square of a picture (3,S,S), its shorter side S, and the mask of it (k,k); every second one mirrored."""
        side, cells = self.model.architecture.pipeline.size, self.model.pipeline.side
        size = with_shorter_side(image.shape[-2:], side)
        canvas = to_canvas(image[None], side, self.model.pipeline.factor, self.model.architecture.geometry)
        h, w = canvas.boxes[0]
        covered = on_canvas(mask[None, None].float(), side, "nearest")[..., :h, :w]
        covered = F.interpolate(covered, size, mode="nearest")[0]
        picture = resize(image[None], size)[0]
        random = torch.Generator().manual_seed(self._seed(f"{index}/{number}"))
        top, left = (int(torch.randint(length - side + 1, (), generator=random)) for length in size)
        picture, covered = (part[:, top : top + side, left : left + side] for part in (picture, covered))
        if number % 2:
            picture, covered = picture.flip(-1), covered.flip(-1)
        small = F.adaptive_avg_pool2d(covered, cells)[0] >= 0.5
        return picture, small

    def _canvas(self, images: list[Tensor]) -> Canvas:
        a = self.model.architecture
        placed = [to_canvas(image[None], a.pipeline.size, self.model.pipeline.factor, a.geometry) for image in images]
        joined = join(placed)
        return Canvas(joined.pictures.to(self.device), joined.boxes, joined.sizes, joined.counts_all)

    def _kept(self, name: str, make: Any, count: int | None = None, **further: Any) -> list[dict[str, Tensor]]:
        identity = {**self._identity(), "maps": self.settings.maps.model_dump(mode="json"), **further}
        folder, told = self.run.out / name, self.run.staged(name)
        return kept(folder, identity, self.count if count is None else count, make, on_event=told)

    def _seed(self, name: str) -> int:
        """A picture's own, whatever its place."""
        return int.from_bytes(hashlib.sha256(f"{self.settings.seed}/{name}".encode()).digest()[:7], "big")

    def _identity(self) -> dict[str, Any]:
        s = self.settings
        asked = {"concept": s.concept, "prompt": s.prompt, "background": s.background, "seed": s.seed}
        return {**asked, "precision": s.precision, "foundation": self._foundation, "data": self.data.fingerprint()}

    def _about_refinement(self) -> dict[str, Any]:
        return {"unet": digest(self.model.unet), "refine": self.settings.refine.model_dump(mode="json")}

    @contextmanager
    def _precision(self) -> Iterator[None]:
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        kind = kinds.get(self.settings.precision)
        with torch.no_grad(), torch.autocast(self.device.type, kind or torch.bfloat16, enabled=kind is not None):
            yield


def _bytes(picture: Tensor) -> Tensor:
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8).cpu()
