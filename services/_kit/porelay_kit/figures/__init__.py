"""The pictures of the report: slices, curves, bars, histograms, 3D views. One look, safe for the colour-blind.

Every function writes one file and returns None. Arrays go in, nothing of the kit is needed:

    from porelay_kit import figures

    figures.ortho_png(path, volume, voxel_um=(0.05, 0.05, 0.05), phases=phases)
    figures.panels_png(path, [figures.Panel("before", grey), figures.Panel("after", clean)], voxel_um=(0.05, 0.05))
    figures.curves_svg(path, [figures.Curve("real", r, s2)], xlabel="r / µm", ylabel="S₂")

Photographs and 3D views are PNG, curves are SVG with real text. The same input gives the same bytes. Safe to call
from several threads. Matplotlib is imported by the first call, not by importing this package. Labels are plain text
with Unicode ("µm⁻¹", "S₂"); "$" starts no formula.
"""

from porelay_kit.figures.bars import bars_svg
from porelay_kit.figures.curves import Curve, curves_svg
from porelay_kit.figures.cuts import plane_panel
from porelay_kit.figures.histograms import counts_svg, histogram_svg
from porelay_kit.figures.look import PALETTE
from porelay_kit.figures.ortho import ortho_png
from porelay_kit.figures.panels import Panel, panels_png
from porelay_kit.figures.surface import mesh_png
from porelay_kit.figures.voxels import phases_png

__all__ = [
    "PALETTE",
    "Curve",
    "Panel",
    "bars_svg",
    "counts_svg",
    "curves_svg",
    "histogram_svg",
    "mesh_png",
    "ortho_png",
    "panels_png",
    "phases_png",
    "plane_panel",
]
