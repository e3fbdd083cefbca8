"""How a recipe reads in the log of the stand-in for COMSOL."""

import json
from pathlib import Path
from typing import Any

from comsol_blocks import Block

from porelay_comsol_bridge.recipe import Beside, Call, Imported, Recipe


def expected(recipe: Recipe, block: Block, *, solved: bool = True) -> list[str]:
    """Return the calls that COMSOL must see, with the tags and paths that it will have."""
    tags = {s.name: f"mesh1_imp1_sel{n}" for n, s in enumerate(block.selections(), 1)}
    parts = [part for part in recipe.parts if solved or not part.solves]
    return [_line(step, tags) for part in parts for step in part.steps if isinstance(step, Call)]


def _line(call: Call, tags: dict[str, str]) -> str:
    return ".".join(f"{name}({', '.join(_show(value, tags) for value in args)})" for name, args in call.chain)


def _show(value: Any, tags: dict[str, str]) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_show(one, tags) for one in value) + "]"
    if isinstance(value, Imported):
        return json.dumps(tags[value.label])
    return json.dumps(f"beside:{value.name}" if isinstance(value, Beside) else value)


def seen(log: Path, folder: Path) -> list[str]:
    """Return the calls that the stand-in has seen, with paths of the package made relative."""
    text = log.read_text(encoding="ascii")
    for prefix in (f"{folder}/./", f"{folder}/"):
        text = text.replace(prefix, "beside:")
    return text.splitlines()
