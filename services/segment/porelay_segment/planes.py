"""Separate images across y and x: what the page shows of them, and whether they agree with the stack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from porelay_kit import figures
from porelay_kit.bench import Bench
from porelay_kit.volumes import Volume
from porelay_schemas.plan import Phase
from porelay_schemas.planes import PlaneAxis, words
from porelay_schemas.section import Block, Figure, Table, Text
from porelay_schemas.segmenters import Model
from porelay_segment.tally import Tally

MOST_APART = 0.05


@dataclass(frozen=True)
class Segmented:
    """A volume, its labels, and what the segmenter learned from it."""

    volume: Volume
    labels: Volume
    model: Model
    tally: Tally


def blocks(
    bench: Bench, main: Segmented, planes: Mapping[PlaneAxis, Segmented], phases: Sequence[Phase]
) -> list[Block]:
    """Return pictures of the planes and the numbers of all images side by side; nothing where there are no planes."""
    if not planes:
        return []
    drawn: list[Block] = [_picture(bench, axis, plane, phases) for axis, plane in planes.items()]
    images = {"stack, across z": main} | {f"plane {axis}": plane for axis, plane in planes.items()}
    return [*drawn, *_fractions(images, phases), *_thresholds(images)]


def _picture(bench: Bench, axis: PlaneAxis, plane: Segmented, phases: Sequence[Phase]) -> Figure:
    panels = [figures.plane_panel("phases", plane.labels, axis, phases)]
    if plane.volume.kind == "grey":
        panels.insert(0, figures.plane_panel("grey levels", plane.volume, axis))
    figures.panels_png(bench.path(f"plane_{axis}.png"), panels, voxel_um=plane.volume.voxel_um[1:])
    return Figure(file=f"plane_{axis}.png", caption=f"{words(axis).capitalize()}: middle slice", wide=True)


def _fractions(images: Mapping[str, Segmented], phases: Sequence[Phase]) -> list[Block]:
    found = np.stack([image.tally.fractions for image in images.values()], axis=1)
    rows = tuple((phase.name, *row) for phase, row in zip(phases, found.tolist(), strict=True))
    table = Table(caption="Fractions, image by image", header=("phase", *images), rows=rows)
    apart = np.ptp(found, axis=1)
    worst = int(apart.argmax())
    if apart[worst] <= MOST_APART:
        return [table]
    text = (
        f"The fraction of {phases[worst].name.replace('_', ' ')} differs by {100 * apart[worst]:.1f} points between "
        "the images. Cuts through one material have the same fractions on average, however they lie: check the "
        "thresholds, that each image is large enough, and that all show the same layer."
    )
    return [table, Text(text=text, tone="warning")]


def _thresholds(images: Mapping[str, Segmented]) -> list[Block]:
    levels = [image.model.thresholds for image in images.values()]
    if not levels[0]:
        return []
    rows = tuple((f"threshold {number}", *row) for number, row in enumerate(zip(*levels, strict=True), 1))
    caption = "Grey levels that part the phases: each image has its own, from its own histogram"
    return [Table(caption=caption, header=("", *images), rows=rows)]
