"""The stage's page of the report, and the record of quality control."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from porelay_ingest.numbering import ranges
from porelay_ingest.quality import Checked, worst
from porelay_kit import figures
from porelay_kit.bench import Bench
from porelay_kit.volumes import Volume
from porelay_schemas.messages import IngestRequest
from porelay_schemas.planes import PlaneAxis, words
from porelay_schemas.section import Block, Cell, Checks, Figure, Section, Table, Text
from porelay_schemas.stacks import StackFacts
from porelay_schemas.volumes import StackRef

MOST_LABELS = 16
WORDS = {"ok": "passes quality control", "warn": "passes with warnings", "fail": "fails quality control"}


@dataclass(frozen=True)
class Account:
    """All that there is to tell about one stack. `values` are the distinct values of a label stack."""

    stack: StackRef
    facts: StackFacts
    volume: Volume
    voxel_from: str
    rule: str
    checked: list[Checked]
    values: list[int] = field(default_factory=list)
    truth: Volume | None = None
    truth_rule: str = ""
    planes: Mapping[PlaneAxis, "Account"] = field(default_factory=dict)


def verdict(account: Account) -> Literal["ok", "warn", "fail"]:
    """Return the worst verdict on the stack and its planes."""
    return worst([*account.checked, *(each for plane in account.planes.values() for each in plane.checked)])


def write(account: Account, request: IngestRequest, bench: Bench) -> None:
    """Write qc.json, the picture of the stack and the section."""
    bench.write_json("qc.json", record(account))
    _draw(account, request, bench)
    bench.section(section(account, request))


def record(account: Account) -> dict[str, Any]:
    """Return what qc.json holds."""
    facts = asdict(account.facts) | {"names": len(account.facts.names), "missing": list(account.facts.missing)}
    return {
        "verdict": verdict(account),
        "facts": facts,
        "voxel_um": list(account.volume.voxel_um),
        "voxel_from": account.voxel_from,
        "stored": {"dtype": account.volume.dtype.name, "rule": account.rule},
        "values": account.values,
        "truth": account.truth_rule or None,
        "checks": [each.record() for each in account.checked],
        "planes": {axis: record(plane) for axis, plane in account.planes.items()},
    }


def _draw(account: Account, request: IngestRequest, bench: Bench) -> None:
    volume, size = account.volume, account.volume.voxel_um
    figures.ortho_png(bench.path("stack.png"), volume, voxel_um=size)
    if account.truth is not None:
        overlay = account.truth if volume.kind == "grey" else None
        shown = volume if overlay is not None else account.truth
        figures.ortho_png(bench.path("truth.png"), shown, voxel_um=size, phases=request.phases, overlay=overlay)
    for axis, plane in account.planes.items():
        labels = request.phases if plane.volume.kind == "labels" else None
        panel = figures.plane_panel(f"across {axis}", plane.volume, axis, labels)
        figures.panels_png(bench.path(f"plane_{axis}.png"), [panel], voxel_um=plane.volume.voxel_um[1:])


def section(account: Account, request: IngestRequest) -> Section:
    """Return the page of the report."""
    stacks = [account, *account.planes.values()]
    checked = [each for stack in stacks for each in stack.checked]
    troubles = [each.name.replace("_", " ") for each in checked if each.finding.verdict in ("warn", "fail")]
    headline = (
        f"{_named(account)}; "
        + "".join(f"plane {axis} {_named(plane)}; " for axis, plane in account.planes.items())
        + (WORDS[verdict(account)] if checked else "no checks were asked for")
        + (f" ({', '.join(dict.fromkeys(troubles))})" if troubles else "")
        + "."
    )
    blocks = _blocks(account, request)
    for axis, plane in account.planes.items():
        blocks += _plane_blocks(axis, plane)
    return Section(title="Ingest", headline=headline, blocks=tuple(blocks))


def _named(account: Account) -> str:
    z, y, x = account.volume.shape
    return f"{account.stack.name}: {z} x {y} x {x} voxels of {_size(account.volume.voxel_um)}"


def _blocks(account: Account, request: IngestRequest) -> list[Block]:
    blocks: list[Block] = [Figure(file="stack.png", caption="The stack as it was dropped: middle slices.", wide=True)]
    if account.truth is not None:
        blocks.append(Figure(file="truth.png", caption="The known labels that came with it.", wide=True))
    blocks += _judged(account, "the stack")
    rows = _rows(account)
    if request.truth is not None:
        rows.append(("known labels", f"{request.truth.name} ({account.truth_rule})"))
    blocks.append(Table(caption="The file", header=("what", "value"), rows=tuple(rows)))
    return blocks


def _plane_blocks(axis: PlaneAxis, plane: Account) -> list[Block]:
    caption = f"{words(axis).capitalize()} as it was dropped: middle slice."
    return [
        Figure(file=f"plane_{axis}.png", caption=caption),
        *_judged(plane, f"plane {axis}"),
        Table(caption=f"The file of plane {axis}", header=("what", "value"), rows=tuple(_rows(plane))),
    ]


def _judged(account: Account, what: str) -> list[Block]:
    blocks: list[Block] = [Text(text=note, tone="warning") for note in warnings(account)]
    if account.checked:
        entries = tuple(each.entry() for each in account.checked)
        blocks.append(Checks(caption=f"Quality control of {what}, before any correction", checks=entries))
    return blocks


def warnings(account: Account) -> list[str]:
    """Return what a reader should know and no check tells."""
    notes = list(account.facts.notes)
    if len(account.values) > MOST_LABELS:
        notes.append(
            f"The label stack has {len(account.values)} distinct values, more than a plan has phases: "
            "is it a grey stack, or labels blurred by JPEG or resampling?"
        )
    return notes


def _rows(account: Account) -> list[tuple[Cell, ...]]:
    facts, volume, stack = account.facts, account.volume, account.stack
    rows: list[tuple[Cell, ...]] = [
        ("name", stack.name),
        ("format", facts.format),
        ("size", f"{stack.size_bytes:,} bytes"),
        ("SHA-256", stack.sha256),
        ("kind", volume.kind),
        ("shape (z, y, x)", " x ".join(str(size) for size in volume.shape)),
        ("type in the file", facts.dtype),
        ("type stored", volume.dtype.name + (f" ({account.rule})" if account.rule else "")),
        ("voxel size (z, y, x)", _size(volume.voxel_um)),
        ("voxel size from", account.voxel_from),
    ]
    if facts.missing:
        rows.append(("missing slice numbers", ranges(facts.missing)))
    if account.values:
        rows.append(("label values", _listed(account.values)))
    return rows


def _listed(values: Sequence[int]) -> str:
    return ranges(values, most=20)


def _size(voxel_um: Sequence[float]) -> str:
    return (f"{voxel_um[0]:g}" if len(set(voxel_um)) == 1 else " x ".join(f"{edge:g}" for edge in voxel_um)) + " µm"
