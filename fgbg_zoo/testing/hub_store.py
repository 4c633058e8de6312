"""What the test Hub holds: repositories with their commits, branches and tags, and the objects of large files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from datetime import UTC
from datetime import datetime
from typing import Final

POINTER: Final = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"
"""What git holds in place of a large file."""


class LargeFile(bytes):
    """The content of a file that went through LFS."""

    @property
    def oid(self) -> str:
        """Its sha256, by which LFS knows it."""
        return hashlib.sha256(self).hexdigest()

    @property
    def pointer(self) -> bytes:
        """What git holds in its place."""
        return POINTER.format(self.oid, len(self)).encode()


def git_hash(data: bytes) -> str:
    """The hash that git gives a file: of its content, or of its pointer if it is large."""
    held = data.pointer if isinstance(data, LargeFile) else data
    return hashlib.sha1(f"blob {len(held)}\0".encode() + held).hexdigest()


def file_hash(data: bytes) -> str:
    """The hash that the Hub gives a file: git's, or the sha256 if it is large."""
    return data.oid if isinstance(data, LargeFile) else git_hash(data)


def check_name(repo_id: str) -> None:
    """Complain about what cannot be the name of a repository.

    Raises:
        ValueError: unless it is ``organisation/name``, of letters, digits, ``-``, ``_`` and ``.``.
    """
    part = r"[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?"
    if not re.fullmatch(f"{part}/{part}", repo_id, re.ASCII) or re.search(r"--|\.\.|\.git$", repo_id):
        raise ValueError(f"{repo_id!r} names no repository")


def check_path(path: str) -> None:
    """Complain about what cannot be the path of a file in a repository.

    Raises:
        ValueError: if it is empty or absolute, or leaves the repository.
    """
    parts = re.split(r"[/\\]", path)
    if any(part in ("", ".", "..", ".git") for part in parts) or re.search(r"[\0-\x1f]|^[A-Za-z]:", path):
        raise ValueError(f"{path!r} is no path in a repository")


@dataclass(frozen=True)
class Commit:
    """What is said of a commit.

    Attributes:
        parent: the hash of the one before it, empty if it is the first.
        title: the first line of its message.
        message: the rest of it.
        author: whose token made it.
        date: when, in ISO 8601.
    """

    parent: str = ""
    title: str = ""
    message: str = ""
    author: str = "test"
    date: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z")


@dataclass
class Repository:
    """A model repository.

    Attributes:
        private: only tokens that see private repositories may read it.
        gated: only tokens in ``granted`` may read its files.
        granted: the tokens that were given access.
        commits: the files of each commit, by its hash; those that went through LFS are `LargeFile`.
        log: what is said of each commit, by its hash.
        refs: the hash of each branch and tag, and of each pull request as ``refs/pr/NUMBER``.
        branches: which of them are branches.
        created: when, in ISO 8601.
    """

    private: bool = False
    gated: bool = False
    granted: set[str] = field(default_factory=set)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    log: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    branches: set[str] = field(default_factory=lambda: {"main"})
    created: str = field(default_factory=lambda: Commit().date)

    def commit(self, files: Mapping[str, bytes], ref: str = "main", **said: str) -> str:
        """Make a commit of exactly these files at the end of a branch, and give its hash.

        Args:
            files: their contents by path.
            ref: the branch.
            said: the title, message and author; see `Commit`.

        Raises:
            ValueError: if a path is none in a repository.
        """
        parent = self.refs.get(ref, "")
        content = hashlib.sha1(parent.encode())
        for path, data in sorted(files.items()):
            check_path(path)
            content.update(f"{path}\0{len(data)}\0".encode() + data)
        commit = content.hexdigest()
        self.commits[commit] = dict(files)
        self.log[commit] = Commit(parent, **{"title": f"Commit {len(self.commits)}", **said})
        self.refs[ref] = commit
        return commit

    def resolve(self, revision: str) -> str | None:
        """The hash of a branch, tag or hash."""
        return self.refs.get(revision) or (revision if revision in self.commits else None)

    def is_branch(self, ref: str) -> bool:
        """Whether commits may be made at the end of this ref."""
        return ref in self.refs and (ref in self.branches or ref.startswith("refs/pr/"))

    def history(self, commit: str) -> Iterator[tuple[str, Commit]]:
        """A commit and those before it, latest first."""
        while commit in self.log:
            yield commit, self.log[commit]
            commit = self.log[commit].parent

    def last_change(self, commit: str, path: str) -> str:
        """The latest commit, of this one and those before it, that changed a file or something in a folder."""
        held = self._below(commit, path)
        for hash, said in self.history(commit):
            if self._below(said.parent, path) != held:
                return hash
        return commit

    def _below(self, commit: str, path: str) -> dict[str, bytes]:
        files = self.commits.get(commit, {})
        return {name: data for name, data in files.items() if name == path or name.startswith(f"{path}/")}


@dataclass(frozen=True)
class Token:
    """Who sends a request.

    Attributes:
        user: the name.
        write: whether it may change anything.
        private: whether it sees private repositories.
    """

    user: str = "test"
    write: bool = True
    private: bool = True


TOKEN: Final = "hf_test"
"""The token that may do everything but read the files of gated repositories that it was not granted."""
READ_TOKEN: Final = "hf_read"
"""A token that may only read."""
STRANGER: Final = "hf_stranger"
"""A token of somebody who sees no private repository."""


@dataclass
class Contents:
    """What a server holds.

    Attributes:
        url: its address.
        storage: the address of its storage, from which large files come.
        lfs: whether weight files go through the LFS protocol.
        page: how many entries a listing gives at once.
        repositories: by ``organisation/name``.
        objects: LFS objects by their sha256.
        tokens: who may send requests.
    """

    url: str
    storage: str
    lfs: bool = False
    page: int = 1000
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    tokens: dict[str, Token] = field(
        default_factory=lambda: {
            TOKEN: Token(),
            READ_TOKEN: Token("reader", write=False),
            STRANGER: Token("stranger", private=False),
        }
    )

    def goes_through_lfs(self, path: str) -> bool:
        """Whether a file is one that LFS holds."""
        return self.lfs and path.endswith((".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx"))

    def put(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """The same files as a commit holds them: those that go through LFS are put among the objects."""
        held: dict[str, bytes] = dict(files)
        for path, data in files.items():
            if self.goes_through_lfs(path):
                large = held[path] = LargeFile(data)
                self.objects[large.oid] = large
        return held
