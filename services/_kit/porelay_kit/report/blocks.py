"""The blocks of a section as HTML."""

from porelay_kit.report import values
from porelay_kit.report.markup import Html, join, tag
from porelay_kit.report.pictures import picture, size
from porelay_schemas.section import Block, Cell, Check, Checks, Figure, Gallery, Table, Text, Verdict

Pictures = dict[str, bytes]
LONG_TABLE = 60
"""Rows from which a table is folded."""

LONGEST_WORD = 24
"""Characters of a text that may stand in a column of numbers, such as "does not percolate"."""
NARROW, BROAD = 500, 740
"""CSS pixels: a 3D view is narrow, a chart is between, slices side by side are broad."""

VERDICTS: dict[Verdict, tuple[str, str]] = {
    "ok": ("✓", "ok"),
    "warn": ("!", "look"),
    "fail": ("✕", "fails"),
    "info": ("i", "info"),
}


def block(content: Block, pictures: Pictures) -> Html:
    """Return one block."""
    match content:
        case Text():
            return _text(content)
        case Figure():
            return _figure(content, pictures)
        case Gallery():
            figures = (_figure(figure, pictures) for figure in content.figures)
            return tag("div", *figures, class_=f"gallery {_columns(content, pictures)}")
        case Table():
            return table(content)
        case Checks():
            cards = (_check(check, pictures) for check in content.checks)
            return join([tag("h3", content.caption), tag("div", *cards, class_="checks")])


def badge(verdict: Verdict, label: str | None = None) -> Html:
    """Return a verdict as sign, word and colour."""
    sign, word = VERDICTS[verdict]
    return tag("span", tag("span", sign, aria_hidden="true"), " ", label or word, class_=f"badge {verdict}")


def paragraphs(text: str, **attributes: str | None) -> Html:
    """Return a text as paragraphs, parted at empty lines."""
    parts = [part for part in text.split("\n\n") if part.strip()]
    return join(tag("p", prose(part.strip()), **attributes) for part in parts)


def prose(text: str) -> Html:
    """Return a text in which words between backticks are code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return join([text])
    return join(tag("code", part) if index % 2 else part for index, part in enumerate(parts))


def _text(content: Text) -> Html:
    if content.tone == "plain":
        return paragraphs(content.text)
    return tag("div", paragraphs(content.text), class_=f"aside {content.tone}", role="note")


def _figure(content: Figure, pictures: Pictures) -> Html:
    shown = tag("div", picture(content.file, pictures, content.caption), class_="paper")
    return tag("figure", shown, tag("figcaption", prose(content.caption)), class_="wide" if content.wide else None)


def _columns(gallery: Gallery, pictures: Pictures) -> str:
    """Return how many figures stand side by side, so that the writing in the widest of them stays readable."""
    widths = [size(figure.file, pictures)[0] or 0 for figure in gallery.figures]
    widest = max(widths, default=0)
    if widest > BROAD:
        return "one"
    return "three" if widest <= NARROW and (len(widths) % 3 == 0 or len(widths) > 4) else "two"


def _check(check: Check, pictures: Pictures) -> Html:
    measured = tag("span", values.brief(check.value), class_="measured")
    return tag(
        "article",
        tag("h4", badge(check.verdict), " ", check.name),
        tag("p", measured, tag("span", " against ", class_="faint"), check.threshold),
        tag("p", prose(check.meaning)),
        tag("div", picture(check.file, pictures, f"{check.name}: {check.meaning}"), class_="paper")
        if check.file
        else None,
        class_=f"check {check.verdict}",
    )


def table(content: Table) -> Html:
    """Return a table; columns of numbers are aligned right. A long one is folded under its caption."""
    numeric = [_numeric([row[i] for row in content.rows if i < len(row)]) for i in range(len(content.header))]
    head = tag(
        "tr", *(tag("th", name, scope="col", class_=_class(n)) for name, n in zip(content.header, numeric, strict=True))
    )
    body = (tag("tr", *(_cell(cell, i, numeric) for i, cell in enumerate(row))) for row in content.rows)
    folded = len(content.rows) > LONG_TABLE
    caption = tag("caption", content.caption, class_="unseen" if folded else None) if content.caption else None
    whole = tag("table", caption, tag("thead", head), tag("tbody", *body))
    scroller = tag("div", whole, class_="scroller", tabindex=0, role="region", aria_label=content.caption or "table")
    if not folded:
        return scroller
    summary = tag("summary", content.caption or "Table", tag("span", f" · {len(content.rows)} rows", class_="faint"))
    return tag("details", summary, scroller)


def _numeric(cells: list[Cell]) -> bool:
    """Tell whether a column is of numbers; a few short words among them are no harm."""
    words = [cell for cell in cells if isinstance(cell, (str, bool))]
    numbers = sum(isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in cells)
    return numbers > 0 and numbers >= len(words) and all(len(str(word)) <= LONGEST_WORD for word in words)


def _class(numeric: bool) -> str | None:
    return "number" if numeric else None


def _cell(cell: Cell, index: int, numeric: list[bool]) -> Html:
    right = index < len(numeric) and numeric[index]
    shown = values.value(cell) if right else values.brief(cell)
    if index == 0:
        return tag("th", shown, scope="row", class_=_class(right))
    return tag("td", shown, class_=_class(right))
