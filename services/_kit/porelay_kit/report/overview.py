"""The overview: one card a stage with its headline, and what is missing."""

from porelay_kit.report import values
from porelay_kit.report.blocks import badge, prose
from porelay_kit.report.gather import RunPage, StagePage
from porelay_kit.report.markup import Html, tag
from porelay_kit.report.verdict import worst
from porelay_schemas.route import ROUTE


def overview(run: RunPage) -> Html:
    """Return the cards of all stages; of a partial run, also what it lacks."""
    absent = [stage.name for stage in ROUTE if stage.name not in run.plan.stages]
    return tag(
        "section",
        tag("h2", "Overview"),
        _unfinished(run),
        tag("div", *(_card(stage) for stage in run.stages), class_="cards"),
        tag("p", "Not in this plan: ", ", ".join(absent), ".", class_="faint") if absent else None,
        id="overview",
    )


def _unfinished(run: RunPage) -> Html | None:
    """Return what a partial report says of itself."""
    still = [stage.name for stage in run.having("open")]
    failed = [stage.name for stage in run.having("failed")]
    if not still and not failed:
        return None
    sentences = [f"This report is partial: {len(run.having('done'))} of {len(run.stages)} stages are done."]
    sentences += [f"Failed: {', '.join(failed)}."] if failed else []
    sentences += [f"Without a result: {', '.join(still)}."] if still else []
    sentences += ["The run was cancelled; started again, it continues."] if run.cancelled else []
    return tag("div", tag("p", " ".join(sentences)), class_="aside warning", role="note")


def _card(stage: StagePage) -> Html:
    name = title(stage)
    seconds = tag("span", values.seconds(stage.result.seconds), class_="faint") if stage.result else None
    return tag(
        "article",
        tag("h3", name if stage.status == "open" else tag("a", name, href=f"#{stage.name}")),
        tag("p", prose(_said(stage))),
        tag("p", status(stage), " ", seconds, class_="foot"),
        class_=f"card {state(stage)}",
    )


def _said(stage: StagePage) -> str:
    if stage.failure and not stage.result:
        return stage.failure.text.partition("\n")[0]
    if stage.section:
        return stage.section.headline
    return "Done, but its page is missing." if stage.result else "No result yet."


def status(stage: StagePage) -> Html:
    """Return the badge of a stage."""
    if stage.status == "failed":
        return badge("fail", "failed")
    if stage.status == "open":
        return tag("span", "no result", class_="badge open")
    verdict = worst(stage)
    counted = sum(check.verdict == verdict for check in stage.checks)
    words = {"fail": f"done, {counted} failed", "warn": f"done, {counted} to look at"}
    return badge(verdict, words.get(verdict, "done"))


def title(stage: StagePage) -> str:
    """Return the title of a stage's page."""
    return stage.section.title if stage.section else stage.name.replace("-", " ").capitalize()


def state(stage: StagePage) -> str:
    """Return the colour of a stage: that of its worst verdict once it is done."""
    return {"failed": "fail", "open": "open"}.get(stage.status, worst(stage))
