"""What a plugin says about itself: frozen dataclasses, light to import, naming their code by strings."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Literal

from fgbg_zoo.access import check_repository
from fgbg_zoo.access import check_revision
from fgbg_zoo.errors import UsageError

PLUGIN_API = 1
"""The version of the plugin interface. A plugin module states the one it was written for as ``FGBG_ZOO_API``."""

DEFAULT_HUB_ORG = "fgbg-zoo"

CAPABILITIES = ("segment", "generate")
INPUTS = ("images", "backgrounds")

WeightsStatus = Literal["bundled", "cached", "hub", "unpublished", "none needed"]


@dataclass(frozen=True)
class Option:
    """A keyword option that a method adds to ``segment`` or ``generate``.

    Args:
        name: the keyword.
        type: ``"str"``, ``"int"``, ``"float"`` or ``"bool"``.
        default: what is used when the option is not given.
        choices: the allowed values; empty for any value of the type.
        help: one line.
        per_picture: of ``segment``: whether a list or tuple with a value for each picture may be given too.
    """

    name: str
    type: Literal["str", "int", "float", "bool"] = "str"
    default: Any = None
    choices: tuple[Any, ...] = ()
    help: str = ""
    per_picture: bool = False


@dataclass(frozen=True)
class MethodSpec:
    """A published algorithm.

    Args:
        name: the method's id, for example ``"seigan"``.
        target: ``"package.module:Class"`` of its networks, built as ``Class(**architecture)`` where ``architecture``
            comes from a snapshot's ``config.json``. ``None`` if each of its models names a target of its own.
        trainer: ``"package.module:Class"`` of its :class:`~fgbg_zoo.interfaces.Trainer`, or ``None``.
        title: the paper's title.
        paper: the paper's address.
        citation: a BibTeX entry.
        license: the SPDX identifier of the code's licence.
        presets: names of training presets, the default one first.
        segment_options: options of its own that ``segment`` takes.
        generate_options: options of its own that ``generate`` takes.
        baseline: true for a baseline; the benchmark runs those beside every choice of methods.
        converter: ``"package.module:function"`` that makes a snapshot of a checkpoint of the method's authors, for
            ``fgbg-zoo convert``; it is called as ``converter(path, out)``, gives the snapshot's folder, and must run
            nothing that is in the file. ``None`` if there is none.
        texts: dotted names of values of ``architecture`` that are free text (a tokenizer's merges, say), which may hold
            slashes; a snapshot with a path or an address anywhere else in its architecture is refused.
        plugin: the plugin's id; set by the registry.
    """

    name: str
    target: str | None = None
    trainer: str | None = None
    title: str = ""
    paper: str = ""
    citation: str = ""
    license: str = ""
    presets: tuple[str, ...] = ()
    segment_options: tuple[Option, ...] = ()
    generate_options: tuple[Option, ...] = ()
    baseline: bool = False
    converter: str | None = None
    texts: tuple[str, ...] = ()
    plugin: str = ""


@dataclass(frozen=True)
class ModelSpec:
    """A method with weights for a data set.

    Args:
        name: ``method-dataset[-variant]``, for example ``"seigan-scenes"``.
        method: the method's id.
        dataset: the data set that the weights were trained on; empty for a model that fits any data set.
        target: ``"package.module:Class"``; the method's target if ``None``.
        capabilities: ``"segment"``, ``"generate"`` or both.
        inputs: the pictures that ``generate`` needs, from ``"images"`` and ``"backgrounds"``; empty for a generator
            that starts from noise.
        resolution: the side of the model's own input or output, in pixels.
        license: the SPDX identifier of the weights' licence, or a name with an address.
        paper: the paper's address; the method's if empty.
        description: one line.
        package: the top-level package that bundles the snapshot as ``weights/<name>/``; the target's if empty.
        repo_id: the Hub repository; ``<organisation>/<name>`` if ``None``, where the organisation is
            ``$FGBG_ZOO_HUB_ORG`` or ``fgbg-zoo``.
        revision: the full commit hash of the published weights; ``None`` while they are not published.
        sha256: expected hashes of snapshot files, by file name.
        config: the ``architecture`` of a model that has no weights at all; such a model needs no snapshot.
        fits: true for a model that the benchmark fits to the training split of each data set (a baseline such as the
            mean training mask).
        preset: the training preset of the method that makes such weights; empty if none does.
        weights_of: the model whose weights this one uses, where it is the same network used in another way.
        segment_defaults: values of the method's ``segment_options`` instead of their own defaults.
        told: the option of ``segment``, one for each picture, by which the benchmark tells captions to a model that is
            to find what it is told; empty for one that is told nothing.
        files: of a repository that is no snapshot, the files that are needed, the first one telling such a folder from
            others.
        opener: ``"package.module:function"`` that reads such a folder: called with its path, it gives the network and
            the ``architecture`` that a snapshot of it has. It must run nothing that is in the folder.
        on_request: whether the benchmark uses the model only where it is named.
        plugin: the plugin's id; set by the registry.
    """

    name: str
    method: str
    dataset: str = ""
    target: str | None = None
    capabilities: tuple[str, ...] = ("segment",)
    inputs: tuple[str, ...] = ()
    resolution: int | None = None
    license: str = ""
    paper: str = ""
    description: str = ""
    package: str = ""
    repo_id: str | None = None
    revision: str | None = None
    sha256: Mapping[str, str] = field(default_factory=dict, hash=False)
    config: Mapping[str, Any] | None = field(default=None, hash=False)
    fits: bool = False
    preset: str = ""
    weights_of: str = ""
    segment_defaults: Mapping[str, Any] = field(default_factory=dict, hash=False)
    told: str = ""
    files: tuple[str, ...] = ()
    opener: str = ""
    on_request: bool = False
    plugin: str = ""

    def __post_init__(self) -> None:
        for name, known in (("capabilities", CAPABILITIES), ("inputs", INPUTS)):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not set(value) <= set(known):
                raise ValueError(f"{name} of model {self.name!r} must be a tuple of {known}, not {value!r}")
        if bool(self.opener) != bool(self.files):
            raise ValueError(f"opener and files of model {self.name!r} go together")
        if self.repo_id is not None:
            check_repository(self.repo_id)
        check_revision(self.revision)

    @property
    def snapshot_name(self) -> str:
        """The name of the model whose weights are used."""
        return self.weights_of or self.name

    @property
    def hub_repo(self) -> str:
        """The Hub repository that holds the weights, whether published yet or not.

        Raises:
            UsageError: if ``$FGBG_ZOO_HUB_ORG`` names no organisation.
        """
        if self.repo_id:
            return self.repo_id
        repo_id = f"{os.environ.get('FGBG_ZOO_HUB_ORG') or DEFAULT_HUB_ORG}/{self.snapshot_name}"
        try:
            check_repository(repo_id)
        except UsageError as error:
            raise UsageError(f"$FGBG_ZOO_HUB_ORG names no organisation: {error}") from error
        return repo_id

    @property
    def weights(self) -> WeightsStatus:
        """Where the weights are now: bundled, cached, on the Hub, not published yet, or not needed."""
        from fgbg_zoo.locate import weights_status

        return weights_status(self)

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain values, with ``weights`` and ``hub_repo``."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        fields["sha256"] = dict(self.sha256)
        fields["config"] = None if self.config is None else dict(self.config)
        fields["segment_defaults"] = dict(self.segment_defaults)
        return {**fields, "hub_repo": self.hub_repo, "weights": self.weights}


@dataclass(frozen=True)
class DatasetSpec:
    """A data set.

    Args:
        name: its id, for example ``"scenes"``.
        target: ``"package.module:Class"``, called as ``Class(path, split=..., size=..., **options)``.
        description: one line.
        license: of the pictures.
        needs_path: whether it reads files, so that ``NAME=PATH`` must be given.
        splits: the names of its splits, where they are known beforehand.
        plugin: the plugin's id; set by the registry.
    """

    name: str
    target: str
    description: str = ""
    license: str = ""
    needs_path: bool = False
    splits: tuple[str, ...] = ()
    plugin: str = ""


@dataclass(frozen=True)
class MetricSpec:
    """A metric of the benchmark, or a feature extractor that ``fid[...]`` and ``kid[...]`` name.

    Args:
        name: the name in tables, for example ``"iou_pooled"``.
        target: ``"package.module:callable"``. For ``"segmentation"`` it is called without arguments and gives a
            ``torchmetrics.Metric`` with ``update(probabilities, masks)`` on (B,1,H,W) in [0,1] and {0,1}; for
            ``"layers"`` the same with ``update(layers)``; for ``"images"`` the same with ``update(images, real=bool)``;
            for ``"features"`` it gives an ``nn.Module`` from (B,3,H,W) in [0,1] to (B,D) with ``num_features = D``.
        kind: what the metric is computed on.
        extractor: whether the metric is of features, so that its target is called with an extractor and the
            extractor's name, and it is named with one: ``NAME[extractor]``.
        higher_is_better: ``None`` where neither is.
        unit: empty for a plain number.
        description: one line.
        plugin: the plugin's id; set by the registry.
    """

    name: str
    target: str
    kind: Literal["segmentation", "images", "layers", "features"] = "segmentation"
    extractor: bool = False
    higher_is_better: bool | None = True
    unit: str = ""
    description: str = ""
    plugin: str = ""


@dataclass(frozen=True)
class CommandSpec:
    """A verb that a plugin adds to the command line.

    Args:
        name: the verb.
        target: ``"package.module:callable"``, a function that typer can turn into a command.
        help: one line.
        plugin: the plugin's id; set by the registry.
    """

    name: str
    target: str
    help: str = ""
    plugin: str = ""


@dataclass(frozen=True)
class PluginInfo:
    """How a plugin fared.

    Args:
        name: the entry point's name.
        dist: the distribution that brings it.
        version: of the distribution.
        status: ``"loaded"``; ``"failed"`` (import or a hook raised, or it yielded something else than specs);
            ``"incompatible"`` (written for another interface version); ``"disabled"`` (not in the allow-list);
            ``"shadowed"`` (loaded, but another plugin won some of its names).
        error: one line, where something went wrong.
        models: the names of its models, as ``load`` takes them.
    """

    name: str
    dist: str
    version: str
    status: Literal["loaded", "failed", "incompatible", "disabled", "shadowed"]
    error: str = ""
    models: tuple[str, ...] = ()
