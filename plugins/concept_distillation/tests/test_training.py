"""The stages of a training: what each leaves, what is used again, and what is refused."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from fgbg_zoo_concept_distillation.folder import open_pipeline
from fgbg_zoo_concept_distillation.folder import save_pipeline
from fgbg_zoo_concept_distillation.foundation import autoencoder_config
from fgbg_zoo_concept_distillation.foundation import latent_scale
from fgbg_zoo_concept_distillation.foundation import small_architecture
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion
from fgbg_zoo_concept_distillation.settings import FoundationSettings
from fgbg_zoo_concept_distillation.student import Student
from fgbg_zoo_concept_distillation.student import StudentUNet
from fgbg_zoo_concept_distillation.trainer import ConceptTrainer

import fgbg_zoo
from fgbg_zoo.data.pictures import write_png
from fgbg_zoo.errors import DataError
from fgbg_zoo.errors import SnapshotError
from fgbg_zoo.errors import TrainingError
from fgbg_zoo.errors import UsageError

TINY = {
    "device": "cpu",
    "precision": "fp32",
    "tensorboard": False,
    "foundation": {
        "picture_size": 32,
        "autoencoder": {"size": 16, "widths": (8, 8), "groups": 4, "channels": 4, "steps": 2, "batch_size": 4},
        "diffusion": {
            "widths": (8, 16),
            "groups": 4,
            "heads": 2,
            "text_width": 16,
            "text_length": 14,
            "steps": 2,
            "batch_size": 4,
        },
    },
    "maps": {"times": 2},
    "refine": {"steps": 2},
    "tuning": {"steps": 2, "batch_size": 4, "pictures": 12},
    "student": {"steps": 2, "batch_size": 4, "synthetic": 4, "network": {"size": 16, "width": 2}, "compare": True},
}


def scenes(length=12):
    return fgbg_zoo.open_dataset("scenes", split="train", size=32, length=length)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    return out, ConceptTrainer("small", **TINY).fit(scenes(), out)


def test_a_training_leaves_a_model_with_all_of_its_stages(trained) -> None:
    out, snapshot = trained
    config = json.loads((snapshot / "config.json").read_text())
    assert config["model"] == "concept-distillation-scenes"
    assert set(config["training"]["stages"]) == {"autoencoder", "diffusion", "tuning", "preliminary-student", "student"}
    model = fgbg_zoo.load(snapshot, device="cpu")
    images = torch.stack([scenes()[index].image for index in range(3)])
    for mode in ("student", "preliminary-student", "refined", "mirrored", "preliminary"):
        assert model.segment(images, mode=mode).shape == (3, 1, 32, 32)
    assert len(model.generate(2)) == 2
    assert model.network.architecture.concepts
    assert next(iter(torch.load(out / "tuning/checkpoints/step-00000002.pt")["modules"])) == "unet"


def test_the_foundation_alone_is_a_model_and_a_pipeline_of_diffusers(tmp_path) -> None:
    settings = {**TINY, "stage": "foundation", "steps": 3}
    snapshot = ConceptTrainer("small", **settings).fit(scenes(), tmp_path)
    config = json.loads((snapshot / "config.json").read_text())
    assert config["model"] == ""
    assert config["training"]["stages"]["diffusion"]["steps"] == 3
    assert not (tmp_path / "tuning").exists()
    model = fgbg_zoo.load(snapshot, device="cpu")
    image = scenes()[0].image[None]
    mask = model.segment(image, caption=scenes()[0].caption)
    found = fgbg_zoo.load(tmp_path / "pipeline", device="cpu")
    found.network.architecture = model.network.architecture
    assert (found.segment(image, caption=scenes()[0].caption) != mask).float().mean() < 0.05  # half precision


def test_other_stages_go_on_from_a_foundation_that_is_there(trained, tmp_path) -> None:
    out, _ = trained
    photographs = tmp_path / "photographs"
    for number in range(5):
        write_png(torch.rand(3, 20 + 4 * number, 26), photographs / f"{number}.png")
    data = fgbg_zoo.open_dataset("folder", photographs, split="all")
    further = {**TINY, "foundation": {"picture_size": None}, "pipeline": str(out / "pipeline"), "concept": "star"}
    model = fgbg_zoo.load(ConceptTrainer("small", **further).fit(data, tmp_path / "out"), device="cpu")
    assert model.network.architecture.concepts == ("star",)
    assert model.segment(torch.rand(2, 3, 25, 30), mode="refined").shape == (2, 1, 25, 30)
    assert not (tmp_path / "out" / "diffusion").exists()
    without = {**further, "concept": None}
    with pytest.raises(DataError, match="they have no captions; say it by --set concept=bird"):
        ConceptTrainer("small", **without).fit(data, tmp_path / "other")


def test_what_cannot_be_trained_is_refused_before_anything_is(tmp_path, monkeypatch) -> None:
    for number in range(3):
        write_png(torch.rand(3, 20, 20), tmp_path / "photographs" / f"{number}.png")
    data = fgbg_zoo.open_dataset("folder", tmp_path / "photographs", split="all")
    with pytest.raises(DataError, match="have no captions, and a foundation model learns from captions"):
        ConceptTrainer("small", **TINY).fit(data, tmp_path / "out")
    with pytest.raises(UsageError, match=r"There is no folder \./nowhere"):
        ConceptTrainer("small", **TINY, pipeline="./nowhere").fit(data, tmp_path / "out")
    with pytest.raises(UsageError, match="names one that there is"):
        ConceptTrainer("small", **TINY, stage="foundation", pipeline="somewhere").fit(data, tmp_path / "out")
    with pytest.raises(UsageError, match="cannot be the student's encoder"):
        ConceptTrainer("small", **{**TINY, "student": {"network": {"encoder": "no_such_network"}}}).fit(
            scenes(), tmp_path / "out"
        )
    square = {"network": {"encoder": "vit_tiny_patch16_224", "size": 224}}
    with pytest.raises(UsageError, match=r"shorter side is 224 pixels: Input width \(298\)"):
        ConceptTrainer("small", **{**TINY, "student": square}).fit(scenes(), tmp_path / "out")
    with pytest.raises(UsageError, match="has the presets small, paper-cub"):
        ConceptTrainer("large")
    with pytest.raises(UsageError, match="cannot be halved"):
        ConceptTrainer("small", foundation={"autoencoder": {"size": 33}})
    with pytest.raises(UsageError, match="attention names levels from 0 to 2"):
        ConceptTrainer("small", foundation={"diffusion": {"attention": [3]}})
    with pytest.raises(UsageError, match="times 60 must not be above grid 50"):
        ConceptTrainer("small", maps={"times": 60})
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="in one process"):
        ConceptTrainer("small", **TINY).fit(scenes(), tmp_path / "out")
    assert not (tmp_path / "out" / "autoencoder").exists()


def test_what_would_count_for_nothing_is_refused() -> None:
    for name, value in (("accumulate", 2), ("ema_decay", 0.5), ("ema_warmup", False)):
        with pytest.raises(UsageError, match=f"{name} has no effect here"):
            ConceptTrainer("small", **{name: value})
    with pytest.raises(UsageError, match="prompt needs concept"):
        ConceptTrainer("small", prompt="a photo of a bird")


def test_steps_and_batch_size_are_those_of_fine_tuning_or_of_the_foundation_alone() -> None:
    for stage, name in (("all", "tuning"), ("foundation", "diffusion")):
        settings = ConceptTrainer("small", stage=stage, steps=7, batch_size=3).configured
        groups = {"tuning": settings.tuning, "diffusion": settings.foundation.diffusion, "student": settings.student}
        for each, group in groups.items():
            own = settings.own(each, group)
            assert ((own.steps, own.batch_size) == (7, 3)) == (each == name)
            assert (own == group) == (each != name)


def test_a_stage_is_not_taken_from_a_training_of_other_settings(trained, tmp_path) -> None:
    out = shutil.copytree(trained[0], tmp_path / "out")
    diffusion = {**TINY["foundation"]["diffusion"], "steps": 3}
    longer = {**TINY, "foundation": {**TINY["foundation"], "diffusion": diffusion}}
    with pytest.raises(TrainingError, match=r"another training: other diffusion\.steps \(2 there, 3 now\)"):
        ConceptTrainer("small", **longer).fit(scenes(), out)
    with pytest.raises(TrainingError, match=r"other pictures \(data and backgrounds\)"):
        ConceptTrainer("small", **TINY).fit(scenes(13), out)
    (out / "pipeline" / "made_from.json").unlink()
    with pytest.raises(TrainingError, match="does not say what it was made from"):
        ConceptTrainer("small", **TINY).fit(scenes(), out)


@pytest.mark.parametrize(
    ("changed", "stages"),
    [
        ({"refine": {"steps": 3}}, {"refined-pairs", "generated"}),
        ({"maps": {"times": 3}}, {"preliminary", "views"}),
        ({"student": {**TINY["student"], "network": {"size": 20, "width": 2}}}, {"refined-pairs", "generated"}),
    ],
)
def test_what_follows_from_changed_settings_is_made_again(trained, tmp_path, changed, stages) -> None:
    out = shutil.copytree(trained[0], tmp_path / "out")
    made = set()
    with pytest.raises(TrainingError, match="settings"):
        ConceptTrainer("small", **{**TINY, **changed}).fit(
            scenes(), out, on_event=lambda event: event["kind"] == "block" and made.add(event["stage"])
        )
    assert made == stages if "maps" in changed else made <= {*stages, "preliminary-pairs"}
    assert made


def test_scenes_have_what_the_small_preset_needs() -> None:
    settings = ConceptTrainer("small").configured.foundation
    captions = [scenes(64)[index].caption for index in range(64)]
    tokenizer = LatentDiffusion(small_architecture(settings, [*captions, "a photo of a background"])).tokenizer
    for caption in captions:
        assert len(tokenizer(caption).input_ids) == len(caption.split()) + 2  # every word is a token


def test_the_scale_of_latents_is_that_of_their_deviation() -> None:
    assert latent_scale(torch.randn(64, 4, 8, 8) * 5) == pytest.approx(0.2, abs=0.01)
    config = autoencoder_config(FoundationSettings().autoencoder, 0.25)
    assert config["scaling_factor"] == 0.25


def test_the_papers_student_has_31_million_parameters() -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in StudentUNet().parameters()) == 31_037_633
    assert Student(size=32, width=2)(torch.zeros(1, 3, 50, 34)).shape == (1, 1, 50, 34)


def test_a_velocity_predicting_pipeline_survives_saving(tmp_path, architecture) -> None:
    a = architecture()
    velocity = a.model_copy(update={"scheduler": {**a.scheduler, "prediction_type": "v_prediction"}})
    folder = save_pipeline(LatentDiffusion(velocity), tmp_path / "pipeline")
    found = open_pipeline(folder)
    latents, noise, t = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.tensor([1, 401])
    kept = found.scheduler.alphas_cumprod[t][:, None, None, None]
    assert torch.allclose(found.target(latents, noise, t), kept.sqrt() * noise - (1 - kept).sqrt() * latents, atol=1e-5)
    path = folder / "scheduler" / "scheduler_config.json"
    written = json.loads(path.read_text())
    path.write_text(json.dumps({**written, "rescale_betas_zero_snr": True}))
    assert open_pipeline(folder).scheduler.alphas_cumprod[-1] < 1e-6
    path.write_text(json.dumps({**written, "prediction_type": "sample"}))
    with pytest.raises(SnapshotError, match="predicts 'sample'; one that predicts the noise or the velocity"):
        open_pipeline(folder)


def test_a_picture_keeps_its_shape_before_the_student() -> None:
    student, seen = Student(size=32, width=2), []
    student.network.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape[-2:])))
    for h, w in ((64, 64), (60, 90), (40, 10)):
        assert student.segment(torch.rand(1, 3, h, w)).shape == (1, 1, h, w)
    assert seen == [(32, 32), (32, 48), (128, 32)]
