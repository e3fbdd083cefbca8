"""Which phase is darker than which."""

from collections.abc import Sequence

from porelay_schemas.errors import BadInput, nearest
from porelay_schemas.plan import Phase


def dark_to_bright(phases: Sequence[Phase], order: Sequence[str] | None, method: str) -> tuple[int, ...]:
    """Return the labels of the phases from the darkest to the brightest; raise BadInput where `order` is not one."""
    names = [phase.name for phase in phases]
    if order is None:
        return tuple(range(len(names)))
    for name in order:
        if name not in names:
            raise BadInput(f"{method}.order: no phase of the plan is called {name!r}. {nearest(name, names)}")
    if sorted(order) != sorted(names):
        raise BadInput(
            f"{method}.order: got {list(order)}, wanted each phase of the plan once, from dark to bright: "
            f"{', '.join(names)}. Correct the list, or leave it out to take the plan's order."
        )
    return tuple(names.index(name) for name in order)
