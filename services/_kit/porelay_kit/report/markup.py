"""HTML that is safe by construction: whatever is not `Html` already is escaped."""

from collections.abc import Iterable
from html import escape

VOID = {"img", "meta", "link", "br"}
Child = object
"""`Html`, or anything else that is shown as text; None is left out."""


class Html(str):
    """Markup."""

    __slots__ = ()


def text(value: object) -> Html:
    """Return a value as text; control characters, which HTML forbids, are replaced."""
    if isinstance(value, Html):
        return value
    shown = "".join(c if c >= " " or c in "\n\t" else "\ufffd" for c in str(value))
    return Html(escape(shown))


def join(children: Iterable[Child]) -> Html:
    """Return children one after the other."""
    return Html("".join(text(child) for child in children if child is not None))


def tag(name: str, /, *children: Child, **attributes: str | int | bool | None) -> Html:
    """Return an element. `class_` and `for_` lose their underscore, others get a dash for it; True stands alone."""
    written = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    return Html(f"<{name}{written}>" if name in VOID else f"<{name}{written}>{join(children)}</{name}>")


def _attribute(name: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{text(value)}"'
