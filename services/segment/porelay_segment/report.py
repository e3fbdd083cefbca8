"""The stage's page of the report: pictures, fractions, agreement with the truth, and what cannot be resolved."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porelay_kit import figures
from porelay_kit.bench import Bench
from porelay_kit.plugins import Bound
from porelay_kit.volumes import Volume
from porelay_schemas.base import VoxelUm
from porelay_schemas.plan import Phase
from porelay_schemas.section import Block, Cell, Figure, Gallery, Section, Table, Text
from porelay_schemas.segmenters import Model
from porelay_segment import boxes, histogram
from porelay_segment.tally import Tally

RIND = (
    "What a threshold cannot resolve: where a bright phase meets a dark one, the blurred edge passes through the grey "
    "levels of the phases between ({between}) and is labelled as a thin rind of them. On a synthetic electrode free of "
    "noise this alone raised the surface of the binder by 78 % and its volume by 3 points. Expect surface, "
    "connectivity and volume of {between} to come out too large; only a segmenter that looks at the "
    "neighbourhood does better."
)
MOST_SHOWN = 150
SLAB_BYTES = 2**23


@dataclass(frozen=True)
class Page:
    """What the page is made from."""

    bench: Bench
    bound: Bound
    model: Model
    volume: Volume
    labels: Volume
    phases: Sequence[Phase]
    tally: Tally
    has_truth: bool

    def section(self) -> Section:
        """Return the page, drawing its pictures on the way."""
        blocks: list[Block] = [
            self._pictures(),
            *self._solid(),
            self._fractions(),
            *self._histogram(),
            *self._agreement(),
            *self._words(),
        ]
        return Section(title="Segmentation", headline=self._headline(), blocks=tuple(blocks))

    def _headline(self) -> str:
        parts = [
            f"{phase.name.replace('_', ' ')} {fraction:.1%}"
            for phase, fraction in zip(self.phases, self.tally.fractions, strict=True)
        ]
        text = f"{self.bound.name}: " + ", ".join(parts) + "."
        if self.has_truth:
            dice = [f"{name.replace('_', ' ')} {value:.3f}" for name, value in self.tally.dice(self.phases).items()]
            text += " Dice against the truth: " + ", ".join(dice) + "."
        return text

    def _pictures(self) -> Gallery:
        edges = self.volume.voxel_um
        drawn = []
        if self.volume.kind == "grey":
            figures.ortho_png(self.bench.path("grey.png"), self.volume, voxel_um=edges)
            figures.ortho_png(
                self.bench.path("overlay.png"), self.volume, voxel_um=edges, phases=self.phases, overlay=self.labels
            )
            drawn = [
                Figure(file="grey.png", caption="Grey levels"),
                Figure(file="overlay.png", caption="Grey levels, tinted by phase"),
            ]
        figures.ortho_png(self.bench.path("labels.png"), self.labels, voxel_um=edges, phases=self.phases)
        return Gallery(figures=(*drawn, Figure(file="labels.png", caption="Phases")))

    def _solid(self) -> list[Block]:
        """Draw the labels in 3D: the whole box, then each phase alone. A single image has nothing to show in 3D."""
        if self.labels.shape[0] == 1:
            return []
        views: list[tuple[str, list[int] | None, str]] = [("phases.png", None, "All phases")]
        for label, phase in enumerate(self.phases):
            if self.tally.fractions[label] > 0:
                views.append((f"phase_{phase.name}.png", [label], f"{phase.name.replace('_', ' ')} alone"))
        thin, edges = thinned(self.labels)
        for file, shown, _ in views:
            figures.phases_png(self.bench.path(file), thin, phases=self.phases, voxel_um=edges, shown=shown)
        return [Gallery(figures=tuple(Figure(file=file, caption=caption) for file, _, caption in views))]

    def _fractions(self) -> Table:
        header = ["phase", "volume fraction"]
        columns: list[Sequence[Cell]] = [[phase.name for phase in self.phases], self.tally.fractions.tolist()]
        if self.has_truth:
            error = self.tally.fractions - self.tally.true_fractions
            header += ["of the truth", "difference, points"]
            columns += [self.tally.true_fractions.tolist(), (100 * error).tolist()]
        if self.model.classes:
            header += ["mean grey level", "deviation"]
            columns += [[c.mean for c in self.model.classes], [c.sigma for c in self.model.classes]]
        return Table(caption="Phases", header=tuple(header), rows=tuple(zip(*columns, strict=True)))

    def _histogram(self) -> list[Block]:
        if self.volume.kind != "grey":
            return []
        found = histogram.counted(lambda: boxes.pieces(self.volume), "report")
        share = found.counts / found.counts.sum() / np.diff(found.edges)
        lines = [figures.Curve("all voxels", found.centres, share, colour="#aaaaaa")]
        colours = {phase.name: phase.colour for phase in self.phases}
        for each in self.model.classes:
            bell = each.share * _normal(found.centres, each.mean, max(each.sigma, 1e-9))
            lines.append(figures.Curve(each.phase, found.centres, bell, colour=colours[each.phase]))
        for number, level in enumerate(self.model.thresholds):
            top = np.array([0.0, float(share.max())])
            label = "threshold" if number == 0 else f"threshold {number + 1}"
            lines.append(
                figures.Curve(f"{label}, {level:.4g}", np.array([level, level]), top, style="--", colour="#555555")
            )
        figures.curves_svg(
            self.bench.path("histogram.svg"), lines, xlabel="grey level", ylabel="share of voxels per grey level"
        )
        return [Figure(file="histogram.svg", caption="Grey levels, and the phases as the method sees them", wide=True)]

    def _agreement(self) -> list[Block]:
        if not self.has_truth:
            return []
        dice = self.tally.dice(self.phases)
        rows: list[tuple[Cell, ...]] = [(phase.name, dice.get(phase.name)) for phase in self.phases]
        names = [phase.name for phase in self.phases]
        shares = self.tally.together / np.maximum(self.tally.together.sum(axis=1, keepdims=True), 1)
        confusion: list[tuple[Cell, ...]] = [(name, *row) for name, row in zip(names, shares.tolist(), strict=True)]
        return [
            Table(
                caption="Dice coefficient against the truth (1 is perfect)", header=("phase", "Dice"), rows=tuple(rows)
            ),
            Table(
                caption="Where the voxels of each true phase went (share of the row)",
                header=("truth", *(f"labelled {name}" for name in names)),
                rows=tuple(confusion),
            ),
            Text(text=f"{self.tally.accuracy:.2%} of all voxels agree with the truth."),
        ]

    def _words(self) -> list[Block]:
        words: list[Block] = [Text(text=note) for note in self.model.notes]
        if self.model.ambiguous is not None:
            share = f"{self.model.ambiguous:.1%} of the voxels are close calls: {self.model.ambiguous_means}."
            words.append(Text(text=share))
        empty = [phase.name for phase, f in zip(self.phases, self.tally.fractions, strict=True) if f == 0]
        if empty:
            text = f"No voxel is {' or '.join(empty)}. Take it out of the plan's phases, or use another method."
            words.append(Text(text=text, tone="warning"))
        if self.model.by_grey_level and len(self.phases) >= 3:
            words.append(Text(text=RIND.format(between=" and ".join(self._between())), tone="note"))
        return words

    def _between(self) -> list[str]:
        """Return the phases that are neither the darkest nor the brightest."""
        by_mean = sorted(self.model.classes, key=lambda each: each.mean)
        return [each.phase for each in by_mean[1:-1]] or [phase.name for phase in self.phases[1:-1]]


def thinned(labels: Volume) -> tuple[NDArray[np.uint8], VoxelUm]:
    """Return at most 150 voxels along each axis, nearest to the centres of equal parts, and their edges.

    Read once for all pictures, a few slices at a time.
    """
    counts = [min(size, MOST_SHOWN) for size in labels.shape]
    z, y, x = (
        ((np.arange(count) + 0.5) * size / count).astype(np.intp)
        for count, size in zip(counts, labels.shape, strict=True)
    )
    depth = max(1, SLAB_BYTES // (labels.shape[1] * labels.shape[2]))
    parts = []
    for start in range(0, labels.shape[0], depth):
        inside = z[(z >= start) & (z < start + depth)] - start
        if inside.size:
            parts.append(labels[start : start + depth][np.ix_(inside, y, x)])
    dz, dy, dx = (edge * size / count for edge, size, count in zip(labels.voxel_um, labels.shape, counts, strict=True))
    return np.concatenate(parts), (dz, dy, dx)


def _normal(grey: NDArray[np.float64], mean: float, sigma: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * np.square((grey - mean) / sigma)) / (sigma * np.sqrt(2 * np.pi)))
