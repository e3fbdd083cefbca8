"""The trainer's page of the report."""

from typing import TYPE_CHECKING

import numpy as np

from porelay_kit import figures
from porelay_kit.bench import Bench
from porelay_nets.card import Axis, Card
from porelay_schemas.section import Block, Cell, Checks, Figure, Gallery, Section, Table, Text
from porelay_slicegan_trainer.documents import class_names
from porelay_slicegan_trainer.methods.slicegan import SliceganParams

if TYPE_CHECKING:
    from porelay_slicegan_trainer.learner import Learner, Trained

MOST_PICTURES = 6
ENDINGS = {
    "budget": "the budget of steps was spent",
    "converged": "samples had become as like the training data as those are known",
    "command": "it was told to end",
}


def section(bench: Bench, learner: "Learner", trained: "Trained", card: Card) -> Section:
    """Draw the pictures into the artifact and return the page."""
    found = card.training.quality
    blocks: list[Block] = [
        Text(text=effort(learner.params, learner.step), tone="note"),
        Checks(caption="The training data", checks=learner.judge.survey),
        _pictures(bench, learner, trained, card),
        _curves(bench, learner),
        _descriptors(bench, learner, trained, card),
        _quality(found),
        _parameters(learner.params),
        _facts(card),
    ]
    return Section(
        title="Generator",
        headline=(
            f"S2 of fresh samples is off by {found['s2_error']:.4f} (noise would be by {found['s2_of_noise']:.4f}), "
            f"volume fractions by at most {found['fraction_error']:.3f}. Training ended after {card.training.steps} "
            f"steps: {ENDINGS[card.training.stopped_by]}."
        ),
        blocks=tuple(blocks),
    )


def effort(params: SliceganParams, steps: int) -> str:
    """Say how far a training went, measured by the method's own full schedule."""
    full = SliceganParams()
    share = steps * params.batch / (full.steps * full.batch)
    patch = f"patch {params.patch_edge}, widths {' '.join(map(str, params.generator_widths))}"
    if share >= 0.5 and params.generator_widths >= full.generator_widths:
        return f"Trained {steps:,} generator steps of {params.batch} volumes ({patch})."
    return (
        f"A short training: {steps:,} generator steps of {params.batch} volumes, {100 * share:.2g} % of the volumes of "
        f"the full schedule ({full.steps:,} steps of {full.batch}), with a network of {patch} "
        f"(full: patch {full.patch_edge}, widths {' '.join(map(str, full.generator_widths))}). "
        "It shows the way; it is not of a quality to publish."
    )


def _pictures(bench: Bench, learner: "Learner", trained: "Trained", card: Card) -> Block:
    phases = card.phases or None
    steps = sorted(learner.pictures)
    spread = np.unique(np.linspace(0, len(steps) - 1, MOST_PICTURES).astype(int)) if steps else ()
    chosen = [steps[index] for index in spread]
    window = None if phases else (0.0, 255.0)
    panels = [figures.Panel(f"step {step}", learner.pictures[step], phases, window=window) for step in chosen]
    panels.append(figures.Panel(f"exported (step {trained.step})", trained.verdict.picture, phases, window=window))
    stacks, edge = learner.judge.images.stacks, 2 * learner.params.patch_edge
    for axis in _compared(learner, card):
        image = stacks[axis][len(stacks[axis]) // 2][:edge, :edge]
        panels.append(figures.Panel(f"data across {axis}", image, phases))
    figures.panels_png(bench.path("slices.png"), panels, voxel_um=card.voxel_um[1:], columns=4)
    return Figure(file="slices.png", caption="Slices of a sample while training, and of the training data", wide=True)


def _compared(learner: "Learner", card: Card) -> tuple[Axis, ...]:
    """Return the axes whose images are shown: all that differ, where their pixels have the proportions of the rest."""
    cubes = len(set(card.voxel_um)) == 1
    directions = learner.judge.images.directions
    return directions if cubes and learner.params.mode == "anisotropic" else directions[:1]


def _curves(bench: Bench, learner: "Learner") -> Block:
    steps = np.arange(1, learner.step + 1)
    curves = learner.curves
    figures.curves_svg(
        bench.path("wasserstein.svg"),
        [figures.Curve("Wasserstein estimate", steps, curves["wasserstein"])],
        xlabel="generator step",
        ylabel="critic, real minus generated",
    )
    figures.curves_svg(
        bench.path("penalty.svg"),
        [figures.Curve("gradient penalty", steps, curves["penalty"])],
        xlabel="generator step",
        ylabel="(|gradient| − 1)²",
        logy=True,
    )
    shown = [
        Figure(file="wasserstein.svg", caption="How well the critic tells real slices from generated ones"),
        Figure(file="penalty.svg", caption="How far the critic's slope is from 1"),
    ]
    if learner.comparisons:
        shown += [_errors(bench, learner, name, label) for name, label in ERRORS.items()]
    return Gallery(figures=tuple(shown))


ERRORS = {"s2_error": "S2, mean absolute error", "fraction_error": "volume fraction, largest error"}


def _errors(bench: Bench, learner: "Learner", name: str, label: str) -> Figure:
    judge = learner.judge
    known = learner.comparisons
    lines = [(judge.tolerance.s2 if name == "s2_error" else judge.tolerance.fraction, "tolerance")]
    if name == "s2_error":
        lines.append((judge.noise_s2, "noise"))
    curve = figures.Curve("samples", [one["step"] for one in known], [one[name] for one in known], style="o-")
    path = bench.path(f"{name}.svg")
    figures.curves_svg(path, [curve], xlabel="generator step", ylabel=label, logy=True, hlines=lines)
    return Figure(file=f"{name}.svg", caption=f"{label}; tolerance: how well the training data themselves are known")


def _descriptors(bench: Bench, learner: "Learner", trained: "Trained", card: Card) -> Block:
    reference, found = learner.judge.reference, trained.verdict.found
    lags = np.arange(reference.s2.shape[2]) * card.voxel_um[2]
    curves = []
    for index, name in enumerate(class_names(card.phases, len(reference.fractions))):
        colour = card.phases[index].colour if card.phases else figures.PALETTE[index % len(figures.PALETTE)]
        for descriptors, whose, style in ((reference, "data", "-"), (found, "samples", "--")):
            y = np.nanmean(descriptors.s2[:, index], axis=0)
            curves.append(figures.Curve(f"{name}, {whose}", lags, y, style=style, colour=colour))
    figures.curves_svg(bench.path("s2.svg"), curves, xlabel="distance / µm", ylabel="S₂, mean of the axes")
    return Figure(file="s2.svg", caption="Two-point correlation of the training data and of fresh samples", wide=True)


def _quality(found: dict[str, float]) -> Block:
    return Table(
        caption="Fresh samples against the training data. Tolerance: the standard error of the data's own descriptors",
        header=("descriptor", "error", "tolerance", "uncorrelated noise"),
        rows=(
            ("S2, mean absolute error", found["s2_error"], found["s2_tolerance"], found["s2_of_noise"]),
            ("volume fraction, largest error", found["fraction_error"], found["fraction_tolerance"], None),
        ),
    )


def _parameters(params: SliceganParams) -> Block:
    fields = SliceganParams.model_fields.items()
    rows = [(name, _shown(getattr(params, name)), field.description or "") for name, field in fields]
    return Table(caption="Parameters", header=("parameter", "value", "meaning"), rows=tuple(rows))


def _shown(value: object) -> str | float | int:
    if isinstance(value, (int, float, str)):
        return value
    return ", ".join(str(part) for part in value) if isinstance(value, tuple) else str(value)


def _facts(card: Card) -> Block:
    training = card.training
    rows: tuple[tuple[Cell, ...], ...] = (
        ("ended", ENDINGS[training.stopped_by]),
        ("generator steps", training.steps),
        ("exported step", training.exported_step),
        ("seed", training.seed),
        ("threads (the weights' bytes depend on them)", training.threads),
        ("device", training.device),
        ("training data, SHA-256", card.data.sha256),
        ("weights, SHA-256", card.weights_sha256),
        *((name, version) for name, version in card.versions.items()),
    )
    return Table(caption="Provenance", header=("what", "value"), rows=rows)
