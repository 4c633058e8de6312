"""Reading the original's checkpoints: what is in them, and files that would do harm or are no checkpoints."""

from __future__ import annotations

import collections
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
from fgbg_zoo_ilsgan.convert import convert
from fgbg_zoo_ilsgan.original import Module
from fgbg_zoo_ilsgan.original import read
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from fgbg_zoo.errors import SnapshotError

Write = Callable[..., Path]
MARKER = Path("it-was-run")  # in the folder where a test runs
COMMAND = f"touch {MARKER}"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def text(value: str) -> bytes:
    """Opcodes that push a text."""
    return pickle.BINUNICODE + struct.pack("<I", len(value.encode())) + value.encode()


def raw(value: bytes) -> bytes:
    return pickle.BINBYTES + struct.pack("<I", len(value)) + value


def named(module: str, name: str) -> bytes:
    """Opcodes that push what a module has under a name, as protocol 4 writes it."""
    return text(module) + text(name) + pickle.STACK_GLOBAL


def called(module: str, name: str, *arguments: bytes) -> bytes:
    return named(module, name) + pickle.MARK + b"".join(arguments) + pickle.TUPLE + pickle.REDUCE


def number(value: int) -> bytes:
    return pickle.LONG1 + struct.pack("<B", 16) + value.to_bytes(16, "little", signed=True)


def numbers(*values: int) -> bytes:
    return pickle.MARK + b"".join(map(number, values)) + pickle.TUPLE


def pickled(content: bytes) -> bytes:
    return pickle.PROTO + b"\4" + content + pickle.STOP


def storage(**changes: Any) -> bytes:
    """The bytes of three 32-bit floats as torch stores them in such files."""
    heading = {"count": 3, "stated": 3, "values": struct.pack("<3f", 0, 1, 2), "key": "0", "keys": ["0"]} | changes
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    opcodes = pickle.MARK + text("storage") + pickle.GLOBAL + b"torch\nFloatStorage\n" + text(heading["key"])
    opcodes += text("cpu") + number(heading["count"]) + pickle.NONE + pickle.TUPLE + pickle.BINPERSID
    parts += [pickle.PROTO + b"\2" + opcodes + pickle.STOP, pickle.dumps(heading["keys"], 2)]
    return b"".join(parts) + struct.pack("<q", heading["stated"]) + heading["values"]


def tensor(content: bytes, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    stored = called("torch.storage", "_load_from_bytes", raw(content))
    hooks = called("collections", "OrderedDict")
    arguments = (stored, number(offset), numbers(*size), numbers(*stride), pickle.NEWFALSE, hooks)
    return called("torch._utils", "_rebuild_tensor_v2", *arguments)


def network(value: bytes) -> bytes:
    """A checkpoint whose one network has one buffer."""
    buffers = pickle.EMPTY_DICT + text("_buffers") + pickle.EMPTY_DICT + text("it") + value
    state = text("state") + buffers + pickle.SETITEM + pickle.SETITEM
    made = called("torch_utils.persistence", "_reconstruct_persistent_obj", pickle.EMPTY_DICT + state + pickle.SETITEM)
    return pickled(pickle.EMPTY_DICT + text("G_ema") + made + pickle.SETITEM)


class Runs:
    """Is pickled as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def code() -> str:
    return f"__import__('os').system({COMMAND!r})"


HOSTILE: dict[str, tuple[bytes, str]] = {
    "a call of protocol 2": (pickle.dumps({"G_ema": Runs(os.system, COMMAND)}, 2), f"{os.name}.system"),
    "a call of protocol 4": (pickle.dumps({"G_ema": Runs(os.system, COMMAND)}, 4), f"{os.name}.system"),
    "os.system": (b"cos\nsystem\n(" + text(COMMAND) + b"tR.", "os.system"),
    "an old instance": (b"(" + text(COMMAND) + b"ios\nsystem\n.", "os.system"),
    "an object": (b"(cos\nsystem\n" + text(COMMAND) + b"o.", "os.system"),
    "eval": (pickle.dumps({"G_ema": Runs(eval, code())}), "builtins.eval"),
    "eval of Python 2": (b"c__builtin__\neval\n(" + text(code()) + b"tR.", "__builtin__.eval"),
    "getattr": (pickled(called("builtins", "getattr", text("a"), text("b"))), "builtins.getattr"),
    "a dotted name": (pickled(called("torch", "storage.os.system", text(COMMAND))), "torch.storage.os.system"),
    "torch.load": (pickled(called("torch", "load", text("x"))), "torch.load"),
    "a network's source": (
        pickled(called("torch_utils.persistence", "_src_to_module", text(code()))),
        "torch_utils.persistence._src_to_module",
    ),
    "in a network": (network(called("posix", "system", text(COMMAND))), "posix.system"),
    "in a storage": (
        network(called("torch.storage", "_load_from_bytes", raw(pickle.dumps(Runs(os.system, COMMAND), 2)))),
        f"{os.name}.system",
    ),
    "in a storage, as protocol 4": (
        network(called("torch.storage", "_load_from_bytes", raw(pickled(called("os", "system", text(COMMAND)))))),
        "os.system",
    ),
    "in a storage's last pickle": (
        network(
            called(
                "torch.storage",
                "_load_from_bytes",
                raw(b"".join(pickle.dumps(n) for n in range(4)) + pickled(called("os", "system", text(COMMAND)))),
            )
        ),
        "os.system",
    ),
    "a function within a storage": (
        network(called("torch.storage", "_load_from_bytes", raw(pickled(named("torch._utils", "_rebuild_tensor_v2"))))),
        "torch._utils._rebuild_tensor_v2",
    ),
    "an unknown name": (pickled(named("somewhere", "Something")), "somewhere.Something"),
    "a name of many lines": (pickled(named("some\nwhere\x1b[31m", "x" * 500)), "some where [31m.xxxx"),
    "an object outside": (b"Psomewhere\n.", "an object outside of the file"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_would_be_run_is_refused_by_its_name(kind: str) -> None:
    content, name = HOSTILE[kind]
    Path("x.pkl").write_bytes(content)
    with pytest.raises(SnapshotError) as caught:
        convert("x.pkl", "out")
    said = str(caught.value)
    assert said.startswith(f"'x.pkl' is refused: it names {name}")
    assert said.isprintable()
    assert len(said) < 250
    assert said.count(". ") == 0
    assert not MARKER.exists()
    assert os.listdir() == ["x.pkl"]


def test_the_commands_above_would_be_run() -> None:
    """Python itself runs them, so their refusal means something."""
    pickle.loads(HOSTILE["os.system"][0])
    assert MARKER.exists()


def changed(module: str, name: str, state: bytes) -> bytes:
    """A change of what a table admits: its attributes are what is called later."""
    return network(named(module, name) + state + pickle.BUILD)


_DEFAULTS = pickle.NONE + pickle.EMPTY_DICT + text("__defaults__") + numbers(1) + pickle.SETITEM + pickle.TUPLE2
_GLOBALS = pickle.EMPTY_DICT + text("make") + pickle.NONE + pickle.SETITEM

POINTERS = (
    # Numbers of a layout that the file gives: its bytes would be taken for addresses of objects.
    called("numpy", "dtype", text("i8,i8"))
    + pickle.MARK
    + pickle.BININT1
    + b"\3"
    + text("|")
    + pickle.NONE
    + text("f0")
    + pickle.TUPLE1
    + (pickle.EMPTY_DICT + text("f0") + called("numpy", "dtype", text("i8,O")) + number(0) + pickle.TUPLE2)
    + pickle.SETITEM
    + number(16)
    + number(8)
    + number(0)
    + pickle.TUPLE
    + pickle.BUILD
)
_SMALL = called("numpy", "dtype", text("f8"))
_OBJECTS = pickle.MARK + number(3) + text("|") + pickle.NONE + text("f0") + pickle.TUPLE1 + pickle.EMPTY_DICT

MALFORMED: dict[str, bytes] = {
    "a number that is a pointer": network(called("numpy.core.multiarray", "scalar", POINTERS, raw(b"A" * 16))),
    "a number type that is changed": network(_SMALL + _OBJECTS + number(8) + pickle.TUPLE + pickle.BUILD),
    "a number of objects": network(called("numpy", "dtype", text("O"))),
    "a number that is too long": network(called("numpy.core.multiarray", "scalar", _SMALL, raw(b"1234"))),
    "an array of numbers": network(called("numpy", "dtype", text("(1000000,1000000)f8"))),
    "a text of numpy's": network(called("numpy", "dtype", text("U1000000000"))),
    "a changed function": changed("torch._utils", "_rebuild_tensor_v2", _DEFAULTS),
    "a changed constructor": changed("torch_utils.persistence", "_reconstruct_persistent_obj", _GLOBALS),
    "a changed container": changed("collections", "OrderedDict", _DEFAULTS),
    "a changed class": changed("dnnlib.util", "EasyDict", _GLOBALS),
    "a changed tensor": network(tensor(storage(), 0, (3,), (1,)) + _GLOBALS + pickle.BUILD),
    "a tensor beyond its storage": network(tensor(storage(), 0, (4,), (1,))),
    "a tensor past its storage's end": network(tensor(storage(), 2, (2,), (1,))),
    "a tensor before its storage": network(tensor(storage(), -1, (2,), (1,))),
    "a tensor of strides beyond its storage": network(tensor(storage(), 0, (2,), (2**40,))),
    "a tensor of a negative size": network(tensor(storage(), 0, (-1,), (1,))),
    "a tensor of one repeated value": network(tensor(storage(), 0, (10**6, 10**6), (0, 0))),
    "a tensor whose size overflows": network(tensor(storage(), 0, (2**40, 2**40), (0, 0))),
    "a tensor of no storage": network(called("torch._utils", "_rebuild_tensor_v2", text("x"), *[numbers(1)] * 5)),
    "a storage that says more": network(tensor(storage(count=10**12, stated=10**12), 0, (3,), (1,))),
    "a storage that says less": network(tensor(storage(count=2, stated=2), 0, (2,), (1,))),
    "a storage of two counts": network(tensor(storage(count=10**15), 0, (3,), (1,))),
    "a storage of a negative count": network(tensor(storage(count=-3, stated=-3), 0, (3,), (1,))),
    "a storage of other keys": network(tensor(storage(keys=["1"]), 0, (3,), (1,))),
    "a storage of an archive": network(called("torch.storage", "_load_from_bytes", raw(b"PK\3\4" + b"\0" * 64))),
    "a storage of nothing": network(called("torch.storage", "_load_from_bytes", raw(b""))),
    "a storage of a text": network(called("torch.storage", "_load_from_bytes", text("x"))),
    "a parameter of a text": network(called("torch._utils", "_rebuild_parameter", text("x"), pickle.NONE, pickle.NONE)),
    "a network of nothing": pickled(called("torch_utils.persistence", "_reconstruct_persistent_obj", pickle.NONE)),
    "a memory of two billion places": pickle.EMPTY_DICT + pickle.LONG_BINPUT + b"\xff\xff\xff\x7f" + pickle.STOP,
    "a memory in a storage": network(
        called("torch.storage", "_load_from_bytes", raw(pickle.NONE + pickle.LONG_BINPUT + b"\xff\xff\xff\x7f."))
    ),
    "an endless text": pickle.PROTO + b"\4" + pickle.BINUNICODE8 + struct.pack("<Q", 2**62) + b"abc",
    "endless bytes": pickle.PROTO + b"\4" + pickle.BINBYTES8 + struct.pack("<Q", 2**40) + b"abc",
    "endless bytes to write to": pickle.PROTO + b"\5" + pickle.BYTEARRAY8 + struct.pack("<Q", 2**62) + b"abc",
    "an endless frame": pickle.PROTO + b"\4" + pickle.FRAME + struct.pack("<Q", 2**62) + b"N.",
    "an extension": pickle.EXT1 + b"\1.",
    "a deep list": pickle.EMPTY_LIST * 10**5 + pickle.APPEND * (10**5 - 1) + pickle.STOP,
    "a key that is a tuple": pickle.dumps({"G_ema": {(-1, -2): 1}}),
    "a key that is a large number": pickle.dumps({2**61 - 1: 1}),
    "a key that is a fraction": pickle.dumps({0.5: 1}),
    "a tuple in a set": pickle.dumps({"G_ema": {(1, 2)}}),
    "a tuple in a set of protocol 2": pickle.dumps({"G_ema": {(1, 2)}}, 2),
    "a tuple in a set of protocol 0": pickle.dumps({"G_ema": {(1, 2)}}, 0),
    "a tuple as a container's key": pickle.dumps(collections.OrderedDict([((1, 2), 3)]), 2),
    "a tuple in a container's list": pickled(
        called(
            "collections", "OrderedDict", pickle.EMPTY_LIST + numbers(1, 2) + number(3) + pickle.TUPLE2 + pickle.APPEND
        )
    ),
    "no object": pickle.STOP,
    "too many ends": pickle.NONE + pickle.POP + pickle.POP + pickle.STOP,
    "a text file": b"hello, this is no pickle\n",
    "an empty file": b"",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "an archive": b"PK\3\4" + bytes(100),
    "a number": pickle.dumps(3),
    "a dictionary of no networks": pickle.dumps({"G_ema": 1}),
    "a plain state dictionary": pickle.dumps({"G_ema": {"weight": [1.0]}}),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_is_no_checkpoint_is_refused_in_one_sentence(kind: str) -> None:
    Path("x.pkl").write_bytes(MALFORMED[kind])
    with pytest.raises(SnapshotError) as caught:
        convert("x.pkl", "out")
    said = str(caught.value)
    assert said.startswith("'x.pkl' is no snapshot of the original code")
    assert said.isprintable()
    assert len(said) < 250
    assert os.listdir() == ["x.pkl"]


def test_a_storage_as_above_is_read() -> None:
    Path("x.pkl").write_bytes(network(tensor(storage(), 1, (2,), (1,))))
    assert torch.equal(read("x.pkl")["G_ema"].tensors()["it"], torch.tensor([1.0, 2.0]))


def test_numbers_of_numpy_are_read() -> None:
    plain = pickle.MARK + number(3) + text("<") + pickle.NONE * 3 + number(-1) * 2 + number(0) + pickle.TUPLE
    value = called("numpy.core.multiarray", "scalar", _SMALL + plain + pickle.BUILD, raw(struct.pack("<d", 2.5)))
    Path("x.pkl").write_bytes(network(value))
    assert read("x.pkl")["G_ema"].state["_buffers"] == {"it": 2.5}


@pytest.mark.parametrize(("path", "said"), [("missing.pkl", "No such file"), (".", "Is a directory")])
def test_a_file_that_is_not_there(path: str, said: str) -> None:
    with pytest.raises(SnapshotError, match=f"^'{path}' cannot be read: {said}"):
        read(path)


def test_the_originals_checkpoint_holds_its_networks(layered_32: Path) -> None:
    networks = read(layered_32)
    assert list(networks) == ["G", "D", "G_ema"]
    generator = networks["G_ema"]
    assert generator.name == "PerturbGenerator"
    assert generator.settings["mapping_kwargs"] == {"num_layers": 4}
    fixture = load_file(layered_32.with_suffix(".safetensors"))
    for kind, name in (("G", "G_ema"), ("D", "D")):
        expected = {key.removeprefix(f"{kind}/"): t for key, t in fixture.items() if key.startswith(f"{kind}/")}
        found = networks[name].tensors()
        assert found.keys() == expected.keys()
        if kind == "G":
            assert all(torch.equal(value, expected[key]) for key, value in found.items())
            assert not all(torch.equal(value, expected[key]) for key, value in networks["G"].tensors().items())


def test_the_source_in_a_file_is_never_run(checkpoint: Write, layout: Callable[..., Any]) -> None:
    """The helper's networks carry source that would end the process."""
    path = checkpoint({"G_ema": layout(LayeredGenerator(resolution=8, z_dim=2, w_dim=2, channel_max=2))})
    assert b"the source in the file was run" in path.read_bytes()
    assert isinstance(read(path)["G_ema"], Module)


def test_a_network_within_itself_ends() -> None:
    inner = pickle.EMPTY_DICT + pickle.MEMOIZE  # state, 0
    meta = pickle.EMPTY_DICT + text("state") + pickle.BINGET + b"\0" + pickle.SETITEM
    made = called("torch_utils.persistence", "_reconstruct_persistent_obj", meta) + pickle.MEMOIZE  # 1
    loop = pickle.EMPTY_DICT + text("x") + pickle.BINGET + b"\1" + pickle.SETITEM
    tied = pickle.BINGET + b"\0" + text("_modules") + loop + pickle.SETITEM + pickle.POP
    content = pickle.EMPTY_DICT + text("G_ema") + pickle.BINGET + b"\1" + pickle.SETITEM
    Path("x.pkl").write_bytes(pickled(inner + made + tied + content))
    with pytest.raises(SnapshotError, match="in two places"):
        convert("x.pkl", "out")


@pytest.fixture
def tiny(checkpoint: Write, layout: Callable[..., Any]) -> bytes:
    """A small but whole checkpoint."""
    generator = LayeredGenerator(resolution=8, z_dim=2, w_dim=2, mapping_layers=1, channel_base=64, channel_max=2)
    return checkpoint({"G_ema": layout(generator)}).read_bytes()


def test_a_file_that_is_cut_short_is_refused(tiny: bytes) -> None:
    path = Path("x.pkl")
    for length in range(0, len(tiny), len(tiny) // 40):
        path.write_bytes(tiny[:length])
        with pytest.raises(SnapshotError, match="no snapshot of the original code, or is cut short"):
            read(path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_file_is_converted_or_refused(tiny: bytes, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(tiny)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    Path("x.pkl").write_bytes(damaged)
    try:
        convert("x.pkl", "out")
    except SnapshotError as error:
        assert str(error).isprintable()  # noqa: PT017 (it may also go well)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (HOSTILE["in a storage"][0], f"it names {os.name}.system"),
        (MALFORMED["a number that is a pointer"], "a number of an odd type"),
        (MALFORMED["a memory of two billion places"], "more memory"),
    ],
    ids=["a command", "a pointer", "much memory"],
)
def test_the_program_refuses_with_a_sentence(content: bytes, said: str, tmp_path: Path) -> None:
    Path("x.pkl").write_bytes(content)
    words = [sys.executable, "-m", "fgbg_zoo", "convert", "ilsgan", "x.pkl", "-o", "out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: 'x.pkl' is ")
    assert said in line
    assert os.listdir() == ["x.pkl"]


@pytest.mark.parametrize("name", ["items", "get", "keys"])
def test_a_containers_methods_cannot_be_hidden(name: str) -> None:
    """What an object's state sets would otherwise be called in the place of its methods."""
    hide = pickle.EMPTY_DICT + text(name) + called("collections", "OrderedDict") + pickle.SETITEM + pickle.BUILD
    buffers = called("collections", "OrderedDict") + text("it") + tensor(storage(), 0, (3,), (1,)) + pickle.SETITEM
    state = called("collections", "OrderedDict") + text("_buffers") + buffers + hide + pickle.SETITEM + hide
    meta = pickle.EMPTY_DICT + text("state") + state + pickle.SETITEM
    made = called("torch_utils.persistence", "_reconstruct_persistent_obj", meta)
    Path("x.pkl").write_bytes(pickled(pickle.EMPTY_DICT + text("G_ema") + made + pickle.SETITEM))
    assert read("x.pkl")["G_ema"].tensors()["it"].tolist() == [0, 1, 2]
