"""Plugins: one file and one entry-point line each, found by name, loaded when used.

Families and the stages that own them stand in `porelay_schemas.route`. A method is a function; its parameters are
read from the annotation of its argument `params`.
"""

import hashlib
import importlib.util
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from porelay_schemas.base import Params
from porelay_schemas.errors import BadInput, UnknownMethod, nearest
from porelay_schemas.plan import MethodCall
from porelay_schemas.route import FAMILIES, STAGES, group


@dataclass(frozen=True)
class Bound:
    """A method and its validated parameters; calling it passes them on."""

    family: str
    name: str
    function: Callable[..., Any]
    params: Params

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method with its parameters."""
        return self.function(*args, params=self.params, **kwargs)


@dataclass(frozen=True)
class Method:
    """A plugin as it is listed: nothing of it is imported until it is asked for."""

    family: str
    entry: EntryPoint

    @property
    def name(self) -> str:
        """The name that plans use."""
        return self.entry.name

    def load(self) -> Callable[..., Any]:
        """Import and return the function; raise UnknownMethod where the entry point is broken."""
        try:
            loaded: Callable[..., Any] = self.entry.load()
        except (ImportError, AttributeError) as error:
            raise UnknownMethod(
                f"{self.family} {self.name!r}: cannot load {self.entry.value!r} ({error}). "
                "Reinstall the package that provides it, or correct its entry point."
            ) from error
        return loaded

    @property
    def about(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.load()) or "").partition("\n")[0]

    @property
    def params(self) -> type[Params]:
        """The model of its parameters."""
        return params_of(self.load())

    @property
    def code(self) -> str:
        """Distribution, version and digest of the sources that the method comes with, and of libraries of ours."""
        name, packages = _origin(self.entry, tuple(sys.path))
        return f"{name} {' '.join(_digest(package) for package in packages)}"


@cache
def params_of(function: Callable[..., Any]) -> type[Params]:
    """Return the annotation of `function`'s argument `params`; a method without one takes none."""
    parameter = inspect.signature(function).parameters.get("params")
    annotations = {} if parameter is None else {"params": parameter.annotation}
    holder = type("Annotated", (), {"__annotations__": annotations})  # other annotations may not resolve, nor need to
    hint = typing.get_type_hints(holder, inspect.unwrap(function).__globals__).get("params", Params)
    if not (isinstance(hint, type) and issubclass(hint, Params)):
        where = f"{function.__module__}.{function.__qualname__}"
        raise UnknownMethod(f"{where}: annotate its argument `params` with a subclass of Params.")
    return hint


@cache
def _origin(entry: EntryPoint, path: tuple[str, ...]) -> tuple[str, list[str]]:
    """Return distribution and version of an entry point, and the import packages whose sources are its code."""
    dist = entry.dist
    packages = [entry.module.partition(".")[0], *(_libraries(dist) if dist else [])]
    return (f"{dist.name} {dist.version}" if dist else entry.value), packages


def _libraries(dist: Distribution) -> list[str]:
    """Return the import packages of our libraries that a distribution requires, `porelay-nets` for example."""
    names = (re.split(r"[^A-Za-z0-9-]", requirement, maxsplit=1)[0] for requirement in dist.requires or [])
    found = [name for name in names if name.startswith("porelay-") and name not in ("porelay-kit", "porelay-schemas")]
    return sorted(name.replace("-", "_") for name in found)


@cache
def _digest(package: str) -> str:
    """Return a digest of all the sources of an import package."""
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or []) if spec else []
    files = sorted(file for place in places for file in Path(place).rglob("*.py"))
    if spec and spec.origin and not places:
        files = [Path(spec.origin)]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _entries(family: str) -> tuple[EntryPoint, ...]:
    """Return the installed entry points of a family; looking takes milliseconds, so what is found is remembered."""
    return _installed(group(family), tuple(sys.path))


@cache
def _installed(name: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=name)))


def methods(family: str) -> dict[str, Method]:
    """Return the installed methods of a family by name."""
    if family not in FAMILIES:
        raise UnknownMethod(f"plugins: no family is called {family!r}. {nearest(family, FAMILIES)}")
    return {entry.name: Method(family, entry) for entry in _entries(family)}


def find(families: Iterable[str], name: str) -> Method:
    """Return the method `name` of the first family that has it; raise UnknownMethod with the nearest name."""
    found = {method.name: method for family in families for method in methods(family).values()}
    if name not in found:
        raise UnknownMethod(f"{'/'.join(families)}: no method is called {name!r}. {nearest(name, found)}")
    return found[name]


def stage_function(stage: str) -> Callable[..., Any]:
    """Return the `run` of an installed service."""
    found = {entry.name: entry for entry in _entries("stage")}
    if stage not in found:
        raise UnknownMethod(f"stage {stage!r} is not installed. Run: pip install porelay-{stage}")
    loaded: Callable[..., Any] = found[stage].load()
    return loaded


def stage_code(stage: str) -> str:
    """Return version and digest of the service that runs a stage, as `Method.code` does."""
    found = {entry.name: entry for entry in _entries("stage")}
    return Method("stage", found[stage]).code if stage in found else "not installed"


def bind(families: Iterable[str], call: MethodCall, *, seed: int | None = None) -> Bound:
    """Find a method and validate its parameters; `seed` fills a parameter of that name that the call leaves out."""
    method = find(families, call.method)
    model = method.params
    given = dict(call.params)
    if seed is not None and "seed" in model.model_fields:
        given.setdefault("seed", seed)
    try:
        params = model.model_validate(given)
    except ValidationError as error:
        raise BadInput(_explain(method, model, error)) from error
    return Bound(method.family, method.name, method.load(), params)


def _explain(method: Method, model: type[Params], error: ValidationError) -> str:
    where = f"{FAMILIES[method.family]}.{method.name}"
    return "\n".join(_one(where, model, problem) for problem in error.errors())


def _one(where: str, model: type[Params], problem: ErrorDetails) -> str:
    name = ".".join(str(part) for part in problem["loc"]) or "parameters"
    if problem["type"] == "extra_forbidden":
        return f"{where}: no parameter is called {name!r}. {nearest(name, model.model_fields)}"
    field = model.model_fields.get(str(problem["loc"][0])) if problem["loc"] else None
    meaning = f" ({field.description})" if field and field.description else ""
    got = f"got {problem['input']!r}, {problem['msg'].lower()}"
    return f"{where}.{name}{meaning}: {got}. Correct it in the plan or with --set."


def families_of(stage: str) -> tuple[str, ...]:
    """Return the families whose methods a plan may use in a stage."""
    return STAGES[stage].families


def distributions(names: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of packages."""
    return {name: Distribution.from_name(name).version for name in names}
