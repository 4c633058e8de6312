"""What this package offers. Light: no torch here, only names of what is imported when it is used."""

from fgbg_zoo import DatasetSpec
from fgbg_zoo import MethodSpec
from fgbg_zoo import ModelSpec
from fgbg_zoo import Option
from fgbg_zoo import hookimpl

FGBG_ZOO_API = 1


@hookimpl
def fgbg_zoo_methods():
    yield MethodSpec(
        name="border-colour",
        target="fgbg_zoo_acme.model:BorderColour",
        title="Foreground is what differs from the border",
        paper="https://example.org/border-colour",
        citation="@misc{acme, title = {Foreground is what differs from the border}}",
        license="Apache-2.0",
        segment_options=(Option("sharpness", "float", 20.0, help="steepness of the soft threshold"),),
    )


@hookimpl
def fgbg_zoo_models():
    yield ModelSpec(
        name="border-colour-discs",
        method="border-colour",
        dataset="discs",
        capabilities=("segment",),
        license="Apache-2.0",
        description="bright discs stand out of their border",
        config={"threshold": 0.25},  # no weights: these are the keywords of BorderColour
    )


@hookimpl
def fgbg_zoo_datasets():
    yield DatasetSpec(
        name="discs",
        target="fgbg_zoo_acme.data:Discs",
        description="one bright disc on a dark ground",
        license="Apache-2.0",
        splits=("train", "test"),
    )
