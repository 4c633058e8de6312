"""A plugin as a third party would write it: what the command line is tried on."""

from fgbg_zoo import CommandSpec
from fgbg_zoo import MethodSpec
from fgbg_zoo import ModelSpec
from fgbg_zoo import Option
from fgbg_zoo import hookimpl

FGBG_ZOO_API = 1


@hookimpl
def fgbg_zoo_methods():
    yield MethodSpec(
        name="toy",
        target="fgbg_zoo_toy_nets:Toy",
        trainer="fgbg_zoo_toy_nets:ToyTrainer",
        title="Brightness is foreground",
        paper="https://example.org/toy",
        citation="@misc{toy, title={Brightness is foreground}}",
        license="MIT",
        presets=("small", "large"),
        segment_options=(
            Option("concept", "str", "light", ("light", "dark"), "what is foreground"),
            Option("gain", "float", 1.0, (), "contrast"),
            Option("hard_edges", "bool", False, (), "no greys"),
        ),
        generate_options=(Option("tint", "float", 0.0, (), "how red"),),
    )


@hookimpl
def fgbg_zoo_models():
    both = ("segment", "generate")
    yield ModelSpec("toy-light", "toy", "scenes", capabilities=both, resolution=32, license="CC0-1.0", config={})
    yield ModelSpec("toy-own-size", "toy", config={}, description="sees pictures in their own size")
    yield ModelSpec(
        "toy-paste",
        "toy",
        target="fgbg_zoo_toy_nets:Paste",
        capabilities=("generate",),
        inputs=("images", "backgrounds"),
        resolution=16,
        config={},
    )
    yield ModelSpec("toy-nan", "toy", target="fgbg_zoo_toy_nets:NotANumber", resolution=8, config={})
    yield ModelSpec("toy-hungry", "toy", target="fgbg_zoo_toy_nets:Hungry", resolution=8, config={})
    yield ModelSpec("toy-unpublished", "toy", "nothing")


@hookimpl
def fgbg_zoo_commands():
    yield CommandSpec("toy-hello", "fgbg_zoo_toy_verbs:hello", "Say hello.")
    yield CommandSpec("toy-broken", "fgbg_zoo_toy_missing:verb", "Cannot be imported.")
    yield CommandSpec("toy-raises", "fgbg_zoo_toy_verbs:raises", "Raises.")
    yield CommandSpec("toy-exits", "fgbg_zoo_toy_verbs:exits", "Exits.")
    yield CommandSpec("toy-fails", "fgbg_zoo_toy_verbs:fails", "Fails as an operating system does.")
    yield CommandSpec("list", "fgbg_zoo_toy_verbs:hello", "Would take the core's verb.")
