from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch import nn
from toy_training import Pictures
from toy_training import Regression
from toy_training import ToyGan
from toy_training import gan_streams
from toy_training import weights

from fgbg_zoo.errors import DeviceError
from fgbg_zoo.errors import TrainingError
from fgbg_zoo.errors import UsageError
from fgbg_zoo.training import Batch
from fgbg_zoo.training import LoopSettings
from fgbg_zoo.training import Phase
from fgbg_zoo.training import fit


def loop_settings(**changes: Any) -> LoopSettings:
    quiet = {"device": "cpu", "tensorboard": False, "sample_every": 0}
    return LoopSettings(**{"steps": 6, "batch_size": 4, **quiet, **changes})


def regress(out: Path, task: Regression | None = None, **changes: Any) -> Any:
    return fit(task or Regression(), {"images": Pictures(40)}, out, loop_settings(**changes))


def test_it_learns(tmp_path: Path) -> None:
    data = Pictures(40)
    images = torch.stack([data[index].image for index in range(40)])

    def error(net: nn.Module) -> float:
        with torch.no_grad():
            return float((net(images.flatten(1)).squeeze(1) - images.mean((1, 2, 3))).square().mean())

    before = error(Regression().modules["net"])
    assert error(regress(tmp_path, steps=300, batch_size=8).modules["net"]) < 0.05 * before


def test_accumulation_is_a_larger_batch(tmp_path: Path) -> None:
    whole = regress(tmp_path / "whole", batch_size=8)
    parts = regress(tmp_path / "parts", batch_size=2, accumulate=4)
    assert whole.images == parts.images == 48
    torch.testing.assert_close(whole.modules["net"].weight, parts.modules["net"].weight, rtol=1e-5, atol=1e-7)


def test_one_step_by_hand(tmp_path: Path) -> None:
    result = regress(tmp_path, steps=1, batch_size=40)  # one epoch: the order does not matter
    task, data = Regression(), Pictures(40)
    images = torch.stack([data[index].image for index in range(40)])
    loss, _ = task.loss({"images": images}, 0)
    gradient = torch.autograd.grad(loss, task.modules["net"].weight)[0]
    expected = task.modules["net"].weight - 0.01 * gradient
    torch.testing.assert_close(result.modules["net"].weight, expected, rtol=1e-5, atol=1e-7)


def test_the_gradient_is_clipped(tmp_path: Path) -> None:
    start = Regression().modules["net"]
    moved = regress(tmp_path, steps=1, grad_clip=0.01).modules["net"]
    step = torch.cat([(moved.weight - start.weight).flatten(), moved.bias - start.bias])
    assert float(step.detach().norm()) == pytest.approx(0.01 * 0.01, rel=1e-4)
    assert "grad_norm_fit" in regress_log(tmp_path / "log", grad_clip=0.01)


def regress_log(out: Path, **changes: Any) -> str:
    regress(out, log_every=2, **changes)
    return (out / "log.csv").read_text()


def test_only_the_named_modules_get_gradients_and_phases_share_the_batch(tmp_path: Path) -> None:
    seen: list[tuple[str, int, dict[str, bool], bool]] = []

    class Spy(ToyGan):
        def phases(self) -> list[Phase]:
            return [self._spied(phase) for phase in super().phases()]

        def _spied(self, phase: Phase) -> Phase:
            def loss(batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
                learns = {name: next(m.parameters()).requires_grad for name, m in self.modules.items()}
                seen.append((phase.name, step, learns, "fake" in batch))
                return phase.loss(batch, step)

            return Phase(phase.name, phase.trains, phase.optimizer, loss, phase.every)

    task = Spy()
    fit(task, gan_streams(), tmp_path, loop_settings(steps=5, accumulate=2))
    masker, critic = {"masker": True, "critic": False}, {"masker": False, "critic": True}
    first = [("masker", masker, False)] * 2 + [("critic", critic, True)] * 2 + [("r1", critic, True)] * 2
    assert [(name, learns, fake) for name, step, learns, fake in seen if step == 0] == first
    assert [step for name, step, _, _ in seen if name == "r1"] == [0, 0, 4, 4]
    assert all(parameter.requires_grad for module in task.modules.values() for parameter in module.parameters())


def test_a_parameter_frozen_by_its_task_stays_so(tmp_path: Path) -> None:
    task = Regression()
    task.modules["net"].bias.requires_grad_(False)
    bias = task.modules["net"].bias.clone()
    regress(tmp_path, task)
    assert not task.modules["net"].bias.requires_grad
    assert torch.equal(task.modules["net"].bias, bias)


def test_looking_does_not_change_the_training(tmp_path: Path) -> None:
    quiet = fit(ToyGan(), gan_streams(), tmp_path / "quiet", loop_settings(steps=12))
    watched_settings = loop_settings(steps=12, sample_every=1, evaluate_every=1, tensorboard=True, checkpoint_every=1)
    watched = fit(ToyGan(), gan_streams(), tmp_path / "watched", watched_settings)
    for name, value in weights(quiet.modules).items():
        assert torch.equal(weights(watched.modules)[name], value), name
    assert set(watched.evaluation) == {"val_area"}
    assert quiet.evaluation == {}


def test_samples_see_the_averages_in_evaluation_mode(tmp_path: Path) -> None:
    class Spy(ToyGan):
        def evaluate(self, modules: Mapping[str, nn.Module]) -> dict[str, float]:
            assert set(modules) == {"masker", "critic"}
            assert modules["masker"] is not self.masker
            assert modules["critic"] is self.critic
            assert not any(part.training for module in modules.values() for part in module.modules())
            assert not torch.is_grad_enabled()
            return {"looked": 1.0}

    task = Spy()
    task.critic[1].eval()  # a part that the task holds in evaluation mode comes back as it was
    modes: list[bool] = []
    plain = task.masker_loss

    def loss(batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        modes.append(task.critic.training and task.masker.training)
        return plain(batch, step)

    task.masker_loss = loss  # type: ignore[method-assign]
    result = fit(task, gan_streams(), tmp_path, loop_settings(steps=3, evaluate_every=1))
    assert modes == [True] * 3
    assert result.evaluation == {"looked": 1.0}
    assert not any(module.training for module in result.modules.values())


def test_a_loss_that_is_not_finite_names_itself_and_the_last_good_checkpoint(tmp_path: Path) -> None:
    class Exploding(Regression):
        def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
            loss, values = super().loss(batch, step)
            return (loss * float("nan") if step == 7 else loss), values

    with pytest.raises(
        TrainingError, match=r"loss_fit is nan at step 8; .*last good checkpoint is .*step-00000006\.pt"
    ):
        regress(tmp_path, Exploding(), steps=20, checkpoint_every=3)


def test_weights_that_are_not_finite_never_reach_a_checkpoint(tmp_path: Path) -> None:
    class BadGradient(Regression):
        def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
            loss, values = super().loss(batch, step)
            if step == 3:
                loss = loss + (self.modules["net"].weight * 0).sum().sqrt()  # its value is 0, its slope infinite
            return loss, values

    with pytest.raises(TrainingError, match=r"'weight' of network 'net' is not finite at step 4"):
        regress(tmp_path, BadGradient(), checkpoint_every=2)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000002.pt"]


def test_collapsed_masks_stop_the_training(tmp_path: Path) -> None:
    class Collapsed(ToyGan):
        def masker_loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
            loss, _ = super().masker_loss(batch, step)
            return loss, {"mask_area": torch.full((len(batch["objects"]),), 0.5)}

    with pytest.raises(TrainingError, match=r"the same for every picture .* for 5 steps, up to step 5"):
        fit(Collapsed(), gan_streams(), tmp_path, loop_settings(steps=20, patience=5))
    fit(Collapsed(), gan_streams(), tmp_path, loop_settings(steps=20, patience=5, guard=False))


def test_bf16_computes_in_bf16_and_keeps_weights_in_float32(tmp_path: Path) -> None:
    kinds = set()

    class Spy(ToyGan):
        def masker_loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
            kinds.add(self.masker(batch["objects"]).dtype)
            return super().masker_loss(batch, step)

    result = fit(Spy(), gan_streams(), tmp_path, loop_settings(precision="bf16"))
    assert kinds == {torch.bfloat16}
    assert {value.dtype for value in weights(result.modules).values()} == {torch.float32, torch.int64}
    plain = fit(ToyGan(), gan_streams(), tmp_path / "fp32", loop_settings())  # another precision in one process
    assert not torch.equal(plain.modules["masker"][0].weight, result.modules["masker"][0].weight)


@pytest.mark.gpu
def test_fp16_goes_on_from_a_checkpoint_with_its_loss_scale(tmp_path: Path) -> None:
    fp16 = {"precision": "fp16", "device": "cuda"}
    whole = regress(tmp_path / "whole", steps=12, **fp16)
    regress(tmp_path / "parts", steps=7, **fp16)
    saved = torch.load(tmp_path / "parts" / "checkpoints" / "step-00000007.pt")
    parts = regress(tmp_path / "parts", steps=12, **fp16)
    plain = regress(tmp_path / "plain", steps=12).modules["net"].weight
    assert saved["scaler"]["scale"] > 1
    assert torch.equal(parts.modules["net"].weight, whole.modules["net"].weight)
    torch.testing.assert_close(whole.modules["net"].weight.cpu(), plain, rtol=0.02, atol=0.002)


@pytest.mark.gpu
def test_a_gan_on_cuda(tmp_path: Path) -> None:
    """The values of the steps are looked at now and then only; the log and the outcome are the same for that."""
    for precision in ("fp32", "bf16", "fp16"):
        out = tmp_path / precision
        settings = loop_settings(steps=60, log_every=7, device="cuda", precision=precision)
        result = fit(ToyGan(), gan_streams(), out, settings)
        assert next(result.modules["masker"].parameters()).device.type == "cuda"
        assert result.device == torch.cuda.get_device_name()
        assert [line.split(",")[0] for line in (out / "log.csv").read_text().splitlines()[1:]] == [
            str(step) for step in range(7, 60, 7)
        ]


@pytest.mark.gpu
def test_out_of_memory_is_one_sentence(tmp_path: Path) -> None:
    class Greedy(Regression):
        def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
            return torch.zeros(2**45, device="cuda").sum(), {}

    with pytest.raises(DeviceError, match="ran out of memory at batch_size 4; lower it and raise accumulate"):
        regress(tmp_path, Greedy(), device="cuda")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"device": "tpu"}, "device must be auto"),
        ({"device": "cpu:1"}, "device must be auto"),
        ({"device": "cpu", "precision": "fp16"}, "cannot train in fp16 here; use bf16 or fp32"),
    ],
)
def test_devices_that_are_not_there(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(DeviceError, match=told):
        regress(tmp_path, **changes)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a device that this machine must not have")
def test_no_cuda_is_no_silent_cpu(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="torch finds no CUDA device"):
        regress(tmp_path, device="cuda")


@pytest.mark.parametrize(
    ("phase", "told"),
    [
        (("nett",), "trains 'nett', which is no module"),
        (("net", "other"), "steps 'nope', which is no optimiser"),
        (("other",), "holds none of their parameters"),
    ],
)
def test_phases_that_do_not_fit_together(tmp_path: Path, phase: tuple[str, ...], told: str) -> None:
    class Wrong(Regression):
        def phases(self) -> list[Phase]:
            optimizer = "nope" if "nope" in told else "net"
            return [Phase("fit", phase, optimizer, self.loss)]

    task = Wrong()
    task.modules["other"] = nn.Linear(1, 1)
    with pytest.raises(UsageError, match=told):
        regress(tmp_path, task)


def test_an_average_of_no_module(tmp_path: Path) -> None:
    task = Regression()
    task.ema = ("nett",)
    with pytest.raises(UsageError, match="averages 'nett', which is no module"):
        regress(tmp_path, task)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"stepz": 1}, {"ema_decay": 1.0}, {"precision": "int8"}, {"area_low": 0.95}]
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LoopSettings(**{"steps": 1, **wrong})


def test_one_training_a_folder_at_a_time(tmp_path: Path) -> None:
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, 2); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TrainingError, match="Another process is training in"):
            regress(tmp_path)
        holder.kill()
        holder.wait()
        regress(tmp_path)  # the lock went with its process


def test_a_checkpoint_of_other_networks_is_refused(tmp_path: Path) -> None:
    regress(tmp_path)
    task = Regression()
    task.modules["net"] = nn.Linear(192, 2)
    task.optimizers["net"] = torch.optim.SGD(task.modules["net"].parameters(), 0.1)
    with pytest.raises(TrainingError, match=r"does not fit this training .*size mismatch") as caught:
        regress(tmp_path, task)
    assert "\n" not in str(caught.value)


def test_a_damaged_newest_checkpoint_costs_only_the_steps_since_the_one_before(tmp_path: Path) -> None:
    whole = regress(tmp_path / "whole", steps=12)
    regress(tmp_path / "parts", steps=8, checkpoint_every=4)
    newest = tmp_path / "parts" / "checkpoints" / "step-00000008.pt"
    newest.write_bytes(newest.read_bytes()[:-50])
    with pytest.warns(UserWarning, match="cannot be read"):
        parts = regress(tmp_path / "parts", steps=12)
    assert torch.equal(parts.modules["net"].weight, whole.modules["net"].weight)
