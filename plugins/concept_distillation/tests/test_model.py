"""The model: its modes, options, sentences for what cannot be done, and pipelines in folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from fgbg_zoo_concept_distillation.concepts import concept_of
from fgbg_zoo_concept_distillation.convert import convert
from fgbg_zoo_concept_distillation.folder import open_pipeline
from fgbg_zoo_concept_distillation.folder import save_pipeline
from fgbg_zoo_concept_distillation.model import ConceptDistillation
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion
from fgbg_zoo_concept_distillation.tokens import END
from fgbg_zoo_concept_distillation.tokens import START
from safetensors.torch import load_file
from safetensors.torch import save_file

import fgbg_zoo
from fgbg_zoo.data.pictures import write_png
from fgbg_zoo.errors import DeviceError
from fgbg_zoo.errors import InputError
from fgbg_zoo.errors import NotAvailableError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.errors import WeightsNotFoundError
from fgbg_zoo.spec import ModelSpec
from fgbg_zoo.testing.hub import HubServer

QUICK = {"maps": {"times": 2}, "refine": {"steps": 2}}


def wrapped(network) -> fgbg_zoo.interfaces.Model:
    method = fgbg_zoo.registry.method_spec("concept-distillation")
    spec = ModelSpec(name="tiny", method=method.name, dataset="", capabilities=("segment", "generate"))
    config = {"architecture": network.architecture.model_dump(mode="json", exclude_defaults=True)}
    return fgbg_zoo.interfaces.Model(spec, method, network, config, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(scope="module")
def network(architecture) -> ConceptDistillation:
    torch.manual_seed(0)
    student = {"size": 32, "width": 4}
    return ConceptDistillation(
        LatentDiffusion(architecture()),
        concepts=("bird", "dog"),
        closed=True,
        tuned=True,
        student=student,
        preliminary_student=True,
        **QUICK,
    )


@pytest.fixture(scope="module")
def model(network):
    return wrapped(network)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, architecture):
    torch.manual_seed(1)
    return save_pipeline(LatentDiffusion(architecture()), tmp_path_factory.mktemp("saved") / "pipeline")


def pictures(count=2, h=40, w=56):
    return torch.rand(count, 3, h, w, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("mode", ["student", "refined", "preliminary", "mirrored", "preliminary-student", None])
def test_every_mode_gives_masks_of_the_pictures(model, mode) -> None:
    masks = model.segment(pictures(), concept="bird", mode=mode)
    assert masks.shape == (2, 1, 40, 56)
    assert torch.equal(masks, model.segment(pictures(), concept="bird", mode=mode))
    if mode is None:
        assert torch.equal(masks, model.segment(pictures(), mode="student"))


def test_a_mask_depends_on_its_own_picture_and_the_seed_alone(model) -> None:
    given = pictures(3)
    together = model.segment(given, concept="bird", mode="refined")
    assert torch.equal(together[1:2], model.segment(given[1:2], concept="bird", mode="refined"))
    assert torch.equal(together.flip(0), model.segment(given.flip(0), concept="bird", mode="refined"))
    other = model.segment(given, concept="bird", mode="preliminary", seed=1)
    assert not torch.equal(other, model.segment(given, concept="bird", mode="preliminary"))


def test_a_caption_names_the_concept(model) -> None:
    said = model.segment(pictures(), concept="dog", mode="preliminary")
    assert torch.equal(said, model.segment(pictures(), caption="A photo of a dog, on grass.", mode="preliminary"))
    each = model.segment(pictures(), caption=["a photo of a dog", "a photo of a bird"], mode="preliminary")
    assert torch.allclose(each[0], said[0])
    bird = model.segment(pictures(), concept=[None, "bird"], caption="a photo of a dog", mode="preliminary")
    assert torch.allclose(bird, each)
    with pytest.raises(InputError, match="'a photo of a cat' names no concept of bird, dog"):
        model.segment(pictures(), caption="a photo of a cat", mode="preliminary")
    assert concept_of("a photo of an arrow on a pebble background") == "arrow"
    assert concept_of("nothing much") is None


def test_without_a_concept_each_picture_has_the_one_that_is_seen_in_it(model) -> None:
    masks = model.segment(pictures(4), mode="preliminary")
    named = {word: model.segment(pictures(4), concept=word, mode="preliminary") for word in ("bird", "dog")}
    for place in range(4):
        assert any(torch.equal(masks[place], each[place]) for each in named.values())


def test_what_cannot_be_asked_has_its_own_sentence(model) -> None:
    ask = lambda **options: model.segment(pictures(), mode="preliminary", **options)  # noqa: E731
    with pytest.raises(InputError, match="does not know the concept 'cat'; it knows bird, dog"):
        ask(concept="cat")
    with pytest.raises(InputError, match="The prompt is empty"):
        ask(concept="bird", prompt="  ")
    with pytest.raises(InputError, match="The concept is empty"):
        ask(concept="")
    with pytest.raises(InputError, match="'bird' is not in the prompt 'a photo of a dog'"):
        ask(concept="bird", prompt="a photo of a dog")
    with pytest.raises(InputError, match="A prompt needs the concept"):
        ask(prompt="a photo of a dog")
    with pytest.raises(InputError, match=r"seed must be an integer from 0 to 2\*\*63 - 1"):
        ask(concept="bird", seed=2**63)
    with pytest.raises(InputError, match=r"maps\.|times"):
        ask(concept="bird", times=60)
    assert model.segment(torch.rand(1, 3, 4, 4), concept="bird", mode="preliminary").shape == (1, 1, 4, 4)


def test_a_model_of_any_words_wants_one_that_its_tokenizer_takes(pipeline) -> None:
    plain = wrapped(ConceptDistillation(pipeline, **QUICK))
    with pytest.raises(InputError, match="Say what to look for, as concept='bird'"):
        plain.segment(pictures())
    with pytest.raises(InputError, match="makes 90 tokens, and the tokenizer allows 75"):
        plain.segment(pictures(), concept="z" * 90)
    with pytest.raises(InputError, match="Say what the pictures shall show"):
        plain.generate(1)
    with pytest.raises(NotAvailableError, match="no student"):
        plain.segment(pictures(), mode="student")
    several = plain.segment(pictures(), concept="human, arms", prompt="a photo of a human with arms and legs")
    assert several.shape == (2, 1, 40, 56)


def test_a_model_remembers_its_prompt_and_knows_words_in_any_case(pipeline) -> None:
    prompt = "a photo of a human with arms and legs"
    made = ConceptDistillation(pipeline, concepts=("human, arms, legs",), closed=True, prompt=prompt, **QUICK)
    plain = wrapped(made)
    alone = plain.segment(pictures())
    assert torch.equal(alone, plain.segment(pictures(), concept="human, arms, legs", prompt=prompt))
    assert torch.equal(plain.segment(pictures(), concept="ARMS"), plain.segment(pictures(), concept="arms"))
    with pytest.raises(InputError, match="does not know the concept 'tail'"):
        plain.segment(pictures(), concept="arms, tail")
    without = wrapped(ConceptDistillation(pipeline, concepts=("human, arms, legs",), **QUICK))
    assert not torch.equal(plain.generate(1).image, without.generate(1).image)


def test_overflowing_is_said(architecture) -> None:
    broken = ConceptDistillation(LatentDiffusion(architecture()), **QUICK)
    torch.nn.init.constant_(broken.pipeline.unet.conv_in.weight, float("nan"))
    with pytest.raises(DeviceError, match="The attention is not finite in float32 on cpu; choose another dtype"):
        wrapped(broken).segment(pictures(1), concept="bird")


def test_threads_take_turns(model) -> None:
    expected = [model.segment(pictures(1), concept=word, mode="preliminary") for word in ("bird", "dog")] * 3
    with ThreadPoolExecutor(6) as pool:
        words = ["bird", "dog"] * 3
        found = list(pool.map(lambda word: model.segment(pictures(1), concept=word, mode="preliminary"), words))
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


@pytest.mark.parametrize("size", [72, 88, 104])
def test_sides_that_cannot_be_halved_evenly_do(architecture, size) -> None:
    plain = wrapped(ConceptDistillation(LatentDiffusion(architecture(size=size)), **QUICK))
    assert plain.segment(pictures(1), concept="bird").shape == (1, 1, 40, 56)


def test_generated_layers_make_up_the_picture(model) -> None:
    layers = model.generate(3, seed=4)
    assert layers.image.shape == (3, 3, 64, 64)
    assert torch.allclose(layers.compose(), layers.image, atol=1e-6)
    assert set(layers.mask.unique().tolist()) <= {0.0, 1.0}
    alone = model.generate(1, seed=4).image  # of "bird", the first in turn
    assert torch.allclose(layers.image[:1], alone, atol=1e-5)
    other = model.generate(1, seed=4, concept="dog", guidance=3.0)
    assert not torch.equal(layers.image[:1], other.image)


def test_it_is_the_same_after_saving(model, tmp_path) -> None:
    again = fgbg_zoo.load(fgbg_zoo.save(model, tmp_path / "snapshot"), device="cpu")
    assert torch.equal(model.segment(pictures()), again.segment(pictures()))
    for mode in ("refined", "mirrored", "preliminary-student"):
        one, other = (each.segment(pictures(), concept="dog", mode=mode) for each in (model, again))
        assert torch.equal(one, other)


def test_a_pipeline_in_a_folder_is_read_as_it_was_saved(folder, architecture) -> None:
    torch.manual_seed(1)
    original = LatentDiffusion(architecture()).eval()
    found = open_pipeline(folder)
    assert found.architecture.tokenizer == original.architecture.tokenizer
    assert found.factor == 8
    noisy, t = torch.randn(1, 4, 8, 8), torch.tensor([401])
    with torch.no_grad():
        contexts = [each.embed(["a photo of a bird"]) for each in (original, found)]
        assert torch.allclose(*contexts, atol=1e-5)
        parts = [each.unet(noisy, t, encoder_hidden_states=contexts[0]).sample for each in (original, found)]
        assert torch.allclose(*parts, atol=1e-5)
        assert torch.allclose(*[each.encode(torch.ones(1, 3, 64, 64)) for each in (original, found)], atol=1e-5)


def test_diffusers_own_pipeline_reads_the_folder_too(folder) -> None:
    from diffusers import StableDiffusionPipeline

    theirs = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    theirs.set_progress_bar_config(disable=True)
    made = theirs("a photo of a bird", num_inference_steps=2, height=64, width=64, output_type="pt", guidance_scale=1)
    assert made.images.shape == (1, 3, 64, 64)


def test_a_folder_is_a_model(folder, tmp_path) -> None:
    model = fgbg_zoo.load(folder, device="cpu")
    assert model.spec.name == "pipeline"
    mask = model.segment(pictures(1), concept="dog")
    assert mask.shape == (1, 1, 40, 56)
    converted = fgbg_zoo.load(convert(folder, tmp_path / "snapshot"), device="cpu")
    assert torch.equal(converted.segment(pictures(1), concept="dog"), mask)


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("text_encoder", "no text encoder"),
        ("vae", "no autoencoder"),
        ("unet", "no U-Net"),
        ("tokenizer", "no tokenizer"),
    ],
)
def test_a_pipeline_that_lacks_a_part_is_refused(folder, tmp_path, part, sentence) -> None:
    broken = shutil.copytree(folder, tmp_path / "broken")
    shutil.rmtree(broken / part)
    with pytest.raises(SnapshotError, match=sentence):
        fgbg_zoo.load(broken)


def test_pipelines_that_are_none_are_refused(folder, tmp_path) -> None:
    with pytest.raises(SnapshotError, match=r"holds no model_index\.json"):
        open_pipeline(tmp_path)
    broken = shutil.copytree(folder, tmp_path / "cut")
    weights = broken / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(SnapshotError, match="cannot be read"):
        open_pipeline(broken)
    pickled = shutil.copytree(folder, tmp_path / "pickled")
    weights = pickled / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(SnapshotError, match="cannot be read"):
        open_pipeline(pickled)


def test_weights_that_lack_tensors_are_refused(folder, tmp_path) -> None:
    for part, file in (
        ("unet", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
        ("vae", "diffusion_pytorch_model"),
    ):
        broken = shutil.copytree(folder, tmp_path / part)
        path = broken / part / f"{file}.safetensors"
        content = load_file(path)
        lost = sorted(content)[-1]
        save_file({name: value for name, value in content.items() if name != lost}, path, {"format": "pt"})
        with pytest.raises(SnapshotError, match=f"{part} lack {lost.removeprefix('text_model.')}; get them again"):
            open_pipeline(broken)


def test_a_pipeline_saved_in_half_precision_computes_in_single(architecture, tmp_path) -> None:
    half = save_pipeline(LatentDiffusion(architecture()).half(), tmp_path / "half")
    found = open_pipeline(half)
    assert {parameter.dtype for parameter in found.parameters()} == {torch.float32}
    assert fgbg_zoo.load(half, device="cpu").segment(pictures(1), concept="dog").shape == (1, 1, 40, 56)


def test_parts_of_other_kinds_are_refused(folder, tmp_path, architecture) -> None:
    torch.manual_seed(2)
    with pytest.raises(SnapshotError, match="9 channels"):
        LatentDiffusion(architecture(in_channels=9))
    with pytest.raises(SnapshotError, match="attends to vectors of 48"):
        LatentDiffusion(architecture(cross_attention_dim=48))
    other = shutil.copytree(folder, tmp_path / "other")
    path = other / "tokenizer" / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["vocab"]["zz"] = len(content["model"]["vocab"])
    path.write_text(json.dumps(content))
    with pytest.raises(SnapshotError, match="vocabulary"):
        open_pipeline(other)


def test_stable_diffusion_is_not_here_offline(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    spec = fgbg_zoo.info("concept-distillation-sd14")
    assert "OpenRAIL" in spec.license
    assert spec.on_request
    with pytest.raises(WeightsNotFoundError) as error:
        fgbg_zoo.load("concept-distillation-sd14", local_files_only=True, cache_dir=tmp_path)
    text = str(error.value)
    assert "model_index.json of CompVis/stable-diffusion-v1-4" in text
    assert "go online once" in text
    assert text.count(". ") == 0  # one sentence


@pytest.fixture
def stable_diffusion(tmp_path, architecture):
    """Stable Diffusion's levels and layers at 512 pixels, with few channels."""
    torch.manual_seed(0)
    return save_pipeline(LatentDiffusion(architecture(size=512)), tmp_path / "stable-diffusion")


@pytest.mark.slow
def test_stable_diffusion_at_its_own_size(stable_diffusion, tmp_path) -> None:
    image = torch.rand(1, 3, 300, 400, generator=torch.Generator().manual_seed(0))
    asked = {"concept": "dog", "times": 2}
    model = fgbg_zoo.load(stable_diffusion, device="cpu")
    assert model.config["architecture"]["pipeline"]["unet"]["sample_size"] == 64
    mask = model.segment(image, **asked)
    assert mask.shape == (1, 1, 300, 400)
    assert 0 < mask.mean() < 1
    refined = model.segment(image, **asked, mode="refined", steps=2)
    assert 0 < refined.mean() < mask.mean()


def as_on_the_hub(folder):
    """The files of a pipeline as Stable Diffusion 1.4's repository has them, which older libraries wrote."""
    tokenizer = open_pipeline(folder).tokenizer
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    shutil.rmtree(folder / "tokenizer")
    texts = {
        "tokenizer/vocab.json": json.dumps(tokenizer.get_vocab()),
        "tokenizer/merges.txt": "\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges)]) + "\n",
        "tokenizer/special_tokens_map.json": json.dumps({"bos_token": START, "eos_token": END, "pad_token": END}),
        "tokenizer/tokenizer_config.json": json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77}),
        "scheduler/scheduler_config.json": json.dumps(
            {
                "_class_name": "PNDMScheduler",
                "beta_start": 0.00085,
                "beta_end": 0.012,
                "beta_schedule": "scaled_linear",
                "num_train_timesteps": 1000,
                "set_alpha_to_one": False,
                "skip_prk_steps": True,
                "steps_offset": 1,
                "clip_sample": False,
            }
        ),
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    weights = folder / "text_encoder" / "model.safetensors"
    save_file({f"text_model.{name}": value for name, value in load_file(weights).items()}, weights, {"format": "pt"})
    return folder


def test_a_repository_of_the_hub_is_read_as_a_folder_is(folder, tmp_path) -> None:
    old = as_on_the_hub(shutil.copytree(folder, tmp_path / "old"))
    (old / "safety_checker").mkdir()
    (old / "safety_checker" / "pytorch_model.bin").write_bytes(b"not fetched")
    files = {str(path.relative_to(old)): path.read_bytes() for path in old.rglob("*") if path.is_file()}
    with HubServer() as hub:
        commit = hub.add("CompVis/stable-diffusion-v1-4", files)
        code = (
            "import fgbg_zoo, torch\n"
            f"model = fgbg_zoo.load('concept-distillation-sd14', revision='{commit}', device='cpu')\n"
            "images = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))\n"
            "print(float(model.segment(images, concept='dog').mean()))\n"
        )
        environment = {**os.environ, **hub.environment(tmp_path / "home")}
        run = lambda: subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)  # noqa: E731
        first = run()
        assert first.returncode == 0, first.stderr
        assert not any("safety_checker" in request for request in hub.requests)
    expected = fgbg_zoo.load(folder, device="cpu").segment(pictures(1), concept="dog")
    assert float(first.stdout) == pytest.approx(float(expected.mean()), abs=0.02)
    assert run().stdout == first.stdout  # without the server: the pinned commit is cached


def test_the_command_line_says_what_is_missing_offline(tmp_path) -> None:
    write_png(torch.rand(3, 40, 56), tmp_path / "photo.png")
    words = ["segment", str(tmp_path / "photo.png"), "-m", "concept-distillation-sd14", "--concept", "dog"]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "fgbg_zoo", *words, "-o", str(tmp_path / "out")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, ended.stderr
    assert "'concept-distillation-sd14' needs files of the Hub that are not here" in lines[0]
    assert "HF_HUB_OFFLINE=1 forbids" in lines[0]
