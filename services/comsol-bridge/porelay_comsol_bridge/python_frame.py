"""What surrounds the calls in `build_electrode.py`."""

PYTHON_FRAME = r'''"""Builds the COMSOL model of a meshed electrode, as BuildElectrode.java does.

Written by Porelay.

    pip install mph
    python build_electrode.py [--build-only] [--cores N]

Needs COMSOL 6.1 or later on this machine. Writes electrode.mph and the results beside this file.
"""

import argparse
from pathlib import Path

import mph
import numpy as np
from jpype import JArray, JDouble, JInt, JString

FOLDER = Path(__file__).resolve().parent
VOLUME_TOLERANCE = 1e-6


def say(text):
    print("porelay:", text, flush=True)


def beside(name):
    return str(FOLDER / name)


def imported(model, label):
    """Find the tag of a selection that came with the mesh, by its label."""
    selections = model.component("comp1").selection()
    labels = {str(model.component("comp1").selection(tag).label()): str(tag) for tag in selections.tags()}
    if label not in labels:
        raise RuntimeError(
            f"porelay: the import of electrode.mphtxt has made no selection {label!r}. There are: {sorted(labels)}. "
            "Look at the Import node: 'Import selections' must be on."
        )
    return labels[label]


def check_mesh(model, label, tetrahedra, volume):
    """Recompute tetrahedra and volume of a domain selection and compare them with what was meshed."""
    mesh = model.component("comp1").mesh("mesh1")
    domains = np.array(model.component("comp1").selection(imported(model, label)).entities(JInt(3)))
    mine = np.isin(np.array(mesh.getElemEntity("tet")), domains)
    corners = np.array(mesh.getElem("tet"))[:, mine]
    a, b, c, d = np.array(mesh.getVertex()).T[corners]
    found = float(np.abs(np.einsum("ij,ij->i", b - a, np.cross(c - a, d - a))).sum() / 6)
    say(f"{label}: {mine.sum()} tetrahedra, {found} um^3")
    if mine.sum() != tetrahedra or abs(found - volume) > VOLUME_TOLERANCE * volume:
        raise RuntimeError(
            f"porelay: the mesh was not imported as it was written: selection {label!r} has {mine.sum()} tetrahedra "
            f"and {found} um^3, wanted {tetrahedra} and {volume}. Do not trust this model."
        )


# FUNCTIONS

PARTS = ()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-only", action="store_true", help="build the model, do not solve it")
    parser.add_argument("--cores", type=int, help="processor cores for COMSOL (default: all)")
    args = parser.parse_args()
    client = mph.start(cores=args.cores)
    say(f"COMSOL {client.version}")
    model = client.create("electrode")
    for title, part, solves in PARTS:
        if not (solves and args.build_only):
            say(title)
            part(model.java)
    model.save(beside("electrode.mph"))
    client.remove(model)
    say("done")


if __name__ == "__main__":
    main()
'''
