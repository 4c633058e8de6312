"""Training in stages: the layered generator, the choice of one, the segmenter on its pairs, the snapshot."""

from __future__ import annotations

import os
import shutil
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import ClassVar
from typing import Generic
from typing import TypeVar

import torch

from fgbg_zoo import provenance
from fgbg_zoo.data import Dataset
from fgbg_zoo.data.reduced import Reduced
from fgbg_zoo.errors import UsageError
from fgbg_zoo.interfaces import Event
from fgbg_zoo.interfaces import Trainer
from fgbg_zoo.settings import make_settings
from fgbg_zoo.snapshot import write_snapshot
from fgbg_zoo.training import LoopSettings
from fgbg_zoo.training import TrainResult
from fgbg_zoo.training import fit
from fgbg_zoo.training import seed_everything
from fgbg_zoo.training.checkpoint import Checkpoints
from fgbg_zoo.training.checkpoint import writing
from fgbg_zoo.training.lock import FolderLock
from fgbg_zoo_ilgan.candidates import Candidates
from fgbg_zoo_ilgan.candidates import check_metric
from fgbg_zoo_ilgan.generator import LayeredGenerator
from fgbg_zoo_ilgan.model import LayeredGAN
from fgbg_zoo_ilgan.names import registered_name
from fgbg_zoo_ilgan.pairs import GeneratedPairs
from fgbg_zoo_ilgan.perturbation import Perturbation
from fgbg_zoo_ilgan.segmenter import PairSegmenter
from fgbg_zoo_ilgan.segmenter import new_segmenter
from fgbg_zoo_ilgan.self_training import SelfLabelledPairs
from fgbg_zoo_ilgan.self_training import first_pictures
from fgbg_zoo_ilgan.settings import GanSettings
from fgbg_zoo_ilgan.stages import Segmenters
from fgbg_zoo_ilgan.stages import digest
from fgbg_zoo_ilgan.stages import staged
from fgbg_zoo_ilgan.task import GanTask

_PAIR_SEED = 1_000_000
"""Of the pairs, beside the training's: no picture that a candidate was chosen by is among them."""

S = TypeVar("S", bound=GanSettings)


class LayeredTrainer(Trainer, Generic[S]):
    """What both methods' trainers share.

    Everything is kept in the folder of the training: ``gan/``, ``segmenter/`` and, at the end, ``snapshot/``; each
    stage has its own checkpoints, and what is finished is not done again.

    Args:
        preset: one of `presets`; the first one if ``None``.
        **settings: fields of `Settings`, over the preset's; nested ones may name some of their fields only.
    """

    Settings: ClassVar[type[Any]] = GanSettings
    method: ClassVar[str]
    presets: ClassVar[dict[str, dict[str, Any]]]

    def __init__(self, preset: str | None = None, **settings: Any) -> None:
        super().__init__(preset or next(iter(self.presets)), **settings)
        if self.preset not in self.presets:
            raise UsageError(f"'{self.method}' has the presets {', '.join(self.presets)}, not '{preset}'.")
        self.configured: S = make_settings(self.Settings, _merged(self.presets[self.preset], settings), self.method)

    @abstractmethod
    def task(self, candidates: Candidates | None, segmenter: PairSegmenter | None) -> GanTask:
        """The adversarial training; a method gives its own."""

    def fit(
        self, data: Dataset, out: str | Path, *, resume: bool = True, on_event: Callable[[Event], None] | None = None
    ) -> Path:
        """Train on the pictures of a data set; masks, if it has any, are only watched, on its ``val`` split.

        Raises:
            TrainingError, TrainingInterrupted: as `fgbg_zoo.training.fit`.
            UsageError: for an encoder or a metric that the last stages cannot use, before the first one begins; for
                more than one process.
            NotAvailableError: for pretrained weights that are not here and cannot be downloaded.
        """
        s, out = self.configured, Path(out)
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UsageError(f"'{self.method}' trains in one process, and on one accelerator; start it without others.")
        new_segmenter(s.segmenter, pretrained=s.pairs.pretrained)
        if s.choose_every:
            check_metric(s.choose_by)
        source = {"command": provenance.command(), "commit": provenance.commit()}  # as it is when the training starts
        if not resume:
            _clear(out)
        pictures = self.pictures(data)
        gan, task, candidates = self.fit_gan(pictures, out, resume, on_event)
        generator, chosen = self.choose(gan, task, candidates)
        segmenter = self.fit_segmenter(generator, data, out, resume, on_event)
        folder = out / "snapshot"
        if gan.is_main:
            self._write(folder, generator, segmenter, data, {**source, **self._record(gan, chosen, segmenter)})
        return folder

    def pictures(self, data: Dataset) -> Dataset:
        """A data set's pictures at the generator's resolution, read larger first if `picture_size` says so."""
        side, read = self.configured.generator.resolution, self.configured.picture_size
        if read is None or read == side:
            return data.reopen(size=side)
        return Reduced(data.reopen(size=read), side)

    def fit_gan(
        self, pictures: Dataset, out: Path, resume: bool, on_event: Callable[[Event], None] | None
    ) -> tuple[TrainResult, GanTask, Candidates | None]:
        """The first stage."""
        return self.gan_stage(pictures, out, resume, on_event, self.configured.steps, None)

    def gan_stage(
        self,
        pictures: Dataset,
        out: Path,
        resume: bool,
        on_event: Callable[[Event], None] | None,
        steps: int,
        segmenter: PairSegmenter | None,
    ) -> tuple[TrainResult, GanTask, Candidates | None]:
        """The adversarial training up to a step, from where it is, with a frozen segmenter if there is one."""
        s = self.configured
        seed_everything(s.seed)
        candidates = None
        if s.choose_every:
            noise = "none" if s.noise == "none" else "const"
            folder, first = out / "gan" / "candidates", round(s.choose_from * s.steps)
            candidates = Candidates(folder, pictures, s.choose_by, s.choose_pictures, noise, first)
            if not resume:
                candidates.clear()
        task = self.task(candidates, segmenter)
        settings = s.model_copy(update={"evaluate_every": s.choose_every, "steps": steps})
        identity = s.model_dump(mode="json", exclude={*LoopSettings.model_fields, "pairs", "segmenter"})
        stage = staged(on_event, "gan")
        result = fit(task, {"x": pictures}, out / "gan", settings, identity=identity, resume=resume, on_event=stage)
        return result, task, candidates

    def choose(
        self, gan: TrainResult, task: GanTask, candidates: Candidates | None
    ) -> tuple[LayeredGenerator, dict[str, Any]]:
        """The averaged generator with the best score, or the last one, and how it was chosen."""
        generator = gan.modules["generator"]
        assert isinstance(generator, LayeredGenerator)
        if candidates is None:
            return generator, {"generator_step": gan.step}
        step, scores = candidates.best(gan.step)
        candidates.load(generator, step)
        return generator, {"generator_step": step, f"generators_{self.configured.choose_by}": scores}

    def fit_segmenter(
        self,
        generator: LayeredGenerator,
        data: Dataset,
        out: Path,
        resume: bool,
        on_event: Callable[[Event], None] | None,
        name: str = "segmenter",
        steps: int | None = None,
    ) -> tuple[PairSegmenter, dict[str, Any]]:
        """The segmenter's training on pairs of a generator, and what came out of it.

        With ``steps``, one that serves the generator's training and is no result: without self-training.
        """
        s, p = self.configured, self.configured.pairs
        generator = generator.eval().requires_grad_(False)
        generated = GeneratedPairs(
            generator,
            p.count,
            seed=_PAIR_SEED + s.seed,
            noise="none" if s.noise == "none" else p.noise,
            perturbation=Perturbation(**s.perturbation.model_dump()) if p.perturbed else None,
            cache_mb=p.cache_mb,
        )
        stages = Segmenters(s, data, out, resume, on_event, {"generator": digest(generator)})
        segmenter, found = stages.fit(generated, name, steps or p.steps)
        rounds = 0 if steps else p.self_rounds
        real = first_pictures(self.pictures(data), p.self_pictures) if rounds else torch.empty(0)
        for number in range(1, 1 + rounds):
            pairs = SelfLabelledPairs(generated, real, segmenter)
            own = f"{name}-self-{number}"
            segmenter, further = stages.fit(pairs, own, p.self_steps or p.steps, teacher=digest(segmenter))
            found = {**further, "hours": found["hours"] + further["hours"]}
        return segmenter, found

    def _record(
        self, gan: TrainResult, chosen: dict[str, Any], segmenter: tuple[PairSegmenter, dict[str, Any]]
    ) -> dict[str, Any]:
        found = dict(segmenter[1])
        return {
            "preset": self.preset,
            "settings": self.configured.model_dump(mode="json", exclude={"generator", "segmenter"}),
            "seed": self.configured.seed,
            "steps": gan.step,
            "pictures": gan.images,
            "device": gan.device,
            "hours": round(gan.hours + found.pop("hours"), 3),
            **chosen,
            **found,
        }

    def _write(
        self,
        folder: Path,
        generator: LayeredGenerator,
        segmenter: tuple[PairSegmenter, dict[str, Any]],
        data: Dataset,
        training: dict[str, Any],
    ) -> None:
        s = self.configured
        architecture = {"generator": s.generator.model_dump(), "segmenter": s.segmenter.model_dump()}
        network = LayeredGAN(**architecture)
        network.generator.load_state_dict(generator.state_dict())
        assert network.segmenter is not None
        network.segmenter.load_state_dict(segmenter[0].state_dict())
        about = {"data": data.name, "split": data.split, "fingerprint": data.fingerprint()}
        write_snapshot(
            folder,
            network,
            method=self.method,
            architecture=architecture,
            model=registered_name(self.method, data.name, s.generator.resolution),
            dataset=data.name,
            preprocessing={"size": s.segmenter.size, "range": [-1, 1]},
            training={**training, **about},
            license="Apache-2.0" if data.name == "scenes" else "",
        )


def _clear(out: Path) -> None:
    """Remove what an earlier training left, before the first stage: later stages begin where their folders are."""
    with FolderLock(out / "gan"), writing(out):
        for folder in (*out.glob("segmenter*"), out / "snapshot", out / "gan" / "candidates"):
            shutil.rmtree(folder, ignore_errors=not folder.exists())
        Checkpoints(out / "gan" / "checkpoints").clear()


def _merged(preset: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """A preset with some settings replaced, those of nested groups one by one."""
    merged = dict(preset)
    for name, value in settings.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = {**merged[name], **value} if both else value
    return merged
