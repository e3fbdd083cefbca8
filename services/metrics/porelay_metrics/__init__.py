"""Descriptors of microstructures, with units and definitions.

    from porelay_metrics import effective_diffusivity, surfaces, two_point

    found = effective_diffusivity(labels == 0, voxel_um=(0.05, 0.05, 0.05), axis=0)
    found.effective, found.error, found.tortuosity

Arrays are (z, y, x). What is imported from here is loaded when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from porelay_metrics.connected import percolating, reaches
    from porelay_metrics.correlation import two_point
    from porelay_metrics.diffusivity import Diffusivity, effective_conductivity, effective_diffusivity
    from porelay_metrics.notebook import chords, euler_number, surfaces, triple_phase_boundary

__all__ = [
    "Diffusivity",
    "chords",
    "effective_conductivity",
    "effective_diffusivity",
    "euler_number",
    "percolating",
    "reaches",
    "surfaces",
    "triple_phase_boundary",
    "two_point",
]

_HOMES = {
    "connected": ("percolating", "reaches"),
    "correlation": ("two_point",),
    "diffusivity": ("Diffusivity", "effective_conductivity", "effective_diffusivity"),
    "notebook": ("chords", "euler_number", "surfaces", "triple_phase_boundary"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
