"""Pipelines in the layout of diffusers: a folder with ``model_index.json`` and a folder for each part."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import logging
import shutil
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import Final

from fgbg_zoo.errors import OutputError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo_concept_distillation import tokens
from fgbg_zoo_concept_distillation.architecture import PipelineArchitecture
from fgbg_zoo_concept_distillation.architecture import keywords
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion

INDEX: Final = "model_index.json"
PARTS: Final = {
    "unet": ("config.json", "U-Net"),
    "vae": ("config.json", "autoencoder"),
    "text_encoder": ("config.json", "text encoder"),
    "tokenizer": ("tokenizer_config.json", "tokenizer"),
    "scheduler": ("scheduler_config.json", "scheduler"),
}


def is_pipeline(folder: Path) -> bool:
    """Whether a folder looks like a pipeline."""
    return (folder / INDEX).is_file()


def open_pipeline(folder: str | Path) -> LatentDiffusion:
    """Read a pipeline: a folder that was saved, or that of a download of the Hub.

    Its weights must be safetensors; nothing is unpickled.

    Raises:
        SnapshotError: if it is no pipeline, lacks a part, or has parts of other kinds.
    """
    folder = Path(folder)
    check_complete(folder)
    from diffusers import AutoencoderKL
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel
    from transformers import CLIPTokenizer

    classes = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel}
    try:
        with _quiet():
            parts = {name: _read(kind, folder / name) for name, kind in classes.items()}
            tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except SnapshotError:
        raise
    except Exception as error:  # of diffusers, transformers, safetensors, torch
        raise SnapshotError(f"The pipeline in {folder} cannot be read: {_line(error)}.") from error
    return LatentDiffusion(_describe(folder, parts, tokenizer), {name: part.eval() for name, part in parts.items()})


def save_pipeline(
    pipeline: LatentDiffusion, folder: str | Path, notes: Mapping[str, Mapping[str, Any]] | None = None
) -> Path:
    """Write a pipeline so that diffusers' ``StableDiffusionPipeline.from_pretrained`` and `open_pipeline` read it.

    Args:
        pipeline: what is written.
        folder: it gets its name when it is whole.
        notes: JSON files beside the parts, by their names.

    Raises:
        OutputError: if it cannot be written.
    """
    from diffusers import StableDiffusionPipeline

    folder = Path(folder)
    draft = folder.with_name(f".{folder.name}.tmp")
    pipeline.vae.register_to_config(scaling_factor=pipeline.scale)
    try:
        shutil.rmtree(draft, ignore_errors=True)
        with _quiet():
            StableDiffusionPipeline(
                vae=pipeline.vae,
                text_encoder=pipeline.text_encoder,
                tokenizer=pipeline.tokenizer,
                unet=pipeline.unet,
                scheduler=pipeline.scheduler,
                safety_checker=None,
                feature_extractor=None,
                requires_safety_checker=False,
            ).save_pretrained(draft, safe_serialization=True)
        for name, content in (notes or {}).items():
            (draft / name).write_text(json.dumps(dict(content), indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    except OSError as error:
        raise OutputError(f"The pipeline cannot be written to {folder}: {error.strerror or error}.") from error
    return folder


def check_complete(folder: Path) -> None:
    """Refuse a folder that is no pipeline, or that lacks a part.

    Raises:
        SnapshotError: naming what is not there.
    """
    if not folder.is_dir():
        raise SnapshotError(f"There is no folder {folder}.")
    if not is_pipeline(folder):
        raise SnapshotError(f"{folder} is no pipeline of diffusers: it holds no {INDEX}.")
    missing = [name for name, (file, _) in PARTS.items() if not (folder / name / file).is_file()]
    if missing == ["tokenizer"] and (folder / "tokenizer" / "tokenizer.json").is_file():
        return
    if missing:
        named = " and ".join(f"{PARTS[name][1]} ({name}/{PARTS[name][0]})" for name in missing)
        raise SnapshotError(f"The pipeline in {folder} has no {named}; get it again, with all of its parts.")


def _read(kind: Any, folder: Path) -> Any:
    """A part, in single precision, with all of its weights; the libraries would draw those that are not there."""
    part, found = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True, output_loading_info=True)
    for what, sentence in (("missing_keys", "lack"), ("mismatched_keys", "have another shape for")):
        if names := sorted(map(str, found.get(what, ()))):
            others = f" and {len(names) - 1} others" if len(names) > 1 else ""
            raise SnapshotError(f"The weights in {folder} {sentence} {names[0]}{others}; get them again, whole.")
    return part.float()


def _describe(folder: Path, parts: dict[str, Any], tokenizer: Any) -> PipelineArchitecture:
    """The architecture of networks that were read, without what is the default."""
    found = {name: _own(name, dict(parts[name].config)) for name in ("unet", "vae")}
    try:
        scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SnapshotError(f"The scheduler of {folder} cannot be read: {_line(error)}.") from error
    times = {name: value for name, value in scheduler.items() if name in _SCHEDULE and value is not None}
    text = parts["text_encoder"].config
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    further = ("max_position_embeddings", "hidden_act", "layer_norm_eps", "projection_dim")
    specials = ("bos_token_id", "eos_token_id", "pad_token_id")
    factor = 2 ** (len(parts["vae"].config["block_out_channels"]) - 1)
    return PipelineArchitecture(
        size=int(parts["unet"].config["sample_size"]) * factor,
        unet=found["unet"],
        vae=found["vae"],
        text_encoder={name: getattr(text, name) for name in (*names, *further, *specials)},
        tokenizer=tokens.describe_tokenizer(tokenizer),
        scheduler=times,
    )


_SCHEDULE: Final = (
    *("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type"),
    "rescale_betas_zero_snr",
)


def _own(part: str, config: dict[str, Any]) -> dict[str, Any]:
    """The keywords of a config whose values are not the class's defaults, as JSON has them."""
    import diffusers

    kind: Any = {"unet": diffusers.UNet2DConditionModel, "vae": diffusers.AutoencoderKL}[part]
    defaults = {name: value.default for name, value in inspect.signature(kind.__init__).parameters.items()}
    kept = {name: config[name] for name in sorted(keywords(part)) if name in config}
    plain: dict[str, Any] = json.loads(json.dumps(kept))
    ours = {name: value for name, value in plain.items() if value != _plain(defaults.get(name))}
    return {**ours, **({"scaling_factor": plain["scaling_factor"]} if part == "vae" else {})}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the libraries print and log about files that are as they should be."""
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300].removesuffix(".")
