"""The verdict of a run: red where a stage failed, amber where it is partial or a check complains."""

from porelay_kit.report.gather import RunPage, StagePage
from porelay_schemas.section import Verdict

_RANK: dict[Verdict, int] = {"info": 0, "ok": 0, "warn": 1, "fail": 2}


def worst(stage: StagePage) -> Verdict:
    """Return the worst verdict of a stage's checks; ok where it has none."""
    return max((check.verdict for check in stage.checks), key=_RANK.__getitem__, default="ok") if _bad(stage) else "ok"


def _bad(stage: StagePage) -> bool:
    return any(_RANK[check.verdict] for check in stage.checks)


def overall(run: RunPage) -> tuple[Verdict, str]:
    """Return the verdict of a run, and the few words that say why."""
    done, failed = run.having("done"), run.having("failed")
    if failed:
        return "fail", f"incomplete: {', '.join(stage.name for stage in failed)} failed"
    if len(done) < len(run.stages):
        return "warn", f"partial: {len(done)} of {len(run.stages)} stages"
    verdicts = [check.verdict for stage in done for check in stage.checks]
    notes = [(verdicts.count("fail"), "failed"), (verdicts.count("warn"), "to look at")]
    said = [f"{_count(number)} {word}" for number, word in notes if number]
    return ("warn", ", ".join(["complete", *said])) if said else ("ok", "complete")


def _count(number: int) -> str:
    return f"{number} check" if number == 1 else f"{number} checks"
