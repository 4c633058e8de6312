"""The foundation's training: ``autoencoder/``, ``latents/``, ``diffusion/`` and, in the end, ``pipeline/``."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from typing import Final

from torch import Tensor

from fgbg_zoo.data import Dataset
from fgbg_zoo.data.reduced import Reduced
from fgbg_zoo.errors import DataError
from fgbg_zoo_concept_distillation.folder import is_pipeline
from fgbg_zoo_concept_distillation.folder import save_pipeline
from fgbg_zoo_concept_distillation.foundation import AutoencoderTask
from fgbg_zoo_concept_distillation.foundation import DiffusionTask
from fgbg_zoo_concept_distillation.foundation import autoencoder_config
from fgbg_zoo_concept_distillation.foundation import latent_scale
from fgbg_zoo_concept_distillation.foundation import small_architecture
from fgbg_zoo_concept_distillation.latents import Latents
from fgbg_zoo_concept_distillation.latents import cached_latents
from fgbg_zoo_concept_distillation.latents import check_captioned
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion
from fgbg_zoo_concept_distillation.pipeline import build_parts
from fgbg_zoo_concept_distillation.stages import Run
from fgbg_zoo_concept_distillation.stages import digest

_SCALED_BY: Final = 1024


def train_foundation(run: Run, data: Dataset) -> Path:
    """Train a pipeline on captioned pictures, or find the one that is finished, and give its folder.

    Raises:
        DataError: for pictures without captions, or without backgrounds where a share of them is asked for.
        TrainingError, TrainingInterrupted: as `fgbg_zoo.training.fit`.
    """
    folder = run.out / "pipeline"
    if run.resume and is_pipeline(folder):
        return folder
    s = run.settings.foundation
    check_captioned(data)
    pictures, backgrounds = _reduced(run, data), _backgrounds(run, data)
    autoencoder = _autoencoder(run, pictures)
    objects, others = (_latents(run, autoencoder, part) for part in (pictures, backgrounds))
    assert objects is not None
    scale = latent_scale(objects.values[:_SCALED_BY])
    captions = [*objects.captions, *(others.captions if others else [])]
    architecture = small_architecture(s, captions, scale)

    def task() -> DiffusionTask:
        pipeline = LatentDiffusion(architecture, {**build_parts(architecture), "vae": autoencoder})
        scaled = None if others is None else others.scaled(scale)
        return DiffusionTask(s.diffusion, pipeline, objects.scaled(scale), scaled, run.settings.seed)

    about = {"autoencoder": digest(autoencoder), "data": pictures.fingerprint()}
    result = run.fit("diffusion", task, _with_steps(run), identity=about)
    parts = {"unet": result.modules["unet"], "text_encoder": result.modules["text_encoder"], "vae": autoencoder}
    return save_pipeline(LatentDiffusion(architecture, parts), folder)


def _autoencoder(run: Run, pictures: Dataset) -> Any:
    from diffusers import AutoencoderKL

    s = run.settings.foundation.autoencoder

    def task() -> AutoencoderTask:
        return AutoencoderTask(s, AutoencoderKL(**autoencoder_config(s)))

    result = run.fit("autoencoder", task, s, {"x": pictures})
    return result.modules["vae"]


def _with_steps(run: Run) -> Any:
    """The noise predictor's settings; ``--steps`` is about it where only the foundation is trained."""
    stage = run.settings.foundation.diffusion
    if run.settings.stage == "foundation" and "steps" in run.settings.model_fields_set:
        return stage.model_copy(update={"steps": run.settings.steps})
    return stage


def _latents(run: Run, autoencoder: Any, pictures: Dataset | None) -> Latents | None:
    if pictures is None:
        return None
    device = next(autoencoder.parameters()).device

    def encode(images: Tensor) -> Tensor:
        modes: Tensor = autoencoder.encode(images.to(device) * 2 - 1).latent_dist.mode()
        return modes

    return cached_latents(encode, pictures, run.out / "latents", digest(autoencoder))


def _reduced(run: Run, data: Dataset) -> Dataset:
    """A data set's pictures at the pipeline's size, read larger first if ``picture_size`` says so."""
    s = run.settings.foundation
    side, read = s.autoencoder.size, s.picture_size
    return data.reopen(size=side) if read in (None, side) else Reduced(data.reopen(size=read), side)


def _backgrounds(run: Run, data: Dataset) -> Dataset | None:
    if not run.settings.foundation.diffusion.backgrounds:
        return None
    found = data.backgrounds()
    if found is None:
        raise DataError(
            f"'{data.name}' has no pictures of backgrounds alone; give some (--backgrounds FOLDER), or train without: "
            "--set foundation.diffusion.backgrounds=0."
        )
    check_captioned(found)
    return _reduced(run, found)
