"""The core's own data sets, metrics and command-line verbs, registered the way a plugin registers its own."""

from __future__ import annotations

from collections.abc import Iterable

from fgbg_zoo.hookspecs import hookimpl
from fgbg_zoo.spec import CommandSpec
from fgbg_zoo.spec import DatasetSpec
from fgbg_zoo.spec import MetricSpec

FGBG_ZOO_API = 1


@hookimpl
def fgbg_zoo_datasets() -> Iterable[DatasetSpec]:
    yield DatasetSpec(
        name="scenes",
        target="fgbg_zoo.data.scenes:Scenes",
        description="embedded procedural scenes: one of eight things of typical material on a named background",
        license="Apache-2.0",
        splits=("train", "val", "test"),
    )
    yield DatasetSpec(
        name="folder",
        target="fgbg_zoo.data.folder:Folder",
        description="images/ with optional masks/ and backgrounds/, or a manifest.csv with file,split",
        license="that of the pictures",
        needs_path=True,
    )
    for name, target, what, splits in (
        ("cub", "cub:Cub", "Caltech-UCSD Birds 200-2011", ("train", "val", "test")),
        ("dogs", "dogs:Dogs", "Stanford Dogs (lists and masks to be given)", ("train", "test")),
        ("cars", "cars:Cars", "Stanford Cars (lists and masks to be given)", ("train", "test")),
    ):
        yield DatasetSpec(
            name=name,
            target=f"fgbg_zoo.data.archives.{target}",
            description=f"{what}, split and cropped as in the layered-GAN papers",
            license="that of the archive",
            needs_path=True,
            splits=splits,
        )


@hookimpl
def fgbg_zoo_metrics() -> Iterable[MetricSpec]:
    for name, target, text in (
        ("iou_pooled", "overlap:PooledIoU", "IoU of the foreground over the pixels of all pictures"),
        ("iou_per_image", "overlap:IoUPerImage", "mean over pictures of the foreground's IoU"),
        ("miou", "overlap:PooledMeanIoU", "mean of the pooled IoU of foreground and background"),
        ("dice", "overlap:Dice", "mean over pictures of the Dice score"),
        ("accuracy", "overlap:PixelAccuracy", "share of right pixels over all pictures"),
        ("max_f", "thresholds:MaxF", "F (beta squared 0.3), mean over pictures, then maximum over thresholds"),
        ("max_f_selfmask", "thresholds:MaxFSelfMask", "F (beta squared 0.09), maximum of each picture, then mean"),
        ("e_measure", "thresholds:MeanE", "E-measure, mean over pictures and thresholds"),
        ("s_measure", "structure:StructureMeasure", "S-measure (alpha 0.5)"),
        ("weighted_f", "weighted:WeightedF", "weighted F-measure (beta 1)"),
        ("boundary_iou", "boundary:BoundaryIoU", "mean over pictures of the IoU of outlines, 2 % of the diagonal"),
        ("box_iou", "boxes:BoxIoU", "mean over pictures of the IoU of boxes, the prediction's largest part's"),
    ):
        yield MetricSpec(name, f"fgbg_zoo.metrics.{target}", description=text)
    target = "fgbg_zoo.metrics.overlap:AbsoluteError"
    yield MetricSpec("mae", target, higher_is_better=False, description="mean absolute error of the soft map")
    target, text = "fgbg_zoo.metrics.sliced:SlicedWasserstein", "sliced Wasserstein distance of patches"
    yield MetricSpec("swd", target, "images", higher_is_better=False, description=text)
    for name, target, text in (
        ("mask_area", "MaskArea", "mean share of the picture that the mask covers"),
        ("mask_softness", "MaskSoftness", "mean of 2 min(m, 1 - m) of the masks"),
    ):
        target = f"fgbg_zoo.metrics.layers:{target}"
        yield MetricSpec(name, target, "layers", higher_is_better=None, description=text)
    for name, what in (
        ("", "visible and hidden regions of the layers: mean of foreground and background"),
        ("_foreground", "the visible foreground and the background behind it"),
        ("_background", "the visible background and the foreground that does not show"),
        ("_whole", "the whole layers"),
    ):
        for prefix, how in (("layer_mi", "small MINE"), ("layer_mi_paper", "MINE of ILSGAN, hours")):
            target, text = f"fgbg_zoo.metrics.information:{prefix}{name}", f"information shared by {what} ({how})"
            yield MetricSpec(f"{prefix}{name}", target, "layers", higher_is_better=False, unit="nat", description=text)
    for name, target, text in (
        ("fid", "FID", "Fréchet distance of features"),
        ("kid", "KID", "kernel distance of features, unbiased"),
    ):
        target = f"fgbg_zoo.metrics.distribution:{target}"
        yield MetricSpec(name, target, "images", extractor=True, higher_is_better=False, description=text)
    for name, target, text in (
        ("random-conv-v1", "RandomConv", "an untrained convolutional network, seeded; needs no weights"),
        ("timm/resnet18.a1_in1k", "timm_resnet18", "a ResNet-18 trained on ImageNet-1k, from the Hub"),
    ):
        target = f"fgbg_zoo.metrics.extractors:{target}"
        yield MetricSpec(name, target, "features", higher_is_better=None, description=text)


@hookimpl
def fgbg_zoo_commands() -> Iterable[CommandSpec]:
    for name, target, text in (
        ("list", "fgbg_zoo.cli.list:list_", "List models, methods or metrics."),
        ("info", "fgbg_zoo.cli.info:info", "Say everything about a model."),
        ("segment", "fgbg_zoo.cli.segment:app", "Find the foreground of pictures: masks, cut-outs, a contact sheet."),
        ("generate", "fgbg_zoo.cli.generate:app", "Make layered pictures: foreground, mask, background, image."),
        ("compose", "fgbg_zoo.cli.compose:app", "Put foregrounds onto other backgrounds."),
        ("train", "fgbg_zoo.cli.train:train", "Train a method on a data set; ends with a snapshot to load."),
        ("convert", "fgbg_zoo.cli.convert:convert", "Make a snapshot of a checkpoint of a method's authors."),
        ("evaluate", "fgbg_zoo.cli.evaluate:evaluate", "Score one model on one data set."),
        ("benchmark", "fgbg_zoo.benchmark.cli:benchmark", "Compare methods on the same pictures; writes a report."),
        ("datasets", "fgbg_zoo.cli.datasets:app", "List data sets, or check the files of one."),
        ("push", "fgbg_zoo.cli.push:push", "Publish a snapshot as a Hub repository, with a card."),
        ("pull", "fgbg_zoo.cli.pull:pull", "Bring weights into the Hub's cache, for a machine without a network."),
        ("card", "fgbg_zoo.cli.push:card", "Print the card that a model has on the Hub."),
        ("plugins", "fgbg_zoo.cli.plugins:app", "List plugins and how they fared, or check one."),
        ("plugin", "fgbg_zoo.cli.plugin:app", "Begin a plugin of your own."),
    ):
        yield CommandSpec(name=name, target=target, help=text)
