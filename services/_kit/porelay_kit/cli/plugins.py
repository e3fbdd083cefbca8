"""`porelay plugins`: families, methods, what they do and their parameters."""

from typing import Any

import click

from porelay_kit import plugins as registry
from porelay_kit.cli import json_option, print_json
from porelay_kit.plugins import Method
from porelay_schemas.errors import UnknownMethod, nearest
from porelay_schemas.route import FAMILIES


def families(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a family."""
    return [name for name in FAMILIES if name.startswith(incomplete)]


@click.command()
@click.argument("family", required=False, shell_complete=families)
@click.argument("name", required=False)
@json_option
def plugins(family: str | None, name: str | None, as_json: bool) -> None:
    """List the methods of FAMILY (or of all), or the parameters of its method NAME."""
    chosen = {key: registry.methods(key) for key in ([family] if family else FAMILIES)}
    if family and name:
        if name not in chosen[family]:
            raise UnknownMethod(f"{family}: no method is called {name!r}. {nearest(name, chosen[family])}")
        chosen = {family: {name: chosen[family][name]}}
    if as_json:
        print_json({key: {m.name: _document(m) for m in found.values()} for key, found in chosen.items()})
        return
    for key, found in chosen.items():
        click.echo(f"{key}  (stage {FAMILIES[key]})")
        for method in found.values():
            _print(method, parameters=bool(family))


def _document(method: Method) -> dict[str, Any]:
    return {"about": method.about, "from": method.entry.value, "parameters": method.params.model_json_schema()}


def _print(method: Method, *, parameters: bool) -> None:
    try:
        click.echo(f"  {method.name:<22} {method.about}")
        if parameters:
            _print_parameters(method)
    except UnknownMethod as error:
        click.echo(f"  {method.name:<22} BROKEN: {error}")


def _print_parameters(method: Method) -> None:
    for name, field in method.params.model_fields.items():
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        bounds = ", ".join(filter(None, map(_bound, field.metadata)))
        click.echo(f"      {name} = {default}")
        click.echo(f"          {field.description or ''}" + (f"  [{bounds}]" if bounds else ""))


def _bound(rule: object) -> str:
    words = {
        "ge": "at least {}",
        "gt": "above {}",
        "le": "at most {}",
        "lt": "below {}",
        "min_length": "at least {} entries",
        "max_length": "at most {} entries",
    }
    found = ((text, getattr(rule, name, None)) for name, text in words.items())
    return ", ".join(text.format(limit) for text, limit in found if limit is not None)
