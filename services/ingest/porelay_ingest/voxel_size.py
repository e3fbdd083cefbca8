"""The voxel size: what the file says against what the user says."""

from porelay_schemas.base import VoxelUm
from porelay_schemas.errors import BadInput
from porelay_schemas.stacks import StackFacts

TOLERANCE = 0.01
"""Sizes that differ by less are the same: files round theirs."""


def voxel_size(facts: StackFacts, asked: VoxelUm | None, name: str) -> tuple[VoxelUm, str]:
    """Return the voxel size (z, y, x) in micrometres and where it came from.

    Raises BadInput where file and user contradict each other, and where neither knows.
    """
    told = facts.voxel_um
    if asked is not None:
        _check(told, asked, facts.voxel_from, name)
        return asked, "--voxel-um" + (f"; {facts.voxel_from} agrees" if any(told) else "")
    z, y, x = told
    if facts.shape[0] == 1:
        z = z or y
    if z is None or y is None or x is None:
        raise _unknown(facts, name)
    return (z, y, x), facts.voxel_from


def _check(told: tuple[float | None, ...], asked: VoxelUm, source: str, name: str) -> None:
    for axis, mine, yours in zip("zyx", told, asked, strict=True):
        if mine is not None and abs(mine - yours) > TOLERANCE * mine:
            raise BadInput(
                f"{name}: conflicting voxel sizes (z, y, x): the file says {_words(told)} µm ({source}), "
                f"--voxel-um or the plan says {_words(asked)} µm; they differ along {axis}. "
                "Leave --voxel-um out to take the file's, or correct the file (in Fiji: Image > Properties)."
            )


def _unknown(facts: StackFacts, name: str) -> BadInput:
    found = (
        f"voxel size (z, y, x) is {_words(facts.voxel_um)} µm ({facts.voxel_from})"
        if any(facts.voxel_um)
        else "no voxel size"
    )
    told = " ".join(("", *facts.notes))
    y = facts.voxel_um[1]
    example = f"{y:g}" if y else "0.05"
    return BadInput(
        f"{name}: {found} in the file, wanted all three edge lengths of a voxel in micrometres.{told} "
        f"Give --voxel-um {example} for a cube, or --voxel-um 0.1,{example},{example} (z,y,x); "
        "for what lies in the inbox, `voxel_um` in the plan beside it."
    )


def _words(edges: tuple[float | None, ...]) -> str:
    return ", ".join("unknown" if edge is None else f"{edge:g}" for edge in edges)
