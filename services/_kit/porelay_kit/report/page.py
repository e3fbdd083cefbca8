"""The whole page: header, contents, overview, sections, appendix."""

from importlib.resources import files

from porelay_kit.report.appendix import appendix
from porelay_kit.report.blocks import block, paragraphs
from porelay_kit.report.gather import RunPage, StagePage
from porelay_kit.report.header import header
from porelay_kit.report.markup import Html, join, tag
from porelay_kit.report.overview import overview, state, status, title

_NOTHING_FROM_OUTSIDE = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(run: RunPage) -> str:
    """Return the report as one HTML document."""
    style = (files("porelay_kit.report") / "report.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_NOTHING_FROM_OUTSIDE),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{run.run.stack.name} · Porelay report"),
        tag("style", Html(style)),
    )
    sections = [_section(stage, number) for number, stage in enumerate(run.stages, 1) if stage.status != "open"]
    main = tag("main", overview(run), *sections, appendix(run), id="main")
    body = tag(
        "body",
        tag("a", "Skip to the results", href="#main", class_="skip"),
        header(run),
        tag("div", _contents(run), main, class_="columns"),
        tag("footer", f"Run {run.run.run_id} · written by Porelay"),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _contents(run: RunPage) -> Html:
    entries = [tag("li", tag("a", "Overview", href="#overview"))]
    for stage in run.stages:
        dot = tag("i", class_=f"dot {state(stage)}", aria_hidden="true")
        name = title(stage)
        entries.append(
            tag("li", dot, tag("span", name, class_="faint"))
            if stage.status == "open"
            else tag("li", dot, tag("a", name, href=f"#{stage.name}"))
        )
    entries.append(tag("li", tag("a", "Provenance", href="#provenance")))
    return tag("nav", tag("h2", "Contents"), tag("ol", *entries), aria_label="Contents")


def _section(stage: StagePage, number: int) -> Html:
    parts: list[object] = [tag("h2", tag("span", str(number), class_="step"), title(stage)), _methods(stage)]
    if stage.failure:
        parts += [_failure(stage)]
    elif stage.section is None:
        parts += [tag("p", "The stage is done, but its page is missing or cannot be read.", class_="missing")]
    else:
        parts += [paragraphs(stage.section.headline, class_="headline")]
        parts += [block(content, stage.pictures or {}) for content in stage.section.blocks]
    return tag("section", *parts, id=stage.name)


def _methods(stage: StagePage) -> Html:
    used = [f"{method.method}" for method in stage.manifest.use] if stage.manifest else []
    chips = [tag("code", name) for name in used]
    return tag("p", status(stage), " ", join(chips), class_="methods")


def _failure(stage: StagePage) -> Html:
    assert stage.failure is not None
    trace = tag("details", tag("summary", "Traceback"), tag("pre", stage.failure.traceback))
    return tag(
        "div",
        tag("p", tag("strong", stage.failure.error), f", {stage.failure.at:%d %B %Y, %H:%M}"),
        paragraphs(stage.failure.text),
        trace if stage.failure.traceback else None,
        class_="aside failure",
        role="note",
    )
