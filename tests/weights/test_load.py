from __future__ import annotations

import json
import pickle
import shutil
import struct
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from safetensors.torch import save_file

import fgbg_zoo
from fgbg_zoo import registry
from fgbg_zoo.errors import DeviceError
from fgbg_zoo.errors import PluginError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.errors import UnknownModelError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.errors import WeightsNotFoundError
from fgbg_zoo.snapshot import write_snapshot


def build(kind: str = "Net", **architecture: object) -> torch.nn.Module:
    torch.manual_seed(0)
    network = registry.resolve(f"toy_nets.nets:{kind}", "toy")(**architecture)
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    return network.eval()


def snapshot(folder: Path, name: str = "Net", **changes: object) -> Path:
    architecture = changes.pop("architecture", {})
    return write_snapshot(
        folder, build(name, **architecture), method=f"toy-{name.lower()}", architecture=architecture, **changes
    )


def edit(folder: Path, **tensors: torch.Tensor | None) -> Path:
    path = folder / "model.safetensors"
    state = {**load_file(path), **{name.replace("__", "."): value for name, value in tensors.items()}}
    save_file({name: value for name, value in state.items() if value is not None}, path)
    return folder


def cpu(name: str | Path, **keywords: object) -> fgbg_zoo.Model:
    return fgbg_zoo.load(name, device="cpu", **keywords)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    folder = snapshot(tmp_path / "s")
    weight = load_file(folder / "model.safetensors")["first.weight"]
    weight.view(-1)[0] = value
    with pytest.raises(SnapshotError, match=r"'first\.weight' holds NaN or infinity"):
        cpu(edit(folder, first__weight=weight))


@pytest.mark.parametrize(("name", "architecture"), [("Net", {"width": 3}), ("Peeking", {"width": 3}), ("Pair", {})])
def test_a_model_comes_back_as_it_was(tmp_path, name, architecture):
    network = build(name, **architecture)
    model = cpu(snapshot(tmp_path / "a", name, architecture=architecture))
    images = torch.rand(2, 3, 8, 9)
    segmenter = getattr(network, "segmenter", network)
    assert torch.equal(model.segment(images), segmenter.segment(images).detach())
    assert not model.network.training
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    again = fgbg_zoo.save(model, tmp_path / "b")
    assert contents(again) == contents(tmp_path / "a")


def test_random_numbers_are_left_alone(tmp_path):
    folder = snapshot(tmp_path / "s")
    torch.manual_seed(7)
    cpu(folder)
    drawn = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(3))


def test_what_no_snapshot_stores_comes_from_the_architecture(tmp_path):
    assert cpu(snapshot(tmp_path / "s", architecture={"shift": 2.5})).network.shift.item() == 2.5


def test_shards(tmp_path):
    folder = snapshot(tmp_path / "s")
    expected = cpu(folder).network.state_dict()
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    weight_map = {name: f"model-{index % 2}.safetensors" for index, name in enumerate(sorted(state))}
    for file in set(weight_map.values()):
        save_file({name: value for name, value in state.items() if weight_map[name] == file}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    found = cpu(folder).network.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())

    moved = {**weight_map, "first.bias": "model-1.safetensors", "first.weight": "model-0.safetensors"}
    index.write_text(json.dumps({"weight_map": moved}))
    with pytest.raises(SnapshotError, match="does not hold the tensors that the index says"):
        cpu(folder)
    (folder / "model-1.safetensors").unlink()
    with pytest.raises(SnapshotError, match=r"names model-1\.safetensors, which is not there"):
        cpu(folder)


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
def test_half_precision_is_brought_to_the_networks_type(tmp_path, stored):
    network = build().to(stored)
    folder = write_snapshot(tmp_path / "s", network, method="toy-net", architecture={})
    model = cpu(folder)
    assert model.dtype == torch.float32
    assert torch.equal(model.network.first.weight, network.first.weight.float())
    assert model.network.norm.num_batches_tracked.dtype == torch.int64
    again = fgbg_zoo.save(cpu(folder, dtype=stored), tmp_path / "b")
    assert contents(again) == contents(folder)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(None, torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16), (torch.bfloat16, torch.bfloat16)],
)
def test_dtype(tmp_path, dtype, expected):
    model = cpu(snapshot(tmp_path / "s"), dtype=dtype)
    assert (model.dtype, model.network.first.weight.dtype) == (expected, expected)
    assert model.segment(torch.rand(1, 3, 8, 8)).dtype == torch.float32


@pytest.mark.parametrize("dtype", ["float32", torch.float64, torch.int8, 3])
def test_a_dtype_that_is_none(dtype):
    with pytest.raises(UsageError, match="fp32, bf16, fp16"):
        cpu("toy-free", dtype=dtype)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"first__bias": None}, r"lacks first\.bias"),
        ({"other": torch.zeros(1)}, "holds other, which"),
        ({"first__weight": torch.zeros(5, 3, 3, 3)}, r"first\.weight \(5, 3, 3, 3\) instead of \(2, 3, 3, 3\)"),
        ({"first__weight": torch.zeros(2, 3, 3, 3, dtype=torch.float64)}, r"first\.weight F64 instead of float32"),
        ({"first__weight": torch.zeros(2, 3, 3, 3, dtype=torch.int32)}, r"first\.weight I32 instead of float32"),
        ({"norm__num_batches_tracked": torch.tensor(1, dtype=torch.int32)}, "I32 instead of int64"),
        ({"norm__num_batches_tracked": torch.tensor(1.0)}, "F32 instead of int64"),
        ({name: torch.zeros(1) for name in "abcde"}, "a, b, c and 2 more"),
    ],
)
@pytest.mark.parametrize("name", ["Net", "Peeking"])
def test_weights_that_do_not_fit(tmp_path, name, tensors, message):
    with pytest.raises(SnapshotError, match=message):
        cpu(edit(snapshot(tmp_path / "s", name), **tensors))


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (10**12, "larger than any size"),
        (2**24, "much more memory"),
        (10**5, "has other shapes"),
        (True, "valid integer"),
    ],
)
def test_a_config_of_absurd_size_costs_nothing(tmp_path, width, said):
    folder = snapshot(tmp_path / "s")
    config = json.loads((folder / "config.json").read_text())
    config["architecture"]["width"] = width
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(SnapshotError, match=said):
        cpu(folder)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.999])
def test_cut_short(tmp_path, share):
    path = snapshot(tmp_path / "s") / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SnapshotError, match="corrupt or cut short"):
        cpu(tmp_path / "s")


def lying(length: int, header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", length) + header + data


@pytest.mark.parametrize(
    "content",
    [
        b"not a safetensors file at all",
        pickle.dumps({"first.weight": 1}),
        lying(2**63, b"{}"),
        lying(2**40, b"{}"),
        lying(1_000, b"{}"),
        lying(2, b"[]"),
        lying(64, b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,800000]}}     ', b"\0" * 8),
        lying(64, b'{"a":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,8]}}', b"\0" * 8),
        lying(58, b'{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}    ', b"\0" * 8),
    ],
)
def test_a_weight_file_that_lies(tmp_path, content):
    (snapshot(tmp_path / "s") / "model.safetensors").write_bytes(content)
    with pytest.raises(SnapshotError, match="corrupt or cut short"):
        cpu(tmp_path / "s")


@pytest.mark.parametrize(
    ("name", "architecture", "message"),
    [
        ("Net", {"widht": 3}, r"Net: .*'widht'.* It takes: width, shift"),
        ("Net", {"width": "a lot"}, "Net: width: Input should be a valid integer"),
        ("Net", {"width": -1}, "ValueError: width must be at least 1"),
        ("Strict", {"widht": 3}, "Strict: widht: Extra inputs"),
        ("Strict", {"width": "x"}, "Strict: width: Input should be a valid integer"),
        ("broken", {}, "KeyError: 'nothing works'"),
    ],
)
def test_an_architecture_that_cannot_be_built(tmp_path, name, architecture, message):
    folder = write_snapshot(tmp_path / "s", build(), method=f"toy-{name.lower()}", architecture=architecture)
    with pytest.raises(SnapshotError, match=message):
        cpu(folder)


def test_a_target_that_builds_no_module(tmp_path):
    with pytest.raises(PluginError, match="builds a int"):
        cpu(write_snapshot(tmp_path / "s", build(), method="toy-not_a_module", architecture={}))


def test_a_method_that_is_not_installed(tmp_path):
    with pytest.raises(SnapshotError, match=r"not installed\. Unknown method 'toy-nett'\. Did you mean 'toy-net'"):
        cpu(write_snapshot(tmp_path / "s", build(), method="toy-nett", architecture={}))
    with pytest.raises(SnapshotError, match="names no class"):
        cpu(write_snapshot(tmp_path / "t", build(), method="toy-homeless", architecture={}))


def test_the_spec_of_a_folder(tmp_path):
    registered = cpu(snapshot(tmp_path / "a", model="toy-net-scenes")).spec
    assert registered == fgbg_zoo.info("toy-net-scenes")
    fresh = cpu(snapshot(tmp_path / "my-own", dataset="mine", license="MIT")).spec
    assert (fresh.name, fresh.method, fresh.dataset, fresh.license) == ("my-own", "toy-net", "mine", "MIT")
    assert fresh.capabilities == ("segment",)
    pair = cpu(snapshot(tmp_path / "b", "Pair", model="toy-net-scenes")).spec  # the name of another method's model
    assert (pair.method, pair.capabilities, pair.inputs) == (
        "toy-pair",
        ("segment", "generate"),
        ("images", "backgrounds"),
    )


def test_a_model_without_weights(tmp_path):
    model = cpu("toy-free")
    assert model.network.first.out_channels == 1
    assert cpu(fgbg_zoo.save(model, tmp_path / "s")).spec == model.spec
    with pytest.raises(UsageError, match="no revisions"):
        cpu("toy-free", revision="v1")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("lab/model", "lab/model"), ("https://huggingface.co/lab/model", "lab/model"), ("./lab/model", ""), ("a/b/c", "")],
)
def test_a_repository_without_its_prefix_is_recognised(name, meant):
    with pytest.raises(WeightsNotFoundError) as error:
        cpu(name)
    assert ("write 'hf:lab/model' if" in str(error.value)) == bool(meant)


def test_a_revision_of_what_is_bundled_means_the_hub(bundled):
    with pytest.raises(WeightsNotFoundError, match="leave it out to use the weights of 'toy-net-scenes'"):
        cpu("toy-net-scenes", revision="v1", local_files_only=True)


@pytest.mark.parametrize("call", [fgbg_zoo.load, lambda what: fgbg_zoo.save(what, "nowhere")])
def test_what_is_no_name_and_no_model_is_refused(call):
    with pytest.raises(UsageError, match="not a int"):
        call(3)


def test_a_model_that_shares_weights_is_itself_again(toy, tmp_path):
    folder = toy / "toy_nets" / "weights" / "toy-modes"
    snapshot(folder, "Modes", architecture={})
    model = cpu("toy-modes-inverted")
    again = cpu(fgbg_zoo.save(model, tmp_path / "s"))
    shutil.rmtree(folder.parent)
    assert again.spec == model.spec
    assert again.spec.capabilities == ("segment",)
    images = torch.rand(1, 3, 6, 6)
    assert torch.equal(again.segment(images), model.segment(images))
    assert torch.allclose(again.segment(images), 1 - again.segment(images, mode="plain"))


@pytest.fixture
def bundled(toy):
    folder = snapshot(toy / "toy_nets" / "weights" / "toy-net-scenes", training={"bundled": True})
    yield folder
    shutil.rmtree(folder.parent)


def test_the_bundled_snapshot_is_found_by_name(bundled):
    model = cpu("toy-net-scenes")
    assert model.config["training"] == {"bundled": True}
    assert cpu("toy:toy-net-scenes").spec == model.spec == fgbg_zoo.info("toy-net-scenes")


def test_a_registered_name_wins_over_a_folder_here(bundled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("toy-net-scenes", "unregistered"):
        snapshot(Path(name), training={"bundled": False})
    assert cpu("toy-net-scenes").config["training"] == {"bundled": True}
    assert cpu("./toy-net-scenes").config["training"] == {"bundled": False}
    assert cpu(tmp_path / "toy-net-scenes").config["training"] == {"bundled": False}
    assert cpu("unregistered").spec.name == "unregistered"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cpu("~/unregistered").spec.name == "unregistered"
    Path("empty").mkdir()
    with pytest.raises(UnknownModelError):
        cpu("empty")


def test_a_bundled_snapshot_of_another_method(bundled):
    snapshot(bundled, "Pair")
    with pytest.raises(SnapshotError, match="holds a 'toy-pair' model, but 'toy-net-scenes' is a 'toy-net' model"):
        cpu("toy-net-scenes")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"dataset": "cub"}, "holds a model trained on 'cub', but 'toy-net-scenes' is one trained on 'scenes'"),
        ({"model": "toy-net-cub"}, "holds the model 'toy-net-cub', but 'toy-net-scenes' is another one"),
    ],
)
def test_a_bundled_snapshot_of_something_else(bundled, config, said):
    snapshot(bundled, **config)
    with pytest.raises(SnapshotError, match=said):
        cpu("toy-net-scenes")


def test_a_snapshot_that_says_less_or_has_a_name_of_its_own_is_taken(bundled):
    snapshot(bundled, model="of-mine", dataset="scenes", training={"note": "mine"})
    assert cpu("toy-net-scenes").config["training"] == {"note": "mine"}


def test_arguments_that_contradict_each_other(tmp_path):
    with pytest.raises(UsageError, match="no revisions"):
        cpu(snapshot(tmp_path / "s"), revision="v1")
    with pytest.raises(UsageError, match="two revisions"):
        cpu("hf:a/b@v1", revision="v2")


@pytest.mark.parametrize("name", ["hf:", "hf:a", "hf:a/b/c", "hf:/b", "hf:a/b@"])
def test_references_that_name_no_repository(name):
    with pytest.raises(UsageError, match="hf:organisation/repository"):
        cpu(name)


def test_unknown_names():
    with pytest.raises(UnknownModelError, match="Did you mean 'toy-net-scenes'"):
        cpu("toy-net-scnes")
    with pytest.raises(WeightsNotFoundError, match="no folder"):
        cpu("./toy-net-scenes-that-is-not-here")


def test_devices():
    if torch.cuda.is_available():
        assert fgbg_zoo.load("toy-free").device == torch.device("cuda", 0)
        with pytest.raises(DeviceError, match="numbered from 0"):
            fgbg_zoo.load("toy-free", device="cuda:99")
    else:
        assert fgbg_zoo.load("toy-free").device == torch.device("cpu")
        with pytest.raises(DeviceError, match="no CUDA device"):
            fgbg_zoo.load("toy-free", device="cuda")
    for device in ("tpu", "meta", "cpu:x", ""):
        with pytest.raises(DeviceError, match="device must be auto, cpu"):
            fgbg_zoo.load("toy-free", device=device)


def test_no_pickle_is_opened(tmp_path, monkeypatch):
    folder = snapshot(tmp_path / "s")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(SnapshotError, match="Pickled weights are not read"):
        cpu(folder)


def test_saving_needs_the_architecture(tmp_path):
    model = cpu("toy-free")
    del model.config["architecture"]
    with pytest.raises(UsageError, match="cannot be saved"):
        fgbg_zoo.save(model, tmp_path / "s")


def test_the_toy_package_is_the_one_under_test(toy):
    assert Path(sys.modules["toy_nets"].__file__).is_relative_to(toy)
