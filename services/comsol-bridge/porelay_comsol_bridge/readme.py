"""The README of a package, for who has COMSOL and not necessarily Porelay."""

from collections.abc import Iterable, Mapping

from porelay_comsol_bridge.recipe import Recipe

NOT_SIMULATED = "Nothing has been simulated: this package holds the model's inputs and scripts, and no solution."

UNVERIFIED = (
    "These scripts follow COMSOL's documentation and models that COMSOL 6.3 exported. They were compiled and run "
    "against a stand-in for COMSOL's interface, not against COMSOL itself. In particular: that versions after 6.2 "
    "read mesh objects of version 4 in .mphtxt, that imported selections keep the labels of the file, and that "
    "domains are not split further on import. The scripts check selections, tetrahedra and volumes after the import "
    "and stop where they differ."
)

_TEXT = """ELECTRODE MODEL PACKAGE, physics: {physics}
{rule}

{not_simulated}

Needs COMSOL 6.1 or later with: {products}.

BUILD AND SOLVE
  Unpack, and go to this folder on a command line. Either

    comsol compile BuildElectrode.java
    comsol batch -inputfile BuildElectrode.class -outputfile electrode.mph

  or, with Python and MPh (pip install mph):

    python build_electrode.py                 (--build-only leaves out the solution)

  Both make the same calls. COMSOL must be allowed to reach files: in COMSOL Desktop, Preferences, Security, "File
  system access: All files"; batch runs of the same user keep that.

IN COMSOL DESKTOP
  Set FOLDER in BuildElectrode.java to this folder (absolute) and SOLVE to false, compile it as above, then
  File > Open > BuildElectrode.class. Study > Compute solves it.

BY HAND
  Mesh > Import > COMSOL Multiphysics file > electrode.mphtxt, with "Import selections" on and boundary partitioning
  "Minimal"; set the geometry's length unit to um. Parameters > Load from file > effective_properties.txt.
  Functions > Interpolation > File > field_*.txt, data format "Grid", arguments in um.

FILES
{files}

RESULTS, WRITTEN BY THE SCRIPTS
{outcomes}

PARAMETERS
{parameters}

WORTH KNOWING
{notes}

UNVERIFIED
{unverified}
"""


def readme(recipe: Recipe, physics: str, purposes: Mapping[str, str]) -> str:
    """Return the text of README.txt."""
    title = f"ELECTRODE MODEL PACKAGE, physics: {physics}"
    parameters = [f"{p.name} = {p.expression}  {p.about} ({p.source})" for p in recipe.parameters]
    return _TEXT.format(
        physics=physics,
        rule="=" * len(title),
        not_simulated=NOT_SIMULATED,
        products=", ".join(recipe.products),
        files=_list(f"{name}: {text}" for name, text in purposes.items()),
        outcomes=_list(f"{outcome.file}: {outcome.about}" for outcome in recipe.outcomes),
        parameters=_list(parameters),
        notes=_list(recipe.notes or ("Nothing special.",)),
        unverified=_list((UNVERIFIED,)),
    )


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)
