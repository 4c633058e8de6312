"""Snapshots that went wrong, by accident or on purpose: each strategy gives a function that harms a folder."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

Harm = Callable[[Path], object]

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
HUGE = [2**31, 2**40, 2**53, 2**62, 2**63 - 1, 10**30, -1, 0]
PLACES = [
    "../x",
    "/etc/passwd",
    "https://example.org/x",
    "hf-hub:a/b",
    "file:///etc/passwd",
    "C:\\x",
    "~/x",
    "a/../../b",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(PLACES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def used_files(folder: Path) -> list[Path]:
    """What `load` reads, in a fixed order."""
    read = (path for path in folder.iterdir() if path.name != "results.json")
    return sorted(path for path in read if path.suffix in (".json", ".safetensors"))


def weight_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def edit_header(path: Path, change: Callable[[dict[str, Any]], object], pad: bool = True) -> None:
    """Change a weight file's header, and leave its data as they are."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header, ensure_ascii=True).encode()
    text += b" " * (-len(text) % 8 if pad else 0)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / CONFIG
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def unseal(folder: Path) -> None:
    """Take the seal off, as whoever harms a snapshot on purpose would."""
    if (folder / CONFIG).is_symlink() or not (folder / CONFIG).is_file():
        return
    try:
        edit_config(folder, lambda config: config.pop("sha256"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return


def tensors(header: dict[str, Any]) -> list[str]:
    return sorted(name for name in header if name != "__metadata__")


@st.composite
def truncated(draw: st.DrawFn) -> Harm:
    which, share = random.Random(draw(st.integers(0, 2**32))), draw(st.floats(0, 1, exclude_max=True))

    def harm(folder: Path) -> None:
        path = which.choice(used_files(folder))
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return harm


@st.composite
def bit_flipped(draw: st.DrawFn) -> Harm:
    which, count = random.Random(draw(st.integers(0, 2**32))), draw(st.integers(1, 4))
    early = draw(st.booleans())

    def harm(folder: Path) -> None:
        path = which.choice(used_files(folder))
        data = bytearray(path.read_bytes())
        for place in which.sample(range(min(len(data), 600) if early else len(data)), count):
            data[place] ^= 1 << which.randrange(8)
        path.write_bytes(data)

    return harm


@st.composite
def wrong_dtype(draw: st.DrawFn) -> Harm:
    which = random.Random(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["F16", "BF16", "F64", "I32", "U8", "I64", "BOOL", "F8_E4M3", "C64", "F31", "", 3]))

    def harm(folder: Path) -> None:
        def change(header: dict[str, Any]) -> None:
            name = which.choice([name for name in tensors(header) if header[name]["dtype"] != kind])
            header[name]["dtype"] = kind

        edit_header(which.choice(weight_files(folder)), change)

    return harm


@st.composite
def swapped_keys(draw: st.DrawFn) -> Harm:
    which, in_index = random.Random(draw(st.integers(0, 2**32))), draw(st.booleans())

    def harm(folder: Path) -> None:
        if in_index and (folder / INDEX).is_file():
            index = json.loads((folder / INDEX).read_text())
            weights = index["weight_map"]
            one = which.choice(sorted(weights))
            other = which.choice(sorted(name for name in weights if weights[name] != weights[one]))
            weights[one], weights[other] = weights[other], weights[one]
            (folder / INDEX).write_text(json.dumps(index))
            return

        def change(header: dict[str, Any]) -> None:
            one, other = which.sample(tensors(header), 2)
            header[one], header[other] = header[other], header[one]

        edit_header(which.choice(weight_files(folder)), change)

    return harm


@st.composite
def huge_sizes(draw: st.DrawFn) -> Harm:
    which, size = random.Random(draw(st.integers(0, 2**32))), draw(st.sampled_from(HUGE))
    where = draw(st.sampled_from(["shape", "offsets", "length", "architecture", "axes"]))

    def in_header(header: dict[str, Any]) -> None:
        tensor = header[which.choice(tensors(header))]
        if where == "axes":
            tensor["shape"] = [1] * which.choice([9, 1000, 50_000])
        elif where == "shape" and tensor["shape"]:
            tensor["shape"][which.randrange(len(tensor["shape"]))] = size
        else:
            tensor["data_offsets"][which.randrange(2)] = size

    def harm(folder: Path) -> None:
        path = which.choice(weight_files(folder))
        if where == "length":
            data = path.read_bytes()
            path.write_bytes((size % 2**64).to_bytes(8, "little") + data[8:])
        elif where == "architecture":
            edit_config(folder, lambda config: _grow(config, which, size))
        else:
            edit_header(path, in_header)

    return harm


def _grow(config: dict[str, Any], which: random.Random, size: int) -> None:
    """Set a number of the architecture, at any depth, to another one, of which some are just large."""
    places: list[tuple[Any, Any]] = []

    def gather(value: Any) -> None:
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in pairs:
            if isinstance(item, int | float) and not isinstance(item, bool):
                places.append((value, key))
            gather(item)

    gather(config["architecture"])
    holder, key = which.choice(places)
    holder[key] = which.choice([size, 10**4, 10**6, 2**24, 1e300, holder[key] + 1])


@st.composite
def nested_shards(draw: st.DrawFn) -> Harm:
    which = random.Random(draw(st.integers(0, 2**32)))
    name = draw(
        st.sampled_from([*PLACES, INDEX, CONFIG, "deep/model.safetensors", ".", "", "model.bin", "s.safetensors"])
    )
    whole = draw(st.booleans())

    def harm(folder: Path) -> None:
        (folder / "deep").mkdir()
        for path in weight_files(folder):
            shutil.copy(path, folder / "deep")
        (folder / "s.safetensors").mkdir()
        if not (folder / INDEX).is_file():
            (folder / WEIGHTS).rename(folder / "deep" / WEIGHTS)
            (folder / INDEX).write_text(json.dumps({"weight_map": {"a": WEIGHTS, "b": WEIGHTS}}))
        index = json.loads((folder / INDEX).read_text())
        keys = sorted(index["weight_map"])
        for key in keys if whole else [which.choice(keys)]:
            index["weight_map"][key] = name
        (folder / INDEX).write_text(json.dumps(index))

    return harm


@st.composite
def linked(draw: st.DrawFn) -> Harm:
    which = random.Random(draw(st.integers(0, 2**32)))
    to = draw(
        st.sampled_from(["moved", "itself", "nothing", "folder", "pipe", "/dev/zero", "/etc/passwd", "/proc/self/mem"])
    )

    def harm(folder: Path) -> None:
        path = which.choice(used_files(folder))
        aside = folder.with_name(f"{folder.name}-aside")
        aside.mkdir()
        moved = path.rename(aside / path.name)
        if to == "pipe":
            os.mkfifo(path)
        else:
            target = {"moved": moved, "itself": path, "nothing": aside / "nothing", "folder": aside}.get(to, Path(to))
            path.symlink_to(target)

    return harm


@st.composite
def odd_names(draw: st.DrawFn) -> Harm:
    which, name = random.Random(draw(st.integers(0, 2**32))), draw(st.text(max_size=12))
    where = draw(st.sampled_from(["tensor", "section", "keyword", "shard"]))

    def rename(values: dict[str, Any], keep: tuple[str, ...] = ()) -> None:
        old = which.choice(sorted(key for key in values if key not in keep and key != name))
        values[name] = values.pop(old)

    def harm(folder: Path) -> None:
        if where == "section":
            edit_config(folder, lambda config: rename(config, ("sha256",)))
        elif where == "keyword":
            edit_config(folder, lambda config: rename(config["architecture"]))
        elif where == "shard" and (folder / INDEX).is_file():
            index = json.loads((folder / INDEX).read_text())
            index["weight_map"][which.choice(sorted(index["weight_map"]))] = name
            (folder / INDEX).write_text(json.dumps(index))
        else:
            edit_header(which.choice(weight_files(folder)), lambda header: rename(header, ("__metadata__",)))

    return harm


@st.composite
def other_config(draw: st.DrawFn) -> Harm:
    which, value, name = random.Random(draw(st.integers(0, 2**32))), draw(JSON), draw(st.text(min_size=1, max_size=6))
    where = draw(st.sampled_from(["section", "keyword", "deeper", "all", "unknown", "deep"]))

    def change(config: dict[str, Any]) -> None:
        architecture = config["architecture"]
        if where == "section":
            key = which.choice(sorted(key for key in config if key != "sha256" and config[key] != value))
            config[key] = value
        elif where == "unknown":
            which.choice([config, architecture])[name] = value
        elif where == "deep":
            architecture[name] = json.loads("[" * 900 + "]" * 900)
        else:
            inner = [each for each in architecture.values() if isinstance(each, dict)]
            holder = which.choice(inner) if inner and where == "deeper" else architecture
            key = which.choice(sorted(key for key in holder if not _same(holder[key], value)))
            holder[key] = value

    def harm(folder: Path) -> None:
        if where == "all":
            (folder / CONFIG).write_text(json.dumps(value))
        else:
            edit_config(folder, change)

    return harm


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one) == json.dumps(other)
