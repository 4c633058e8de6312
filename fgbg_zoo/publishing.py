"""Publishing a snapshot: its files, with a card for the repository, samples and results, as one commit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors import safe_open

from fgbg_zoo.access import Access
from fgbg_zoo.access import check_repository
from fgbg_zoo.card import README
from fgbg_zoo.card import SAMPLES
from fgbg_zoo.card import Facts
from fgbg_zoo.card import model_card
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.files import output_errors
from fgbg_zoo.hub import publish
from fgbg_zoo.interfaces import Model
from fgbg_zoo.locate import CONFIG
from fgbg_zoo.locate import WEIGHTS
from fgbg_zoo.locate import is_snapshot
from fgbg_zoo.reading import check_place
from fgbg_zoo.scores import Score
from fgbg_zoo.scores import read_scores
from fgbg_zoo.scores import scores_of_run
from fgbg_zoo.scores import write_scores
from fgbg_zoo.sealing import sealed
from fgbg_zoo.snapshot import FILES
from fgbg_zoo.snapshot import read_config
from fgbg_zoo.snapshot import read_snapshot
from fgbg_zoo.storing import SHARD_BYTES
from fgbg_zoo.storing import store
from fgbg_zoo.weights import folder_of
from fgbg_zoo.weights import load
from fgbg_zoo.weights import save


def push(
    model_or_folder: Model | str | os.PathLike[str],
    repo_id: str,
    *,
    private: bool = False,
    endpoint: str | None = None,
    token: str | bool | None = None,
    tag: str | None = None,
    results: str | os.PathLike[str] | None = None,
    samples: bool = True,
) -> str:
    """Publish a model, or the folder of a snapshot, in a Hub repository.

    The repository is made if it is not there. The snapshot's files become one commit, which also removes weight files
    of an older snapshot: its config, its weights (in shards where they are large), and a card with licence, paper,
    data, training, results in the form that the Hub reads, code that uses it, and samples of what it does. What a
    person wrote into the card is kept.

    Args:
        model_or_folder: what to publish.
        repo_id: ``"organisation/repository"``.
        private: whether a repository that is made now is private; one that is there must be, then.
        endpoint: the Hub's address; its own default if ``None``.
        token: an access token that may write; that of ``hf auth login`` if ``None``.
        tag: a name for the commit, which ``hf:organisation/repository@tag`` then means.
        results: the folder or the ``table.json`` of a benchmark that measured the model; what the snapshot has of that
            if ``None``.
        samples: whether to draw what the model does, if the snapshot holds no picture (PNG). Only what it generates
            and embedded scenes are drawn, nothing of anybody's.

    Returns:
        The commit's address; its last part is the commit's hash, which ``revision`` of a spec takes.

    Raises:
        WeightsNotFoundError, SnapshotError: if the folder holds no snapshot that loads.
        HubError: if the Hub refuses or cannot be reached.
        UsageError: for something that is neither a model nor a folder, or no repository's name.
        DataError: if the results hold nothing of the model.
    """
    check_repository(repo_id)
    if not isinstance(model_or_folder, Model | str | os.PathLike):
        raise UsageError(f"push takes a model or the folder of a snapshot, not a {type(model_or_folder).__name__}.")
    access = Access(endpoint=endpoint, token=token)
    with TemporaryDirectory() as scratch:
        if isinstance(model_or_folder, Model):
            model, folder = model_or_folder, save(model_or_folder, Path(scratch) / "snapshot")
        else:
            folder = Path(model_or_folder).expanduser()
            read_snapshot(folder)  # a pipeline of another layout loads, but is no snapshot
            model = load(folder.absolute(), device="cpu")
        scores = None if results is None else scores_of_run(Path(results), model.spec.name)
        with prepared(model, folder, repo_id, scores=scores, samples=samples) as files:
            return publish(files, repo_id, private=private, tag=tag, access=access)


@contextmanager
def prepared(
    model: Model,
    folder: Path,
    repo_id: str,
    *,
    scores: list[Score] | None = None,
    samples: bool = True,
    shard_bytes: int = SHARD_BYTES,
) -> Iterator[dict[str, Path]]:
    """The files to publish, by their names in the repository; those that are made for it last as long as the block.

    Args:
        model: the snapshot's model.
        folder: the snapshot, which stays as it is.
        repo_id: where it goes, for the card.
        scores: what was measured, instead of what the snapshot has of that.
        samples: whether to draw what the model does, if the snapshot has no pictures.
        shard_bytes: the largest weight file; a larger one is published in shards.
    """
    files = {
        path.name: path
        for path in sorted(folder.iterdir())
        if path.is_file() and any(fnmatchcase(path.name, pattern) for pattern in FILES)
    }
    for path in files.values():  # or a link would publish what it leads to
        check_place(path)
    with TemporaryDirectory() as scratch:
        made = Path(scratch)
        if WEIGHTS in files and files[WEIGHTS].stat().st_size > shard_bytes:
            files |= _in_shards(folder, made, shard_bytes)
            del files[WEIGHTS]
        if samples and not any(name.endswith(".png") for name in files) and (drawn := _draw(model, made)):
            files[drawn.name] = drawn
        if scores is not None:
            files[write_scores(made, scores).name] = made / "results.json"
        pictures = [name for name in files if name.endswith(".png")]
        text = card_of(model, folder, place=f"hf:{repo_id}", scores=scores, pictures=pictures)
        (made / README).write_text(text, encoding="utf-8")
        files[README] = made / README
        yield files


def card_for(name: str, repo_id: str | None = None, results: Path | None = None) -> str:
    """The card of a model that `load` takes, for a repository or for a folder.

    Args:
        name: what ``load`` takes.
        repo_id: the repository; the one that the name or the spec names if ``None``, or none for a folder.
        results: a benchmark that measured the model, instead of what the snapshot has of that.

    Raises:
        Everything that `load` raises.
        DataError: if the results hold nothing of the model.
    """
    model = load(name, device="cpu")
    with TemporaryDirectory() as scratch:
        folder = folder_of(name)
        shared = folder and is_snapshot(folder) and read_config(folder)["model"] != model.config["model"]
        if folder is None or shared:  # what was measured of another model that shares the weights is not its own
            folder = save(model, Path(scratch) / "snapshot")
        place = f"hf:{repo_id}" if repo_id else name if name.startswith("hf:") else "path/to/this/folder"
        scores = None if results is None else scores_of_run(results, model.spec.name)
        return card_of(model, folder, place=place, scores=scores)


def update_card(folder: Path, results: Path | None = None) -> Path:
    """Write the card of a snapshot anew, and keep the results of a benchmark beside it; give the card's path.

    Raises:
        Everything that `load` raises.
        DataError: if the results hold nothing of the model.
        OutputError: if the folder cannot be written to.
    """
    model = load(folder.absolute(), device="cpu")
    scores = None if results is None else scores_of_run(results, model.spec.name)
    text = card_of(model, folder, place="path/to/this/folder", scores=scores)
    with output_errors(folder / README):
        if scores is not None:
            write_scores(folder, scores)
        (folder / README).write_text(text, encoding="utf-8")
    return folder / README


def card_of(
    model: Model,
    folder: Path | None,
    *,
    place: str,
    scores: list[Score] | None = None,
    pictures: list[str] | None = None,
) -> str:
    """The card of a model, which keeps what a person wrote into that of its snapshot.

    Args:
        model: the model.
        folder: its snapshot, if it has one.
        place: what ``load`` takes.
        scores: what was measured, instead of what the snapshot has of that.
        pictures: names of pictures that are shown; those of the snapshot if left out.
    """
    if scores is None:
        scores = read_scores(folder) if folder else []
    if pictures is None:
        pictures = sorted(path.name for path in folder.glob("*.png")) if folder else []
    facts = Facts.of(model.config, model.network, place=place, scores=scores, pictures=pictures)
    return model_card(facts, previous=_card_in(folder) if folder else "")


def _card_in(folder: Path) -> str:
    path = folder / README
    if not path.is_file():
        return ""
    check_place(path)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SnapshotError(f"{path} cannot be read as text ({error}); write it anew or remove it.") from error


def _draw(model: Model, folder: Path) -> Path | None:
    from fgbg_zoo.data.pictures import write_png
    from fgbg_zoo.samples import draw_samples

    sheet = draw_samples(model)
    return None if sheet is None else write_png(sheet, folder / SAMPLES)


def _in_shards(folder: Path, made: Path, shard_bytes: int) -> dict[str, Path]:
    """The weights of a snapshot in shards, and a config that is sealed anew for them."""
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    files = store(tensors, made, shard_bytes)
    (made / CONFIG).write_text(sealed(read_config(folder), files), encoding="utf-8")
    return {path.name: path for path in (*files, made / CONFIG)}
