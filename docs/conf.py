"""Sphinx configuration."""

import typing
from pathlib import Path

from fgbg_zoo_concept_distillation.settings import ConceptSettings
from fgbg_zoo_seigan.config import Architecture
from fgbg_zoo_seigan.config import SeiganSettings

from fgbg_zoo import __version__
from fgbg_zoo.training import LoopSettings

project = "fgbg_zoo"
copyright = "the fgbg_zoo authors"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_static_path = ["_static"]
html_title = "fgbg_zoo"
exclude_patterns = ["_build", "_generated"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
suppress_warnings = ["ref.python"]  # re-exported names have two homes
nitpicky = False


def _table(model: type, without: frozenset[str] = frozenset()) -> str:
    """The fields of a pydantic model as a Markdown table."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if name in without or name == "architecture":
            continue
        default = "required" if field.is_required() else f"`{field.get_default(call_default_factory=True)!r}`"
        choices = [str(value) for value in typing.get_args(field.annotation) if isinstance(value, str)]
        text = (field.description or "").replace("|", "\\|")
        listed = f" ({', '.join(choices)})" if choices else ""
        rows.append(f"| `{name}` | {default} | {text}{listed} |")
    return "\n".join(rows) + "\n"


_GROUPS = ("tuning", "student", "maps", "refine", "foundation")  # of concept distillation's settings
_generated = Path(__file__).parent / "_generated"
_generated.mkdir(exist_ok=True)
for _name, _text in {
    "loop": _table(LoopSettings),
    "seigan": _table(SeiganSettings, frozenset(LoopSettings.model_fields)),
    "seigan_architecture": _table(Architecture),
    "concept": _table(ConceptSettings, frozenset({*LoopSettings.model_fields, *_GROUPS}) - {"steps"}),
    **{f"concept_{group}": _table(ConceptSettings.model_fields[group].annotation) for group in _GROUPS[:-1]},
}.items():
    (_generated / f"{_name}.md").write_text(_text)
