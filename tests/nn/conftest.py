from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

SHARED = Path(os.environ.get("FGBG_ZOO_SHARED") or Path(__file__).resolve().parents[3] / "shared")


@pytest.fixture(scope="module", params=["layered_32", "layered_64"])
def parity(request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What the original networks give: their configuration, and weights, inputs and outputs by name."""
    fixture = SHARED / "parity" / f"{request.param}.json"
    if not fixture.is_file():
        pytest.skip("the parity fixtures are not here; set FGBG_ZOO_SHARED to them")
    return json.loads(fixture.read_text()), load_file(fixture.with_suffix(".safetensors"))
