"""What `porelay run` and `porelay submit` are both given: a stack, and the plan to run on it."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from porelay_kit import planning
from porelay_schemas import planes as separate
from porelay_schemas.plan import Plan
from porelay_schemas.plan import voxel_um as parse_voxel
from porelay_schemas.planes import PlaneAxis


@dataclass(frozen=True)
class Recipe:
    """A stack, a plan and its changes, and what belongs to the stack; as the user wrote it."""

    stack: Path
    plan: str
    voxel_um: tuple[float, float, float] | None
    changes: tuple[str, ...]
    seed: int | None
    truth: Path | None
    planes: tuple[str, ...]

    def load(self) -> Plan:
        """Return the plan with its changes; raise BadInput where it cannot be run."""
        return planning.load(self.plan, self.changes, voxel_um=self.voxel_um, seed=self.seed)

    @property
    def across(self) -> dict[PlaneAxis, Path]:
        """The separate images, by the axis that they lie across; raises BadInput where that is none."""
        return {axis: Path(file) for axis, file in separate.parse(self.planes).items()}


def _voxel(context: click.Context, parameter: click.Parameter, value: str | None) -> object:
    try:
        return None if value is None else parse_voxel(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def plan_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a shipped plan."""
    return [name for name in planning.shipped() if name.startswith(incomplete)]


_RECIPE = (
    click.argument("stack", type=click.Path(path_type=Path)),
    click.option("--plan", default="electrode", show_default=True, shell_complete=plan_names, help="A name or a file."),
    click.option("--voxel-um", callback=_voxel, metavar="Z,Y,X", help="Voxel size in micrometres; one for a cube."),
    click.option("--set", "changes", multiple=True, metavar="STAGE.PARAM=VALUE", help="Change a parameter."),
    click.option("--seed", type=int, help="Seed of everything that draws random numbers."),
    click.option("--truth", type=click.Path(path_type=Path), help="Known labels of the same voxels, to state Dice."),
    click.option(
        "--plane",
        "planes",
        multiple=True,
        metavar="AXIS=FILE",
        help="For anisotropic training from separate images, STACK being those across z: y=FILE, images across y with "
        "rows along z and columns along x; x=FILE, images across x with rows along z and columns along y.",
    ),
)


def recipe_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments and options of a recipe, which the command gets as one: `recipe`."""

    @wraps(function)
    def with_recipe(**words: Any) -> Any:
        recipe = Recipe(**{one.name: words.pop(one.name) for one in fields(Recipe)})
        return function(recipe=recipe, **words)

    for option in reversed(_RECIPE):
        with_recipe = option(with_recipe)
    return with_recipe
