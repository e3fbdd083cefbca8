"""A stage's page of the report. Each stage writes its own beside its result; the report binds them.

Pictures are files of the artifact (PNG or SVG), never inline data.
"""

from typing import Annotated, Literal

from pydantic import Field

from porelay_schemas.base import Closed

Verdict = Literal["ok", "warn", "fail", "info"]
Cell = str | int | float | bool | None


class Text(Closed):
    """A paragraph; `tone` colours it."""

    kind: Literal["text"] = "text"
    text: str
    tone: Literal["plain", "note", "warning"] = "plain"


class Figure(Closed):
    """A picture, by its file name in the artifact. `wide` spans the page."""

    kind: Literal["figure"] = "figure"
    file: str
    caption: str
    wide: bool = False


class Gallery(Closed):
    """Pictures side by side."""

    kind: Literal["gallery"] = "gallery"
    figures: tuple[Figure, ...]


class Table(Closed):
    """Rows under a header; numbers are formatted to four significant digits."""

    kind: Literal["table"] = "table"
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Check(Closed):
    """A verdict of quality control: value against threshold, and what to do."""

    name: str
    value: float | str | None
    threshold: str
    verdict: Verdict
    meaning: str
    file: str | None = None


class Checks(Closed):
    """Verdicts, each with its picture."""

    kind: Literal["checks"] = "checks"
    caption: str
    checks: tuple[Check, ...]


Block = Annotated[Text | Figure | Gallery | Table | Checks, Field(discriminator="kind")]


class Section(Closed):
    """A stage's page: `headline` is the one sentence and `figures` the few numbers that a reader wants first."""

    title: str
    headline: str
    blocks: tuple[Block, ...] = ()
