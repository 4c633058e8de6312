"""The objective: the eleven terms of the paper by number, and the priors that keep small trainings stable."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from fgbg_zoo_seigan import losses
from fgbg_zoo_seigan.augment import colour_jitter
from fgbg_zoo_seigan.augment import random_shift
from fgbg_zoo_seigan.config import SeiganSettings
from fgbg_zoo_seigan.features import FeatureExtractor
from fgbg_zoo_seigan.features import Role
from fgbg_zoo_seigan.forward import Cycle
from fgbg_zoo_seigan.forward import Networks
from fgbg_zoo_seigan.forward import paste
from fgbg_zoo_seigan.nets import PatchDiscriminator

TEXTURE_AT_FIRST = 10.0
"""With ``lambda_3 = "auto"``, the texture term starts as large as this times the MAE of y_cycle."""


CAP_REACH = 16
"""The object's surroundings, which G_enh may change freely: the mask dilated by the side divided by this."""


class Objective:
    """Computes the terms, each already weighted; a term of weight 0 is not computed.

    Args:
        settings: the weights.
        d_bg: judges whether a picture is a real background.
        d_obj: judges whether a picture is a real one with an object.
        features: for the texture and perceptual terms; ``None`` if all their weights are 0.

    Attributes:
        lambda_3: the texture weight in use; measured on the first batch if it is ``"auto"``, then fixed.
    """

    def __init__(
        self,
        settings: SeiganSettings,
        d_bg: PatchDiscriminator,
        d_obj: PatchDiscriminator,
        features: FeatureExtractor | None,
    ) -> None:
        self.settings, self.d_bg, self.d_obj, self.features = settings, d_bg, d_obj, features
        self.lambda_3 = None if settings.lambda_3 == "auto" else settings.lambda_3

    def terms(self, networks: Networks, cycle: Cycle) -> dict[str, Tensor]:
        """The weighted terms of the paper by name, ``lambda_1`` ... ``lambda_11``.

        Args:
            networks: for the two identity terms.
            cycle: after the coarse pass, one pass or two: the terms of what is there.
        """
        s = self.settings
        found: dict[str, Tensor] = {}

        def add(number: int, weight: float, term: Callable[[], Tensor]) -> None:
            if weight > 0:
                found[f"lambda_{number}"] = weight * term()

        add(8, s.lambda_8, lambda: losses.real_term(self._judge(self.d_obj, cycle.z)))
        x_hat, y_hat = cycle.x_hat, cycle.y_hat
        if x_hat is None or y_hat is None:
            return found
        add(1, s.lambda_1, lambda: self._background_term(x_hat))
        add(9, s.lambda_9, lambda: losses.real_term(self._judge(self.d_obj, y_hat)))
        add(10, s.lambda_10, lambda: losses.l1(networks.enhance(cycle.x), cycle.x))
        add(11, s.lambda_11, lambda: losses.l1(networks.inpaint(cycle.y, networks.mask(cycle.y)), cycle.y))
        if cycle.x_cycle is not None and cycle.y_cycle is not None:
            self._second_pass(cycle.x, cycle.y, cycle.x_cycle, cycle.y_cycle, add)
            if s.dobj_on_cycle:
                found["dobj_on_cycle"] = s.lambda_9 * losses.real_term(self._judge(self.d_obj, cycle.x_cycle))
        return found

    def _background_term(self, picture: Tensor) -> Tensor:
        scores = self._judge(self.d_bg, picture)
        return losses.real_term(scores) if self.settings.square_background else losses.linear_term(scores)

    def _judge(self, net: PatchDiscriminator, picture: Tensor) -> list[Tensor]:
        s = self.settings
        if s.colour_jitter > 0:
            picture = colour_jitter(picture, s.colour_jitter)
        if s.discriminator_shrink > 1:
            picture = functional.avg_pool2d(picture, s.discriminator_shrink)
        scores: list[Tensor] = net(picture)
        return scores

    def _second_pass(self, x: Tensor, y: Tensor, x_cycle: Tensor, y_cycle: Tensor, add: Callable[..., None]) -> None:
        s, features = self.settings, self.features
        add(2, s.lambda_2, lambda: self._background_term(y_cycle))
        add(5, s.lambda_5, lambda: losses.l1(y, y_cycle))
        add(7, s.lambda_7, lambda: losses.l1(x, x_cycle))
        if features is None:
            return
        if self.lambda_3 is None or self.lambda_3 > 0:
            texture = losses.texture_loss(
                _constant(features.texture(y, "background")), features.texture(y_cycle, "background")
            )
            if self.lambda_3 is None:
                at_first = losses.l1(y, y_cycle).detach() / texture.detach().clamp_min(1e-12)
                self.lambda_3 = float(TEXTURE_AT_FIRST * at_first)
            add(3, self.lambda_3, lambda: texture)
        add(4, s.lambda_4, lambda: _perceptual(features, y, y_cycle, "background"))
        add(6, s.lambda_6, lambda: _perceptual(features, x, x_cycle, "object"))

    def priors(self, mask: Tensor, progress: float) -> dict[str, Tensor]:
        """The weighted priors on the first mask; none of them is the paper's.

        Args:
            mask: (B,1,H,W).
            progress: the share of the training's steps that are done.
        """
        s = self.settings
        found = {}
        if s.hinge_weight > 0:
            found["area_hinge"] = s.hinge_weight * losses.area_hinge(mask, s.hinge_low, s.hinge_high)
        if s.binarise_weight > 0 and progress >= s.binarise_after:
            found["binarisation"] = s.binarise_weight * losses.binarisation(mask)
        if s.total_variation > 0:
            found["total_variation"] = s.total_variation * losses.total_variation(mask)
        return found

    def cap(self, cycle: Cycle) -> dict[str, Tensor]:
        """The weighted change by G_enh away from the object, above what is allowed. Not a term of the paper."""
        s = self.settings
        if s.cap_weight == 0 or cycle.y_hat is None:
            return {}
        reach = max(1, cycle.z.shape[-1] // CAP_REACH)
        beyond = losses.change_beyond(cycle.z, cycle.y_hat, cycle.mask, s.cap, reach)
        return {"cap": s.cap_weight * beyond}

    def fill(self, networks: Networks, cycle: Cycle) -> dict[str, Tensor]:
        """The weighted error of holes that the found masks cut into real backgrounds, filled by G_inp.

        What was there is known, so this teaches the filling alone. Not a term of the paper.
        """
        if self.settings.fill_weight == 0:
            return {}
        hole = (cycle.mask > 0.5).to(cycle.y)
        filled = networks.inpaint(cycle.y, hole)
        return {"fill": self.settings.fill_weight * losses.masked_l1(filled, cycle.y, hole)}

    def self_training(self, networks: Networks, cycle: Cycle, progress: float) -> dict[str, Tensor]:
        """The weighted error of finding the found masks again in composites, where they are known.

        The cut-outs are moved at random and pasted with softened outlines, so that neither their place nor a hard seam
        tells where they are; a cut-out of nothing or of the whole picture is left out. It teaches G_seg alone. Not a
        term of the paper; the idea is that of training a segmenter on the pictures that a layered generator composes.

        Args:
            networks: for G_seg.
            cycle: its first pass.
            progress: the share of the training's steps that are done.
        """
        s = self.settings
        if s.self_training_weight == 0 or progress < s.self_training_after:
            return {}
        with torch.no_grad():
            hard = (cycle.mask > 0.5).to(cycle.x)
            picture, hard = random_shift(cycle.x, hard, s.self_training_shift)
            composite = paste(functional.avg_pool2d(hard, 3, 1, 1), picture, self._behind(cycle))
        area = hard.mean((1, 2, 3))
        used = ((area > 0) & (area < 1)).to(area)
        error = (losses.cross_entropy(networks.mask(composite), hard) * used).sum() / used.sum().clamp_min(1)
        return {"self_training": s.self_training_weight * error}

    def _behind(self, cycle: Cycle) -> Tensor:
        """What cut-outs are pasted on to be found again: the backgrounds, or the next picture without its object."""
        if self.settings.self_training_onto == "backgrounds":
            return cycle.y
        assert cycle.x_hat is not None
        return cycle.x_hat.roll(1, 0)

    def discriminator_terms(
        self, x: Tensor, y: Tensor, fakes: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """``d_bg`` and ``d_obj``: squares on real pictures, and the mean of squares over their kinds of fakes.

        Args:
            x: real pictures with an object.
            y: real backgrounds.
            fakes: by kind, without gradient: ``x_hat``, ``y_cycle`` for D_bg; ``z``, ``y_hat``, ``x_cycle`` for D_obj.

        Returns:
            The terms, and the mean score of each kind of picture, ``score_KIND``, ``x`` and ``y`` being the real ones.
        """
        found: dict[str, Tensor] = {}
        watched: dict[str, Tensor] = {}
        for name, net, real, kinds in (
            ("d_bg", self.d_bg, "y", ("x_hat", "y_cycle")),
            ("d_obj", self.d_obj, "x", ("y_hat", "z", "x_cycle")),
        ):
            scores = {kind: self._judge(net, fakes[kind]) for kind in kinds if kind in fakes}
            if scores:
                given = self._judge(net, {"x": x, "y": y}[real])
                found[name] = losses.discriminator_loss(given, list(scores.values()))
                judged = {real: given, **scores}
                watched |= {f"score_{kind}": losses.mean_score(each).detach() for kind, each in judged.items()}
        return found, watched


def _constant(features: list[Tensor]) -> list[Tensor]:
    return [feature.detach() for feature in features]


def _perceptual(features: FeatureExtractor, real: Tensor, cycled: Tensor, role: Role) -> Tensor:
    return losses.perceptual_loss(_constant(features.perceptual(real, role)), features.perceptual(cycled, role))


def total(terms: dict[str, Tensor]) -> Tensor:
    """The sum of terms."""
    return torch.stack(list(terms.values())).sum()
