"""The plan of a drop: a shipped one by the folder's name, or the text that lies beside the drop.

Beside the drop lies a whole plan, or only what differs: `plan: NAME` of a shipped one, `voxel_um`, `seed`. In both,
`count: N` says how many slices will come.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

from porelay_ingest import sandbox
from porelay_ingest.intake.drops import Drop
from porelay_kit import planning
from porelay_kit.runner.drops import PLAN
from porelay_schemas.errors import BadInput, nearest
from porelay_schemas.plan import Plan

MOST_BYTES = 65536
OPTIONS = ("voxel_um", "seed")
LIMITS = sandbox.Limits(memory_bytes=2**28, seconds=10.0)


@dataclass(frozen=True)
class Sidecar:
    """What lies beside a drop: `count` slices will come; `text` is a whole plan, or `options` change a shipped one."""

    count: int | None = None
    text: str = ""
    plan: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def read(data: bytes, source: str) -> Sidecar:
    """Read the text beside a drop; raise BadInput where it is no plan.

    A YAML alias makes a thousand things of one, so there may be none.
    """
    if len(data) > MOST_BYTES:
        raise BadInput(f"{source}: {len(data):,} bytes, wanted a plan of at most {MOST_BYTES:,}. Shorten it.")
    try:
        document = dict(_document(data.decode(), source))
    except UnicodeDecodeError as error:
        raise BadInput(f"{source}: not a text ({error.reason}). Write it as UTF-8.") from error
    count = document.pop("count", None)
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        raise BadInput(f"{source}: count is {count!r}, wanted the number of slices, 1 or more. Correct it.")
    if not document.keys() <= {"plan", *OPTIONS}:
        return _whole(count, document, source)
    plan = document.pop("plan", None)
    if plan is not None and not isinstance(plan, str):
        raise BadInput(f"{source}: plan is {plan!r}, wanted the name of a shipped plan. Correct it.")
    return Sidecar(count, plan=plan, options=document)


def _whole(count: int | None, document: dict[str, Any], source: str) -> Sidecar:
    if "plan" in document:
        raise BadInput(
            f"{source}: `plan` names a shipped plan, and only {' and '.join(OPTIONS)} may differ from it; it has "
            f"{', '.join(sorted(document.keys() - {'plan', *OPTIONS}))}, too. Write out the whole plan instead."
        )
    return Sidecar(count, yaml.safe_dump(document, sort_keys=False))


@lru_cache(maxsize=64)
def _document(text: str, source: str) -> dict[str, Any]:
    """Return what the text holds; some texts take a parser all time and memory there is, so it has a process."""
    found = sandbox.call("porelay_ingest.yaml_text:parse", text, what=source, limits=LIMITS)
    if not isinstance(found, dict):
        raise BadInput(f"{source}: wanted a plan: a mapping with 'name', 'phases' and 'stages'. Correct it.")
    return found


def plan_of(drop: Drop, sidecar: Sidecar) -> Plan:
    """Return the plan of a drop, every parameter explicit; raise BadInput or UnknownMethod where there is none."""
    source = drop.name + PLAN
    if sidecar.text:
        return planning.parse(sidecar.text, source)
    name = sidecar.plan or drop.plan
    shipped = planning.shipped()
    if name not in shipped:
        raise BadInput(
            f"{drop.name}: no shipped plan is called {name!r}. {nearest(name, shipped)} "
            f"Drop it into inbox/<plan>/, or put its plan beside it as {source}."
        )
    return planning.load(name, **sidecar.options)
