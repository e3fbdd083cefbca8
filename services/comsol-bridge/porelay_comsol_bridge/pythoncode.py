"""Write a recipe as a Python program that drives COMSOL through MPh."""

from porelay_comsol_bridge.python_frame import PYTHON_FRAME
from porelay_comsol_bridge.recipe import Beside, Call, Imported, MeshCheck, Part, Recipe, Step, Value


def python_script(recipe: Recipe) -> str:
    """Return the source of `build_electrode.py`."""
    functions = "\n\n".join(_function(number, part) for number, part in enumerate(recipe.parts, 1))
    return PYTHON_FRAME.replace("# FUNCTIONS\n", functions).replace("PARTS = ()\n", _order(recipe))


def _order(recipe: Recipe) -> str:
    rows = [f"    ({part.title!r}, part{number}, {part.solves}),\n" for number, part in enumerate(recipe.parts, 1)]
    return "PARTS = (\n" + "".join(rows) + ")\n"


def _function(number: int, part: Part) -> str:
    body = "\n".join(f"    {_line(step)}" for step in part.steps)
    return f"def part{number}(model):\n{body}\n"


def _line(step: Step) -> str:
    if isinstance(step, MeshCheck):
        return f"check_mesh(model, {step.label!r}, {step.tetrahedra}, {step.volume_um3!r})"
    return f"model.{python_chain(step)}"


def python_chain(call: Call) -> str:
    """Return the call as Python, without the model it starts from."""
    return ".".join(f"{name}({', '.join(_argument(value) for value in args)})" for name, args in call.chain)


def _argument(value: Value) -> str:
    if isinstance(value, tuple):
        return _array(value)
    if isinstance(value, Imported):
        return f"imported(model, {value.label!r})"
    if isinstance(value, Beside):
        return f"beside({value.name!r})"
    if isinstance(value, bool | str):
        return ascii(value)
    # JPype cannot choose between COMSOL's overloads for int and double by itself.
    return f"JInt({value})" if isinstance(value, int) else f"JDouble({value!r})"


def _array(values: tuple[Value, ...]) -> str:
    if values and isinstance(values[0], tuple):
        rows = ", ".join("[" + ", ".join(_argument(v) for v in row) + "]" for row in values if isinstance(row, tuple))
        return f"JArray(JString, 2)([{rows}])"
    if values and all(type(value) is int for value in values):
        return f"JArray(JInt)({list(values)!r})"
    return f"JArray(JString)([{', '.join(_argument(value) for value in values)}])"
