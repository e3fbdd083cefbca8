"""The sampler's page of the report, and the list of its samples."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_kit import figures
from porelay_kit.bench import Bench
from porelay_kit.volumes import Volume
from porelay_nets.card import Card
from porelay_sampler.methods.slicegan import SliceganParams
from porelay_schemas.section import Block, Cell, Figure, Gallery, Section, Table, Text

MOST_PICTURES = 4
MOST_ROWS = 12

Counts = Sequence[NDArray[np.int64]]


def samples(volumes: Sequence[Volume], counts: Counts, params: SliceganParams, card: Card) -> list[dict[str, Any]]:
    """Return what each volume is: its name, where its numbers come from, and what it holds."""
    return [
        {
            "name": volume.ref.name,
            "seed": params.seed,
            "sample": index,
            "shape": list(volume.shape),
            "voxel_um": list(volume.voxel_um),
            "periodic": list(params.periodic),
            **_holds(count, card),
        }
        for index, (volume, count) in enumerate(zip(volumes, counts, strict=True))
    ]


def _holds(count: NDArray[np.int64], card: Card) -> dict[str, Any]:
    if card.phases:
        return {"fractions": dict(zip([phase.name for phase in card.phases], _fractions(count, card), strict=True))}
    mean, deviation = _grey(count)
    return {"grey_mean": mean, "grey_deviation": deviation}


def _fractions(count: NDArray[np.int64], card: Card) -> list[float]:
    return [float(part) for part in count[: len(card.phases)] / count.sum()]


def _grey(count: NDArray[np.int64]) -> tuple[float, float]:
    levels = np.arange(256)
    mean = float((count * levels).sum() / count.sum())
    return mean, float(np.sqrt((count * (levels - mean) ** 2).sum() / count.sum()))


def section(bench: Bench, volumes: Sequence[Volume], counts: Counts, params: SliceganParams, card: Card) -> Section:
    """Draw the pictures into the artifact and return the page."""
    z, y, x = params.shape
    along = [axis for axis, wanted in zip("zyx", params.periodic, strict=True) if wanted]
    manner = f"exactly periodic along {', '.join(along)}" if along else "not periodic"
    blocks: list[Block] = [
        _gallery(bench, volumes, card),
        _phases(volumes, counts, card) if card.phases else _greys(volumes, counts),
    ]
    if card.data.warnings:
        blocks.append(Text(text=f"The training warned of: {' '.join(card.data.warnings)}", tone="warning"))
    blocks.append(_card(card))
    return Section(
        title="Generated volumes",
        headline=f"{params.samples} of {z} × {y} × {x} voxels (z, y, x), {manner}, seed {params.seed}.",
        blocks=tuple(blocks),
    )


def _gallery(bench: Bench, volumes: Sequence[Volume], card: Card) -> Block:
    pictures = []
    for volume in volumes[:MOST_PICTURES]:
        name = volume.ref.name.removesuffix(".zarr")
        window = None if card.phases else (0.0, 255.0)
        path = bench.path(f"{name}.png")
        figures.ortho_png(path, volume, voxel_um=volume.voxel_um, phases=card.phases or None, window=window)
        pictures.append(Figure(file=f"{name}.png", caption=f"{name}: middle slices"))
        if card.phases and min(volume.shape) > 1:
            solid = f"{name}_phases.png"
            figures.phases_png(bench.path(solid), volume, phases=card.phases, voxel_um=volume.voxel_um)
            pictures.append(Figure(file=solid, caption=f"{name}: all phases"))
    return Gallery(figures=tuple(pictures))


def _phases(volumes: Sequence[Volume], counts: Counts, card: Card) -> Block:
    rows: list[tuple[Cell, ...]] = [("training data", *card.data.fractions.values())]
    for volume, count in list(zip(volumes, counts, strict=True))[:MOST_ROWS]:
        rows.append((volume.ref.name.removesuffix(".zarr"), *_fractions(count, card)))
    if len(volumes) > 1:
        rows.append(
            (f"mean of {len(volumes)}", *np.mean([_fractions(count, card) for count in counts], axis=0).tolist())
        )
    return Table(
        caption="Volume fractions", header=("volume", *(phase.name for phase in card.phases)), rows=tuple(rows)
    )


def _greys(volumes: Sequence[Volume], counts: Counts) -> Block:
    rows = [(volume.ref.name, *_grey(count)) for volume, count in list(zip(volumes, counts, strict=True))[:MOST_ROWS]]
    return Table(caption="Grey levels, 0 to 255", header=("volume", "mean", "standard deviation"), rows=tuple(rows))


def _card(card: Card) -> Block:
    architecture, training = card.architecture, card.training
    rows: tuple[tuple[Cell, ...], ...] = (
        ("method", training.method),
        ("generator widths", " ".join(map(str, architecture.generator_widths))),
        ("voxels a latent node", architecture.factor),
        ("patch edge / voxels", architecture.patch_edge),
        ("generator steps", training.steps),
        ("ended by", training.stopped_by),
        ("training seed", training.seed),
        *((f"quality: {name.replace('_', ' ')}", value) for name, value in training.quality.items()),
        ("training data, SHA-256", card.data.sha256),
        ("weights, SHA-256", card.weights_sha256),
        *((f"version: {name}", version) for name, version in card.versions.items()),
    )
    return Table(caption="Card of the generator", header=("what", "value"), rows=rows)
