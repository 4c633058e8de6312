import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fgbg_zoo_seigan.features import PLAN
from fgbg_zoo_seigan.features import TAPS
from fgbg_zoo_seigan.features import DiscriminatorFeatures
from fgbg_zoo_seigan.features import VGGFeatures
from fgbg_zoo_seigan.features import vgg19_state
from fgbg_zoo_seigan.nets import PatchDiscriminator
from safetensors.torch import save_file

from fgbg_zoo.errors import NotAvailableError


def _vgg_state() -> dict[str, torch.Tensor]:
    """Random weights under VGG19's own keys, with the classifier's keys beside them."""
    generator = torch.Generator().manual_seed(0)
    state, channels, index = {}, 3, 0
    for out in PLAN:
        if out:
            state[f"features.{index}.weight"] = torch.randn(out, channels, 3, 3, generator=generator) * 0.02
            state[f"features.{index}.bias"] = torch.zeros(out)
            channels, index = out, index + 2
        else:
            index += 1
    state["head.fc.weight"] = torch.zeros(10, 512)
    return state


def test_layout_is_vgg19s() -> None:
    timm = pytest.importorskip("timm")
    reference = timm.create_model("vgg19", pretrained=False)
    ours = VGGFeatures(_vgg_state())
    theirs = {k: v.shape for k, v in reference.state_dict().items() if k.startswith("features.")}
    assert {k: v.shape for k, v in ours.state_dict().items()} == theirs
    assert sum(p.numel() for p in ours.parameters()) == 20_024_384


def test_taps_agree_with_timms_layers_of_the_same_weights() -> None:
    timm = pytest.importorskip("timm")
    reference = timm.create_model("vgg19", pretrained=False).eval()
    state = {k: v for k, v in reference.state_dict().items() if k.startswith("features.")}
    ours = VGGFeatures(state)
    picture = torch.rand(1, 3, 64, 64) * 2 - 1
    normal = ((picture + 1) / 2 - ours.mean) / ours.std
    wanted = []
    with torch.no_grad():
        x = normal
        for index, module in enumerate(reference.features):
            x = module(x)
            if index in TAPS["relu"][1]:
                wanted.append(x.clone())
        found = ours.perceptual(picture, "object")
    assert [tuple(f.shape[1:]) for f in found] == [(512, 8, 8)] + [(512, 4, 4)] * 4
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, wanted, strict=True))
    assert min(float(f.min()) for f in found) >= 0  # rectified


def test_loader_takes_a_file_and_ignores_the_classifier(tmp_path: Path) -> None:
    save_file(_vgg_state(), tmp_path / "vgg.safetensors")
    VGGFeatures(vgg19_state(tmp_path / "vgg.safetensors"))


def test_missing_weights_are_said_and_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(NotAvailableError, match=r"nowhere\.safetensors"):
        vgg19_state(tmp_path / "nowhere.safetensors")


def test_random_filters_are_equal_across_processes() -> None:
    code = (
        "import torch; from fgbg_zoo_seigan.features import VGGFeatures;"
        "x = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32);"
        "f = VGGFeatures(width=8); print(sum(t.double().sum().item() for t in f.texture(x, 'object')))"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    assert float(runs[0].stdout) > 0


@pytest.mark.parametrize("taps", ["relu", "modules", "blocks"])
def test_readings_differ_in_their_taps(taps: str) -> None:
    net = VGGFeatures(taps=taps, width=16)  # type: ignore[arg-type]
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    early, late = net.texture(x, "background"), net.perceptual(x, "background")
    assert (len(early), len(late)) == tuple(len(indices) for indices in TAPS[taps])
    sum(t.sum() for t in [*early, *late]).backward()  # type: ignore[union-attr]
    assert x.grad is not None
    assert all(p.grad is None for p in net.parameters())


def test_discriminator_features_choose_the_judge() -> None:
    torch.manual_seed(0)
    d_bg, d_obj = PatchDiscriminator(4, 1), PatchDiscriminator(4, 1)
    features = DiscriminatorFeatures(d_bg, d_obj)
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(features.perceptual(x, "background")[0], d_bg.features(x)[0])
    assert torch.equal(features.texture(x, "object")[0], d_obj.features(x)[0])
