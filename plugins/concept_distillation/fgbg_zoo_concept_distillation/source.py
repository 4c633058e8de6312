"""A foundation model by its folder, or by the Hub's repository that holds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fgbg_zoo.access import Access
from fgbg_zoo.access import parse_reference
from fgbg_zoo.errors import UsageError
from fgbg_zoo_concept_distillation.files import FILES
from fgbg_zoo_concept_distillation.folder import open_pipeline
from fgbg_zoo_concept_distillation.model import ConceptDistillation


def find_pipeline(text: str) -> Path:
    """The folder of a pipeline that a text names: a folder, or ``organisation/repository[@revision]`` of the Hub.

    Raises:
        UsageError: for a text that is neither.
        WeightsNotFoundError, HubError: if the Hub does not give it.
    """
    folder = Path(text).expanduser()
    if folder.is_dir():
        return folder
    if text.startswith((".", "/", "~")) or text.count("/") != 1:
        raise UsageError(f"There is no folder {text}; name one, or a repository of the Hub as organisation/repository.")
    from fgbg_zoo.hub import fetch_files

    repo_id, revision = parse_reference(text)
    return fetch_files(repo_id, FILES, revision, Access())


def open_model(folder: Path) -> tuple[ConceptDistillation, dict[str, Any]]:
    """A model of preliminary masks alone: the pipeline of a folder in the layout of diffusers.

    Raises:
        SnapshotError: if the folder is no pipeline, or not a whole one.
    """
    model = ConceptDistillation(open_pipeline(folder))
    return model, model.architecture.model_dump(mode="json", exclude_defaults=True)
