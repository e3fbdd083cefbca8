"""What a probe finds: a verdict, what was seen, and what to do about it in plain words."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

Verdict = Literal["ok", "warn", "fail", "unknown"]
Target = TypeVar("Target")


@dataclass(frozen=True)
class Answer:
    """What one probe says. `advice` is what to do, empty where there is nothing to do."""

    verdict: Verdict
    seen: str
    advice: str = ""
    unreachable: bool = False
    """Whether the server did not answer at all, so that nothing further can be probed."""


@dataclass(frozen=True)
class Finding:
    """The answer of a named probe of a server."""

    subject: str
    probe: str
    answer: Answer


Probe = Callable[[Target], Answer]


def ok(seen: str) -> Answer:
    """It is as wanted."""
    return Answer("ok", seen)


def warn(seen: str, advice: str) -> Answer:
    """We can live with it, at a price that the advice names."""
    return Answer("warn", seen, advice)


def fail(seen: str, advice: str) -> Answer:
    """Porelay cannot be trusted to work like that."""
    return Answer("fail", seen, advice)


def unknown(seen: str, advice: str = "") -> Answer:
    """It cannot be seen from here."""
    return Answer("unknown", seen, advice)


def unreachable(seen: str, advice: str) -> Answer:
    """Nobody answers."""
    return Answer("fail", seen, advice, unreachable=True)


@dataclass(frozen=True)
class Excuse:
    """How errors that a probe lets through become its answer; any other is a defect of ours."""

    errors: tuple[type[Exception], ...]
    answer: Callable[[Exception], Answer]


def examine(subject: str, target: Target, probes: Iterable[Probe[Target]], excuse: Excuse) -> list[Finding]:
    """Ask all probes, in order; stop where nobody answers, or where already the first of them fails."""
    findings: list[Finding] = []
    for probe in probes:
        answer = _asked(probe, target, excuse)
        findings.append(Finding(subject, probe.__name__.replace("_", " "), answer))
        if answer.unreachable or (answer.verdict == "fail" and len(findings) == 1):
            break
    return findings


def _asked(probe: Probe[Target], target: Target, excuse: Excuse) -> Answer:
    try:
        return probe(target)
    except excuse.errors as error:
        return excuse.answer(error)
