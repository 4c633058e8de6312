"""``fgbg-zoo convert`` on good, hostile and damaged checkpoints: it converts, or says one sentence and runs nothing."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fgbg_zoo_ilgan.generator import LayeredGenerator
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

import fgbg_zoo
from fgbg_zoo.cli.app import run

Write = Callable[..., Path]
MARKER = Path("it-was-run")  # in the folder where a test runs
COMMAND = f"touch {MARKER}"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def made(seed: int = 0, **architecture: Any) -> LayeredGenerator:
    torch.manual_seed(seed)
    generator = LayeredGenerator(**architecture).eval().requires_grad_(False)
    for name, tensor in generator.state_dict().items():
        if name.endswith(("noise_strength", "w_avg", "bias")):
            tensor.normal_()
    return generator


NARROW = {"mapping_layers": 2, "channel_base": 1024, "channel_max": 16}
GOOD: list[dict[str, Any]] = [
    {"resolution": 64, "z_dim": 6, "w_dim": 10, "half_resolutions": 4, "clamp": 256.0, **NARROW},
    {"resolution": 128, "z_dim": 10, "w_dim": 6, "half_resolutions": 4, "clamp": 256.0, **NARROW},
    {"resolution": 32, "z_dim": 4, "w_dim": 4, "c_dim": 10, **NARROW, "mapping_layers": 8},
    {"resolution": 16, "z_dim": 3, "w_dim": 9, "c_dim": 1, "half_resolutions": 2, "clamp": 1.5, **NARROW},
    {"resolution": 32, "z_dim": 4, "w_dim": 4, "mapping_layers": 1, "channel_base": 64, "channel_max": 1},
]


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("architecture", GOOD, ids=lambda a: f"{a['resolution']} px, c_dim {a.get('c_dim', 0)}")
def test_it_gives_what_the_generator_in_the_file_gives(
    checkpoint: Write, layout: Callable[..., Any], capsys: Any, architecture: dict[str, Any], protocol: int
) -> None:
    generator = made(**architecture)
    other = layout(made(seed=1, **architecture))
    path = checkpoint({"G": other, "D": other, "G_ema": layout(generator)}, protocol)
    assert run(["convert", "ilsgan", str(path), "-o", "out"]) == 0
    assert Path(capsys.readouterr().out.strip()).samefile("out")
    found = fgbg_zoo.load("./out", device="cpu").generate(3, seed=5)
    with torch.inference_mode():  # as the loaded model computes: with gradients rounding may differ
        wanted = generator.generate(3, seed=5)
    for part in ("image", "foreground", "background", "mask"):
        assert torch.equal(getattr(found, part), getattr(wanted, part)), part
    assert found.image.shape[-1] == architecture["resolution"]


def text(value: str) -> bytes:
    return pickle.BINUNICODE + struct.pack("<I", len(value.encode())) + value.encode()


def named(module: str, name: str) -> bytes:
    return text(module) + text(name) + pickle.STACK_GLOBAL


def called(function: bytes, *arguments: bytes) -> bytes:
    return function + pickle.MARK + b"".join(arguments) + pickle.TUPLE + pickle.REDUCE


def pickled(content: bytes, protocol: int = 4) -> bytes:
    return pickle.PROTO + bytes([protocol]) + content + pickle.STOP


class Runs:
    def __reduce__(self) -> Any:
        return os.system, (COMMAND,)


REBUILD, ORDERED = ("torch._utils", "_rebuild_tensor_v2"), ("collections", "OrderedDict")
EASY = named("dnnlib.util", "EasyDict")
SYSTEM = called(named("os", "system"), text(COMMAND))
STATE = pickle.EMPTY_DICT + text("__class__") + named(*ORDERED) + pickle.SETITEM
ITEM = text("a") + pickle.NONE + pickle.SETITEM
KEY = pickle.NONE + pickle.SETITEM

HOSTILE: dict[str, bytes] = {
    "a command": pickle.dumps(Runs()),
    "a command of protocol 0": b"cposix\nsystem\n(V" + COMMAND.encode() + b"\ntR.",
    "a command within a network's state": pickle.dumps({"G_ema": {"state": Runs()}}, 2),
    "a command as a dictionary's key": pickled(pickle.EMPTY_DICT + SYSTEM + pickle.NONE + pickle.SETITEM),
    "a command after a proper end": pickled(pickle.EMPTY_DICT) + pickle.dumps(Runs()),
    "an unknown global": pickled(named("somewhere", "Something")),
    "a dotted name": pickled(called(named("torch._utils", "_rebuild_tensor_v2.__globals__.get"), text("os"))),
    "a dotted name of what is admitted": pickled(named("torch._utils", "_rebuild_tensor_v2.__globals__")),
    "a dotted module": pickled(called(named("collections.abc.sys.modules", "get"), text("os"))),
    "a dotted name of protocol 2": b"\x80\x02ccollections\nOrderedDict.__init__.__globals__\n.",
    "the machinery itself": pickled(named("fgbg_zoo_ilsgan.unpickling", "Call")),
    "a name that is no text": pickled(pickle.NONE + pickle.NONE + pickle.STACK_GLOBAL),
    "a name made by a call": pickled(text("os") + called(named(*ORDERED)) + pickle.STACK_GLOBAL),
    "an object outside": pickled(text("somewhere") + pickle.BINPERSID),
    "an object outside within another": pickled(
        pickle.MARK + text("storage") + (text("x") + pickle.BINPERSID) + pickle.TUPLE + pickle.BINPERSID
    ),
    "an object outside that runs": pickled(SYSTEM + pickle.BINPERSID),
    "a function that is changed": pickled(named(*REBUILD) + STATE + pickle.BUILD),
    "a container that is changed": pickled(named(*ORDERED) + STATE + pickle.BUILD),
    "a class that is changed": pickled(EASY + STATE + pickle.BUILD + pickle.POP + EASY + ITEM),
    "an instance that is changed": pickled(called(EASY) + STATE + pickle.BUILD),
    "an instance's class and its slots": pickled(called(EASY) + pickle.NONE + STATE + pickle.TUPLE2 + pickle.BUILD),
    "a function made like a class": pickled(named(*REBUILD) + pickle.EMPTY_TUPLE + pickle.NEWOBJ),
    "a function to add to": pickled(named(*REBUILD) + text("a") + pickle.APPEND),
    "a class to set items of": pickled(EASY + ITEM),
    "a hash that crashes": pickled(pickle.EMPTY_DICT + pickle.NONE + pickle.TUPLE1 * 10**5 + KEY),
    "a hash that does not end": pickled(pickle.EMPTY_DICT + pickle.NONE + (pickle.DUP + pickle.TUPLE2) * 60 + KEY),
    "a hash that does not end, kept in memory": pickled(
        pickle.EMPTY_DICT
        + pickle.NONE
        + b"".join(pickle.BINPUT + bytes([n]) + (pickle.BINGET + bytes([n])) + pickle.TUPLE2 for n in range(60))
        + KEY
    ),
    "a hash that does not end, disguised": pickled(
        pickle.EMPTY_DICT
        + pickle.NONE
        + (pickle.DUP + pickle.TUPLE2 + pickle.NONE + pickle.BUILD + pickle.MARK + pickle.APPENDS) * 60
        + KEY
    ),
    "a wide hash that does not end": pickled(
        pickle.EMPTY_DICT
        + pickle.NONE
        + b"".join(
            pickle.MEMOIZE + pickle.POP + pickle.MARK + (pickle.BINGET + bytes([n])) * 99 + pickle.TUPLE
            for n in range(9)
        )
        + KEY
    ),
    "a memory of two billion places": pickle.EMPTY_DICT + pickle.LONG_BINPUT + b"\xff\xff\xff\x7f" + pickle.STOP,
    "a text of four exabytes": pickled(pickle.BINUNICODE8 + struct.pack("<Q", 2**62) + b"abc"),
    "bytes of a terabyte": pickled(pickle.BINBYTES8 + struct.pack("<Q", 2**40) + b"abc"),
    "an array of bytes of a terabyte": pickled(pickle.BYTEARRAY8 + struct.pack("<Q", 2**40) + b"abc", 5),
    "a number of two gigabytes": pickled(pickle.LONG4 + struct.pack("<i", 2**31 - 1) + b"\1"),
    "a number of a negative length": pickled(pickle.LONG4 + struct.pack("<i", -5) + b"\1"),
    "a decimal number without end": b"L" + b"9" * 10**5 + b"L\n.",
    "a text file": b"hello, this is no pickle\n",
    "an empty file": b"",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "a marked nothing": pickled(pickle.MARK),
    "marks where values belong": pickled(pickle.MARK + pickle.MARK + pickle.TUPLE2),
}


def test_the_commands_above_would_be_run() -> None:
    pickle.loads(HOSTILE["a command"])
    assert MARKER.exists()


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_in_one_sentence(kind: str, capsys: Any) -> None:
    Path("x.pkl").write_bytes(HOSTILE[kind])
    assert run(["convert", "ilsgan", "x.pkl", "-o", "out"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("error: 'x.pkl' is ")
    assert line.isprintable()
    assert len(line) < 250
    assert os.listdir() == ["x.pkl"]


@pytest.mark.parametrize("kind", ["a command", "a hash that crashes"])
def test_the_program_itself_lives_on_to_say_it(kind: str) -> None:
    Path("x.pkl").write_bytes(HOSTILE[kind])
    words = [sys.executable, "-m", "fgbg_zoo", "convert", "ilsgan", "x.pkl", "-o", "out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: 'x.pkl' is ")
    assert done.stderr.count("\n") == 1
    assert os.listdir() == ["x.pkl"]


@pytest.fixture
def tiny(checkpoint: Write, layout: Callable[..., Any]) -> bytes:
    """A small but whole checkpoint."""
    generator = made(resolution=8, z_dim=2, w_dim=2, mapping_layers=1, channel_base=64, channel_max=2)
    return checkpoint({"G_ema": layout(generator)}).read_bytes()


OPCODES = [value for name, value in vars(pickle).items() if name.isupper() and isinstance(value, bytes)]
PLACES = st.integers(0, 2**31)
DAMAGE = st.one_of(
    st.tuples(st.just("flip"), PLACES, st.integers(0, 7)),
    st.tuples(st.just("cut"), PLACES, st.just(0)),
    st.tuples(st.just("drop"), PLACES, st.integers(1, 64)),
    st.tuples(st.just("double"), PLACES, st.integers(1, 64)),
    st.tuples(st.just("opcode"), PLACES, st.sampled_from(OPCODES)),
)


def damaged(content: bytes, kind: str, place: int, more: Any) -> bytes:
    if not content:
        return content
    place %= len(content)
    match kind:
        case "flip":
            return content[:place] + bytes([content[place] ^ (1 << more)]) + content[place + 1 :]
        case "cut":
            return content[:place]
        case "drop":
            return content[:place] + content[place + more :]
        case "double":
            return content[: place + more] + content[place:]
    return content[:place] + more + content[place:]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damages=st.lists(DAMAGE, min_size=1, max_size=4))
def test_a_damaged_file_is_converted_or_refused_in_one_sentence(
    tiny: bytes, capsys: Any, damages: list[tuple[str, int, Any]]
) -> None:
    content = tiny
    for damage in damages:
        content = damaged(content, *damage)
    Path("x.pkl").write_bytes(content)
    code = run(["convert", "ilsgan", "x.pkl", "-o", "out"])
    said = capsys.readouterr().err
    assert code in (0, 1)
    if code:
        (line,) = said.splitlines()
        assert line.startswith("error: ")
        assert "Unexpected" not in line  # what no sentence was written for
