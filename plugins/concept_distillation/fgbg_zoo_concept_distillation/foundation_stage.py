"""The foundation's training: ``autoencoder/``, ``latents/``, ``diffusion/`` and, in the end, ``pipeline/``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import Final

from torch import Tensor

from fgbg_zoo.data import Dataset
from fgbg_zoo.data.reduced import Reduced
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import TrainingError
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
from fgbg_zoo_concept_distillation.settings import AutoencoderSettings
from fgbg_zoo_concept_distillation.settings import DiffusionSettings
from fgbg_zoo_concept_distillation.stages import Run
from fgbg_zoo_concept_distillation.stages import digest

_SCALED_BY: Final = 1024
_MARK: Final = "made_from.json"


def train_foundation(run: Run, data: Dataset) -> Path:
    """Train a pipeline on captioned pictures, or find the one that is finished, and give its folder.

    Raises:
        DataError: for pictures without captions, or without backgrounds where a share of them is asked for.
        TrainingError: as `fgbg_zoo.training.fit`, or if the folder holds the pipeline of other settings or pictures.
        TrainingInterrupted: as `fgbg_zoo.training.fit`.
    """
    folder = run.out / "pipeline"
    s = run.settings.foundation
    check_captioned(data)
    pictures, backgrounds = _reduced(run, data), _backgrounds(run, data)
    about = _made_from(run, pictures, backgrounds)
    if run.resume and is_pipeline(folder):
        _check_made(folder, about)
        return folder
    autoencoder = _autoencoder(run, pictures)
    objects, others = (_latents(run, autoencoder, part) for part in (pictures, backgrounds))
    assert objects is not None
    scale = latent_scale(objects.values[:_SCALED_BY])
    captions = [*objects.captions, *(others.captions if others else [])]
    architecture = small_architecture(s, captions, scale)

    def task(stage: DiffusionSettings) -> DiffusionTask:
        pipeline = LatentDiffusion(architecture, {**build_parts(architecture), "vae": autoencoder})
        scaled = None if others is None else others.scaled(scale)
        return DiffusionTask(stage, pipeline, objects.scaled(scale), scaled, run.settings.seed)

    identity = {"autoencoder": digest(autoencoder), **{name: about[name] for name in ("data", "backgrounds")}}
    result = run.fit("diffusion", task, s.diffusion, identity=identity)
    parts = {"unet": result.modules["unet"], "text_encoder": result.modules["text_encoder"], "vae": autoencoder}
    return save_pipeline(LatentDiffusion(architecture, parts), folder, {_MARK: about})


def _autoencoder(run: Run, pictures: Dataset) -> Any:
    from diffusers import AutoencoderKL

    s = run.settings.foundation.autoencoder

    def task(stage: AutoencoderSettings) -> AutoencoderTask:
        return AutoencoderTask(stage, AutoencoderKL(**autoencoder_config(stage)))

    result = run.fit("autoencoder", task, s, {"x": pictures})
    return result.modules["vae"]


def _made_from(run: Run, pictures: Dataset, backgrounds: Dataset | None) -> dict[str, Any]:
    """What a pipeline follows from."""
    s = run.settings
    stages = {"autoencoder": s.foundation.autoencoder, "diffusion": s.own("diffusion", s.foundation.diffusion)}
    settings = {name: stage.model_dump(mode="json") for name, stage in stages.items()}
    own = {f"{name}.{key}": value for name, stage in settings.items() for key, value in stage.items()}
    fingerprints = {"data": pictures.fingerprint(), "backgrounds": backgrounds and backgrounds.fingerprint()}
    return {**own, "seed": s.seed, "precision": s.precision, **fingerprints}


def _check_made(folder: Path, about: Mapping[str, Any]) -> None:
    """Refuse a finished pipeline of another training.

    Raises:
        TrainingError: saying what differs.
    """
    try:
        known = json.loads((folder / _MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    wanted = json.loads(json.dumps(about))
    if known == wanted:
        return
    different = sorted(name for name in {*known, *wanted} if known.get(name) != wanted.get(name))
    pictures = [name for name in ("data", "backgrounds") if name in different]
    pairs = [f"{name} ({known.get(name)} there, {wanted.get(name)} now)" for name in different if name not in pictures]
    pairs = pairs[:3] or [f"pictures ({' and '.join(pictures)})"]
    reason = "it does not say what it was made from" if not known else f"other {', '.join(pairs)}"
    raise TrainingError(
        f"{folder} holds a pipeline of another training: {reason}. Choose another folder, or go on from it as it is: "
        f"--set pipeline={folder}."
    )


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
