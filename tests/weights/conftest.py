from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fgbg_zoo import registry
from fgbg_zoo.testing.distributions import write_distribution

sys.path.insert(0, str(Path(__file__).parent))  # mutations

NETS = '''
    import torch
    from torch import nn

    from fgbg_zoo import Generator, Layers, Segmenter


    class Net(nn.Module, Segmenter):
        """A convolution, a counter, and a buffer that no snapshot stores."""

        def __init__(self, width: int = 2, shift: float = 0.0) -> None:
            super().__init__()
            if width < 1:
                raise ValueError(f"width must be at least 1, not {width}")
            self.first = nn.Conv2d(3, width, 3, padding=1)
            self.norm = nn.BatchNorm2d(width)
            self.register_buffer("shift", torch.tensor([shift]), persistent=False)

        def segment(self, images, **options):
            return torch.sigmoid(self.norm(self.first(images)).mean(1, keepdim=True) + self.shift)


    class Peeking(Net):
        """Looks at values while it is built, which a module without memory has not."""

        def __init__(self, width: int = 2) -> None:
            super().__init__(width)
            self.start = float(self.first.weight.abs().sum().item())


    class Painter(nn.Module, Generator):
        inputs = ("images", "backgrounds")

        def __init__(self, net):
            super().__init__()
            self.net = net

        def generate(self, n, *, seed=0, images=None, backgrounds=None, **options):
            mask = self.net.segment(images)
            return Layers(mask * images + (1 - mask) * backgrounds, images, backgrounds, mask)


    class Pair(nn.Module):
        """Holds its parts as attributes."""

        def __init__(self) -> None:
            super().__init__()
            self.segmenter = Net(1)
            self.generator = Painter(self.segmenter)


    class TwoWays(Net):
        def segment(self, images, mode="plain"):
            masks = super().segment(images)
            return 1 - masks if mode == "inverted" else masks


    class Modes(nn.Module):
        """Segments in two ways, and generates."""

        def __init__(self) -> None:
            super().__init__()
            self.segmenter = TwoWays()
            self.generator = Painter(self.segmenter)


    class Strict(Net):
        """Checks its keywords with pydantic."""

        def __init__(self, **keywords) -> None:
            from pydantic import BaseModel

            class Keywords(BaseModel, extra="forbid"):
                width: int = 2

            super().__init__(**Keywords(**keywords).model_dump())


    def not_a_module():
        return 3


    def broken(width=1):
        raise KeyError("nothing works")
'''
PLUGIN = """
    from fgbg_zoo import MethodSpec, ModelSpec, Option, hookimpl

    FGBG_ZOO_API = 1


    @hookimpl
    def fgbg_zoo_methods():
        mode = Option("mode", "str", "plain", choices=("plain", "inverted"))
        yield MethodSpec(name="toy-modes", target="toy_nets.nets:Modes", segment_options=(mode,))
        for name in ("Net", "Peeking", "Pair", "Strict", "not_a_module", "broken"):
            target = f"toy_nets.nets:{name}"
            yield MethodSpec(name=f"toy-{name.lower()}", target=target, trainer="toy_nets.nets:Trainer")
        yield MethodSpec(name="toy-homeless")


    @hookimpl
    def fgbg_zoo_models():
        yield ModelSpec(name="toy-net-scenes", method="toy-net", dataset="scenes", license="MIT")
        yield ModelSpec(name="toy-net-cub", method="toy-net", dataset="cub", repo_id="lab/elsewhere")
        modes = ModelSpec(name="toy-modes", method="toy-modes", capabilities=("segment", "generate"))
        yield modes
        how = {"mode": "inverted"}
        yield ModelSpec(name="toy-modes-inverted", method="toy-modes", weights_of=modes.name, segment_defaults=how)
        yield ModelSpec(name="toy-free", method="toy-net", config={"width": 1})
"""


@pytest.fixture(autouse=True, scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A plugin with small networks, found by its entry point; its package is ``toy_nets``."""
    files = {"toy_nets/__init__.py": "", "toy_nets/nets.py": NETS, "toy_nets/plugin.py": PLUGIN}
    folder = write_distribution(
        tmp_path_factory.mktemp("toy"), "toy-nets", plugins={"toy": "toy_nets.plugin"}, files=files
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        registry.refresh()
        yield folder
    for name in ("toy_nets", "toy_nets.nets", "toy_nets.plugin"):
        sys.modules.pop(name, None)
    registry.refresh()
