"""The test Hub's contents in a folder, from which another server may go on."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any
from typing import Final

from fgbg_zoo.testing.hub_store import Commit
from fgbg_zoo.testing.hub_store import Contents
from fgbg_zoo.testing.hub_store import LargeFile
from fgbg_zoo.testing.hub_store import Repository
from fgbg_zoo.testing.hub_store import file_hash

INDEX: Final = "hub.json"


class Folder:
    """A folder with what a server holds: files by their hashes, and an index of everything else.

    No name that a client chose becomes part of a path. The index is written last and replaced at once, so a server that
    is killed leaves what was there before or what is there now.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def load(self, contents: Contents) -> None:
        """Fill the contents with what is in the folder, if anything is."""
        if not (self.path / INDEX).exists():
            return
        for path in (self.path / "objects").glob("*"):
            contents.objects[path.name] = LargeFile(path.read_bytes())
        index = json.loads((self.path / INDEX).read_text(encoding="utf-8"))
        for repo_id, held in index.items():
            contents.repositories[repo_id] = self._repository(held, contents)

    def save(self, contents: Contents) -> None:
        """Write what is not there yet."""
        for oid, data in contents.objects.items():
            self._keep("objects", oid, data)
        index = {repo_id: self._index(held) for repo_id, held in contents.repositories.items()}
        self._replace(self.path / INDEX, json.dumps(index).encode())

    def _repository(self, held: dict[str, Any], contents: Contents) -> Repository:
        log = {commit: Commit(**said) for commit, said in held.pop("log").items()}
        commits = {
            commit: {path: self._read(kind, name, contents) for path, (kind, name) in files.items()}
            for commit, files in held.pop("commits").items()
        }
        granted, branches = set(held.pop("granted")), set(held.pop("branches"))
        return Repository(**held, granted=granted, branches=branches, log=log, commits=commits)

    def _read(self, kind: str, name: str, contents: Contents) -> bytes:
        return contents.objects[name] if kind == "objects" else (self.path / kind / name).read_bytes()

    def _index(self, repository: Repository) -> dict[str, Any]:
        commits = {
            commit: {path: self._place(data) for path, data in files.items()}
            for commit, files in repository.commits.items()
        }
        return {
            **{name: getattr(repository, name) for name in ("private", "gated", "refs", "created")},
            **{name: sorted(getattr(repository, name)) for name in ("granted", "branches")},
            "log": {commit: asdict(said) for commit, said in repository.log.items()},
            "commits": commits,
        }

    def _place(self, data: bytes) -> tuple[str, str]:
        kind = "objects" if isinstance(data, LargeFile) else "blobs"
        name = file_hash(data)
        self._keep(kind, name, data)
        return kind, name

    def _keep(self, kind: str, name: str, data: bytes) -> None:
        path = self.path / kind / name
        if not path.exists():
            self._replace(path, data)

    def _replace(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        written = self.path / "new"
        written.write_bytes(data)
        os.replace(written, path)
