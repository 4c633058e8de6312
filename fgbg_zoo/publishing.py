"""Publishing a snapshot: its files, with a card for the repository, samples and results, as one commit."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from huggingface_hub.errors import EntryNotFoundError
from safetensors import safe_open

from fgbg_zoo import registry
from fgbg_zoo.access import Access
from fgbg_zoo.access import check_repository
from fgbg_zoo.access import check_tag
from fgbg_zoo.access import parse_reference
from fgbg_zoo.card import README
from fgbg_zoo.card import SAMPLES
from fgbg_zoo.card import Facts
from fgbg_zoo.card import merged_cards
from fgbg_zoo.card import model_card
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.fetching import fetch
from fgbg_zoo.files import output_errors
from fgbg_zoo.interfaces import Model
from fgbg_zoo.locate import CONFIG
from fgbg_zoo.locate import WEIGHTS
from fgbg_zoo.locate import is_snapshot
from fgbg_zoo.reading import check_place
from fgbg_zoo.repository import Head
from fgbg_zoo.repository import commit
from fgbg_zoo.repository import open_repository
from fgbg_zoo.samples import draw_samples
from fgbg_zoo.samples import drawn
from fgbg_zoo.scores import RESULTS
from fgbg_zoo.scores import Score
from fgbg_zoo.scores import read_scores
from fgbg_zoo.scores import scores_of_run
from fgbg_zoo.scores import write_scores
from fgbg_zoo.sealing import sealed
from fgbg_zoo.snapshot import FILES
from fgbg_zoo.snapshot import is_weight_file
from fgbg_zoo.snapshot import read_config
from fgbg_zoo.snapshot import read_snapshot
from fgbg_zoo.storing import SHARD_BYTES
from fgbg_zoo.storing import store
from fgbg_zoo.weights import folder_of
from fgbg_zoo.weights import load
from fgbg_zoo.weights import save

_LARGEST_CARD: Final = 4 * 2**20


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
    license: str | None = None,
) -> str:
    """Publish a model, or the folder of a snapshot, in a Hub repository.

    The repository is made if it is not there. The snapshot's files become one commit, which also removes weights,
    results and samples of an older snapshot: its config, its weights (in shards where they are large), and a card with
    licence, paper, data, training, results in the form that the Hub reads, code that uses it, and samples of what it
    does. What a person wrote into the card, here or on the Hub, is kept.

    Args:
        model_or_folder: what to publish: a model, the name of a registered one, or the folder of a snapshot.
        repo_id: ``"organisation/repository"``.
        private: whether a repository that is made now is private; one that is there must be, then.
        endpoint: the Hub's address; its own default if ``None``.
        token: an access token that may write; that of ``hf auth login`` if ``None``.
        tag: a name for the commit, which ``hf:organisation/repository@tag`` then means.
        results: the folder or the ``table.json`` of a benchmark that measured these very weights; what the snapshot has
            of that, or the repository of the same snapshot, if ``None``.
        samples: whether to draw what the model does, if the snapshot holds no picture (PNG). Only what it generates
            and embedded scenes are drawn, nothing of anybody's.
        license: the SPDX identifier of the weights' licence; what the snapshot states if ``None``.

    Returns:
        The commit's address; its last part is the commit's hash, which ``revision`` of a spec takes.

    Raises:
        WeightsNotFoundError, SnapshotError: if the folder holds no snapshot that loads.
        HubError: if the Hub refuses or cannot be reached.
        UsageError: for something that is neither a model nor a folder, no repository's name, or a tag that is taken.
        DataError: if the results hold nothing of these weights.
    """
    check_repository(repo_id)
    check_tag(tag)
    if not isinstance(model_or_folder, Model | str | os.PathLike):
        raise UsageError(f"push takes a model or the folder of a snapshot, not a {type(model_or_folder).__name__}.")
    access = Access(endpoint=endpoint, token=token)
    with TemporaryDirectory() as scratch:
        model, folder = _chosen(model_or_folder, Path(scratch) / "snapshot")
        if not (license or model.config["license"]):
            warnings.warn("The weights state no licence; license= (--license) gives them one.", stacklevel=2)
        scores = None if results is None else scores_of_run(Path(results), model.spec.name, folder)
        head = open_repository(repo_id, private=private, tag=tag, access=access)
        there = Published(head, access)
        with prepared(model, folder, repo_id, scores=scores, samples=samples, license=license, there=there) as files:
            older = [name for name in head.hashes if is_weight_file(name) or name in (RESULTS, SAMPLES)]
            return commit(files, set(older) - files.keys(), head, tag=tag, access=access)


def _chosen(what: Model | str | os.PathLike[str], scratch: Path) -> tuple[Model, Path]:
    """The model to publish, and the folder of its snapshot, which is written if it has none of its own."""
    if isinstance(what, Model):
        return what, save(what, scratch)
    name = os.fspath(what)
    if name in registry.list_models():
        model = load(name, device="cpu")
        return model, own_folder(name, model) or save(model, scratch)
    folder = Path(name).expanduser()
    read_snapshot(folder)  # a pipeline of another layout loads, but is no snapshot
    return load(folder.absolute(), device="cpu"), folder


@dataclass(frozen=True)
class Published:
    """What a repository has already."""

    head: Head
    access: Access

    def card(self) -> str:
        """Its card, or nothing."""
        return card_text(path) if (path := self.head.fetch(README, self.access)) else ""

    def scores(self, config: Path) -> list[Score]:
        """What was measured of the same snapshot: a config states the hashes of its weights."""
        if not self.head.has({CONFIG: config}):
            return []
        return read_scores(path.parent) if (path := self.head.fetch(RESULTS, self.access)) else []


@contextmanager
def prepared(
    model: Model,
    folder: Path,
    repo_id: str,
    *,
    scores: list[Score] | None = None,
    samples: bool = True,
    license: str | None = None,
    there: Published | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Iterator[dict[str, Path]]:
    """The files to publish, by their names in the repository; those that are made for it last as long as the block.

    Args:
        model: the snapshot's model.
        folder: the snapshot, which stays as it is.
        repo_id: where it goes, for the card.
        scores: what was measured, instead of what the snapshot has of that.
        samples: whether to draw what the model does, if the snapshot has no pictures.
        license: of the weights, instead of what the snapshot states.
        there: what the repository has already.
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
        files = _stored(files, folder, made, shard_bytes, license)
        if samples and not any(name.endswith(".png") for name in files) and (sheet := _draw(model, made)):
            files[sheet.name] = sheet
        if scores is None:
            scores = read_scores(folder) or (there.scores(files[CONFIG]) if there else [])
        if scores:
            files[RESULTS] = write_scores(made, scores)
        text = card_of(
            model,
            folder,
            place=f"hf:{repo_id}",
            scores=scores,
            pictures=[name for name in files if name.endswith(".png")],
            license=license,
            published=there.card() if there else "",
        )
        (made / README).write_text(text, encoding="utf-8")
        files[README] = made / README
        yield files


def card_for(name: str, repo_id: str | None = None, results: Path | None = None) -> str:
    """The card of a model that `load` takes, for a repository or for a folder; that of ``hf:...`` as it is on the Hub.

    Args:
        name: what ``load`` takes.
        repo_id: the repository; the one that the name names if ``None``, or none for a folder.
        results: a benchmark that measured these weights, instead of what the snapshot has of that.

    Raises:
        Everything that `load` raises.
        DataError: if the results hold nothing of the model.
    """
    model = load(name, device="cpu")
    with TemporaryDirectory() as scratch:
        folder = own_folder(name, model) or save(model, Path(scratch) / "snapshot")
        pictures: list[str] | None = None
        if name.startswith("hf:"):
            if not repo_id and results is None and (text := _card_on_the_hub(name, folder)):
                return text
            place, pictures = name, []
        else:
            place = name if name in registry.list_models() else "path/to/this/folder"
        scores = None if results is None else scores_of_run(results, model.spec.name, folder)
        return card_of(model, folder, place=f"hf:{repo_id}" if repo_id else place, scores=scores, pictures=pictures)


def _card_on_the_hub(reference: str, folder: Path) -> str:
    """The card of a repository at the commit that is cached in a folder; nothing if it has none."""
    repo_id, _ = parse_reference(reference)
    try:
        return card_text(fetch(repo_id, README, folder.name, Access()))
    except EntryNotFoundError:
        return ""


def own_folder(name: str, model: Model) -> Path | None:
    """The folder of a model's snapshot; none if it is that of another model which shares its weights."""
    folder = folder_of(name)
    shared = folder and is_snapshot(folder) and read_config(folder)["model"] != model.config["model"]
    return None if shared else folder


def update_card(folder: Path, results: Path | None = None) -> Path:
    """Write the card of a snapshot anew, and keep the results of a benchmark beside it; give the card's path.

    Raises:
        Everything that `load` raises.
        DataError: if the results hold nothing of the model.
        OutputError: if the folder cannot be written to.
    """
    model = load(folder.absolute(), device="cpu")
    scores = None if results is None else scores_of_run(results, model.spec.name, folder)
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
    license: str | None = None,
    published: str = "",
) -> str:
    """The card of a model, which keeps what a person wrote into that of its snapshot, and into the one on the Hub.

    Args:
        model: the model.
        folder: its snapshot, if it has one.
        place: what ``load`` takes.
        scores: what was measured, instead of what the snapshot has of that.
        pictures: names of pictures that are shown; those of the snapshot if left out.
        license: of the weights, instead of what the snapshot states.
        published: the card that the repository has.
    """
    if scores is None:
        scores = read_scores(folder) if folder else []
    if pictures is None:
        pictures = sorted(path.name for path in folder.glob("*.png")) if folder else []
    config = model.config if license is None else {**model.config, "license": license}
    facts = Facts.of(
        config,
        model.network,
        capabilities=model.spec.capabilities,
        place=place,
        scores=scores,
        pictures=pictures,
        drawn=drawn(model.spec),
    )
    here = card_text(folder / README) if folder and (folder / README).is_file() else ""
    return model_card(facts, previous=merged_cards(here, published))


def card_text(path: Path) -> str:
    """A card as text.

    Raises:
        SnapshotError: if it cannot be read as that.
    """
    check_place(path)
    try:
        if (size := path.stat().st_size) > _LARGEST_CARD:
            raise SnapshotError(f"{path} has {size:,} bytes, and {_LARGEST_CARD:,} are the most that a card has.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SnapshotError(f"{path} cannot be read as text ({error}); write it anew or remove it.") from error


def _draw(model: Model, folder: Path) -> Path | None:
    from fgbg_zoo.data.pictures import write_png

    sheet = draw_samples(model)
    return None if sheet is None else write_png(sheet, folder / SAMPLES)


def _stored(files: dict[str, Path], folder: Path, made: Path, shard_bytes: int, license: str | None) -> dict[str, Path]:
    """The files with large weights in shards, and with the licence that is asked for, sealed anew for both."""
    weights = [path for name, path in files.items() if is_weight_file(name)]
    shard = WEIGHTS in files and files[WEIGHTS].stat().st_size > shard_bytes
    config = read_config(folder)
    if not shard and license in (None, config["license"]):
        return files
    if shard:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        weights = store(tensors, made, shard_bytes)
    config["license"] = config["license"] if license is None else license
    (made / CONFIG).write_text(sealed(config, weights), encoding="utf-8")
    kept = {name: path for name, path in files.items() if not is_weight_file(name)}
    return kept | {path.name: path for path in (*weights, made / CONFIG)}
