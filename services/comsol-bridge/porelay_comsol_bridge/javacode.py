"""Write a recipe as a Java program for `comsol compile` and `comsol batch`."""

from collections.abc import Iterator

from porelay_comsol_bridge.java_frame import JAVA_FRAME
from porelay_comsol_bridge.recipe import Beside, Call, Imported, MeshCheck, Part, Recipe, Step, Value
from porelay_schemas.errors import BadInput

CLASS = "BuildElectrode"


def java_script(recipe: Recipe) -> str:
    """Return the source of class `BuildElectrode`."""
    parts = "\n".join(_method(number, part) for number, part in enumerate(recipe.parts, 1))
    return JAVA_FRAME.replace("    // PARTS\n", _order(recipe)).replace("  // METHODS\n", parts)


def _order(recipe: Recipe) -> str:
    """Return the statements that call the parts; what solves comes last and can be left out."""
    building = [n for n, part in enumerate(recipe.parts, 1) if not part.solves]
    solving = [n for n, part in enumerate(recipe.parts, 1) if part.solves]
    if building and solving and max(building) > min(solving):
        raise BadInput("COMSOL recipe: a part that builds follows one that solves. Put the solving parts last.")
    lines = [f"    part{n}(model);" for n in building]
    if solving:
        lines += ["    if (!SOLVE) {", "      return model;", "    }", *(f"    part{n}(model);" for n in solving)]
    return "\n".join(lines) + "\n"


def _method(number: int, part: Part) -> str:
    body = "\n".join(f"    {line}" for step in part.steps for line in _lines(step))
    return (
        f"  /** {_comment(part.title)} */\n  static void part{number}(Model model) throws Exception {{\n"
        f"    say({literal(part.title)});\n{body}\n  }}\n"
    )


def _comment(text: str) -> str:
    return text.replace("*/", "* /").encode("ascii", "replace").decode().replace("\\", "/")


def _lines(step: Step) -> Iterator[str]:
    if isinstance(step, MeshCheck):
        label = literal(step.label)
        yield f"checkMesh(model, {label}, {step.tetrahedra}L, {step.volume_um3!r});"
    else:
        yield f"model.{java_chain(step)};"


def java_chain(call: Call) -> str:
    """Return the call as Java, without the model it starts from."""
    return ".".join(f"{name}({', '.join(_argument(value) for value in args)})" for name, args in call.chain)


def _argument(value: Value) -> str:
    if isinstance(value, tuple):
        return _array(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Imported):
        return f"imported(model, {literal(value.label)})"
    if isinstance(value, Beside):
        return f"beside({literal(value.name)})"
    return literal(value) if isinstance(value, str) else repr(value)


def _array(values: tuple[Value, ...]) -> str:
    if values and isinstance(values[0], tuple):
        rows = ", ".join("{" + ", ".join(_argument(v) for v in row) + "}" for row in values if isinstance(row, tuple))
        return f"new String[][]{{{rows}}}"
    kind = "int" if values and all(type(value) is int for value in values) else "String"
    return f"new {kind}[]{{{', '.join(_argument(value) for value in values)}}}"


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def literal(text: str) -> str:
    """Return a Java string literal in plain ASCII."""
    return '"' + "".join(_ESCAPES.get(sign) or _plain(sign) for sign in text) + '"'


def _plain(sign: str) -> str:
    if " " <= sign <= "~":
        return sign
    units = sign.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
