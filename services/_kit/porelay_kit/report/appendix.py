"""Provenance: every parameter, seed, version, machine, digest, and the plan itself."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC

from porelay_kit import planning
from porelay_kit.report import blocks, values
from porelay_kit.report.gather import RunPage
from porelay_kit.report.markup import Html, join, tag
from porelay_schemas.manifest import Manifest, UsedMethod
from porelay_schemas.section import Table


def appendix(run: RunPage) -> Html:
    """Return the folded records of a run."""
    return tag(
        "section",
        tag("h2", "Provenance"),
        tag("p", "What it takes to repeat this run: its input, plan, parameters, seeds, code and machines."),
        _fold("Input", _pairs(_input(run))),
        _fold("Stages, times and memory", blocks.table(_times(run))),
        *(_fold(f"Parameters and code: {one.stage}", _stage(one)) for one in _manifests(run)),
        _fold("Machines and versions", _machines(run)),
        _fold("Plan", tag("pre", planning.dump(run.plan))),
        id="provenance",
    )


def _manifests(run: RunPage) -> list[Manifest]:
    return [stage.manifest for stage in run.stages if stage.manifest]


def _fold(title: str, *content: Html) -> Html:
    return tag("details", tag("summary", title), *content)


def _pairs(pairs: Iterable[tuple[str, object]]) -> Html:
    rows = (tag("tr", tag("th", name, scope="row"), tag("td", shown)) for name, shown in pairs)
    return tag("div", tag("table", tag("tbody", *rows), class_="pairs"), class_="scroller")


def _input(run: RunPage) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    planes = [(f"plane {axis}", stack) for axis, stack in run.run.planes.items()]
    for name, stack in (("stack", run.run.stack), ("truth", run.run.truth), *planes):
        if stack:
            pairs += [(name, stack.name), (f"{name}, bytes", values.value(stack.size_bytes))]
            pairs += [(f"{name}, SHA-256", tag("code", stack.sha256))]
    return [*pairs, ("plan", run.plan.name), ("plan, SHA-256", tag("code", run.run.plan)), ("seed", str(run.plan.seed))]


def _times(run: RunPage) -> Table:
    rows = []
    for stage in run.stages:
        manifest = stage.manifest
        began = f"{manifest.started.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if manifest else None
        peak = manifest.peak_memory_bytes / 2**20 if manifest else None
        seconds = stage.result.seconds if stage.result else None
        rows.append((stage.name, stage.status, seconds, peak, began))
    header = ("stage", "status", "seconds", "peak memory / MiB", "started (UTC)")
    return Table(caption="", header=header, rows=tuple(rows))


def _stage(manifest: Manifest) -> Html:
    pairs: list[tuple[str, object]] = [("artifact", tag("code", f"artifacts/{manifest.stage}/{manifest.key}"))]
    return join([_pairs(pairs), *(_method(used) for used in manifest.use), _files(manifest)])


def _method(used: UsedMethod) -> Html:
    pairs: list[tuple[str, object]] = [(name, _plain(value)) for name, value in used.params.items()]
    return join(
        [
            tag("h4", f"{used.family}: {used.method}"),
            _pairs([*pairs, ("code", tag("code", used.code))]),
        ]
    )


def _plain(value: object) -> str:
    """Return a parameter exactly as it went in: no rounding."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _files(manifest: Manifest) -> Html:
    rows = (
        tag(
            "tr",
            tag("th", file.name, scope="row"),
            tag("td", values.value(file.size_bytes), class_="number"),
            tag("td", tag("code", file.sha256)),
        )
        for file in manifest.files
    )
    names = (("file", None), ("bytes", "number"), ("SHA-256", None))
    head = tag("tr", *(tag("th", name, scope="col", class_=kind) for name, kind in names))
    return tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="scroller")


def _machines(run: RunPage) -> Html:
    """Return each machine and set of versions once, with the stages that ran there."""
    groups: dict[str, list[str]] = {}
    for manifest in _manifests(run):
        told = json.dumps({**manifest.host, **_named(manifest.versions)})
        groups.setdefault(told, []).append(manifest.stage)
    tables = [
        join([tag("h4", ", ".join(names)), _pairs((name, _plain(value)) for name, value in json.loads(told).items())])
        for told, names in groups.items()
    ]
    return join(tables) if tables else tag("p", "Nothing has run yet.")


def _named(versions: Mapping[str, str]) -> dict[str, str]:
    return {f"{name}, version": version for name, version in versions.items()}
