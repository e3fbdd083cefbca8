"""Quality control: the plan's checks run on the sample, and each finding gets its picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from porelay_kit import figures
from porelay_kit.bench import Bench
from porelay_schemas.base import VoxelUm
from porelay_schemas.plan import MethodCall
from porelay_schemas.section import Check
from porelay_schemas.stacks import Counts, Curves, Finding, Picture, Sample

FAMILY = "check"


@dataclass(frozen=True)
class Checked:
    """A finding and the name of the check that found it."""

    name: str
    finding: Finding
    file: str | None

    def entry(self) -> Check:
        """Return the line of the report."""
        found = self.finding
        return Check(
            name=self.name.replace("_", " "),
            value=found.value,
            threshold=found.threshold,
            verdict=found.verdict,
            meaning=found.meaning,
            file=self.file,
        )

    def record(self) -> dict[str, Any]:
        """Return the entry of qc.json."""
        return self.entry().model_dump(mode="json") | {"check": self.name, "figures": dict(self.finding.figures)}


def run_checks(calls: tuple[MethodCall, ...], sample: Sample, bench: Bench, folder: str = "qc") -> list[Checked]:
    """Run checks in the order of the plan, with pictures in `folder`; those that do not apply are left out."""
    found = []
    for call in calls:
        finding: Finding | None = bench.bind(FAMILY, call)(sample)
        if finding is not None:
            drawn = _drawn(f"{folder}/{call.method}", finding.picture, sample.voxel_um, bench)
            found.append(Checked(call.method, finding, drawn))
    return found


def worst(checked: list[Checked]) -> Literal["ok", "warn", "fail"]:
    """Return the worst verdict; what could not be measured counts as ok."""
    verdicts = {each.finding.verdict for each in checked}
    return "fail" if "fail" in verdicts else "warn" if "warn" in verdicts else "ok"


def _drawn(name: str, picture: Picture | None, voxel_um: VoxelUm, bench: Bench) -> str | None:
    if picture is None:
        return None
    file = f"{name}.{'svg' if isinstance(picture, Curves | Counts) else 'png'}"
    draw(bench.path(file), picture, voxel_um)
    return file


def draw(path: Path, picture: Picture, voxel_um: VoxelUm) -> None:
    """Draw what a check described."""
    if isinstance(picture, Counts):
        figures.counts_svg(path, picture.centres, picture.counts, xlabel=picture.xlabel, vlines=dict(picture.marks))
    elif isinstance(picture, Curves):
        curves = [figures.Curve(line.label, line.x, line.y) for line in picture.lines]
        figures.curves_svg(path, curves, xlabel=picture.xlabel, ylabel=picture.ylabel, hlines=picture.limits)
    else:
        panels = [figures.Panel(title, image) for title, image in picture.images]
        figures.panels_png(path, panels, voxel_um=voxel_um[1:])
