"""The head of the page: which stack, which plan, when, and how it went."""

from porelay_kit.report import values
from porelay_kit.report.blocks import badge
from porelay_kit.report.gather import RunPage
from porelay_kit.report.markup import Html, tag
from porelay_kit.report.verdict import overall
from porelay_schemas.messages import IngestResult
from porelay_schemas.plan import Phase


def header(run: RunPage) -> Html:
    """Return the head of the page."""
    verdict, words = overall(run)
    return tag(
        "header",
        tag(
            "div",
            tag("p", "Porelay", tag("span", " microstructure report"), class_="brand"),
            tag("h1", run.run.stack.name),
            tag("p", badge(verdict, words), class_="verdict"),
            tag("dl", *(tag("div", tag("dt", name), tag("dd", fact)) for name, fact in _facts(run))),
            class_="inner",
        ),
    )


def _facts(run: RunPage) -> list[tuple[str, object]]:
    ingested = next((s.result for s in run.stages if isinstance(s.result, IngestResult)), None)
    voxel_um = ingested.volume.voxel_um if ingested else run.plan.voxel_um
    facts: list[tuple[str, object]] = [
        ("Run", run.run.run_id),
        ("Stack", f"{values.size(run.run.stack.size_bytes)}, SHA-256 {run.run.stack.sha256[:10]}…"),
        ("Voxel", values.lengths(voxel_um) if voxel_um else "not known yet"),
    ]
    if ingested:
        volume = ingested.volume
        extent = " × ".join(f"{n * um:.4g}" for n, um in zip(volume.shape, volume.voxel_um, strict=True))
        facts.append(("Volume (z, y, x)", f"{' × '.join(map(str, volume.shape))} voxels, {extent} µm"))
    return [
        *facts,
        ("Plan", f"{run.plan.name}: {run.plan.about}" if run.plan.about else run.plan.name),
        ("Started", f"{run.run.created:%d %B %Y, %H:%M} {run.run.created.tzname() or ''}".strip()),
        ("Computed in", values.seconds(sum(s.result.seconds for s in run.stages if s.result))),
        ("Phases", tag("span", *(_chip(phase) for phase in run.plan.phases), class_="chips")),
    ]


def _chip(phase: Phase) -> Html:
    swatch = tag("i", style=f"background:{phase.colour}", aria_hidden="true")
    return tag("span", swatch, phase.name.replace("_", " "), class_="chip")
