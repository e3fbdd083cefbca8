"""Errors, sorted by what a worker must do with the message.

    PorelayError
    ├── Permanent        park it: the same message can never succeed
    │   ├── BadMessage   the message itself is malformed or of another version
    │   ├── BadInput     the data or a parameter cannot be used
    │   │   └── Denied   a server does not let us do it: a command ends, a worker asks again later
    │   ├── UnknownMethod
    │   ├── TooLarge     does not fit the stage's memory budget
    │   └── TookTooLong  is not done within the stage's limit of time
    ├── Retryable        ask again later, for as long as it takes
    │   ├── StoreUnavailable
    │   ├── BrokerUnavailable
    │   └── LicenceBusy
    ├── SliceOver        the stage has saved a checkpoint and is to be asked again
    └── Stopped          the user asked for it

Anything else that is raised is a defect: retried within the limit, then parked with its traceback.
An error text says what, got, wanted, fix; the last sentence is something the reader can do.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class PorelayError(Exception):
    """Every error that Porelay raises on purpose."""


class Permanent(PorelayError):
    """The same message can never succeed."""


class BadMessage(Permanent):
    """The message is malformed or of another schema version."""


class BadInput(Permanent):
    """The data or a parameter cannot be used."""


class Denied(BadInput):
    """A server does not let us in, or not do that: its administrator can change it, so no message is at fault."""


class UnknownMethod(Permanent):
    """No plugin of that family has that name."""


class TooLarge(Permanent):
    """The data do not fit the memory budget of a stage that cannot stream."""


class TookTooLong(Permanent):
    """The stage was not done within its limit of time."""


class Retryable(PorelayError):
    """Worth trying again later."""


class StoreUnavailable(Retryable):
    """The store did not answer, or has no room left."""


class BrokerUnavailable(Retryable):
    """The broker did not answer."""


class LicenceBusy(Retryable):
    """All licences of an external program are in use."""


class SliceOver(PorelayError):
    """The stage's slice of time is over: it has saved a checkpoint, and the same request continues it."""


class Stopped(PorelayError):
    """The run was cancelled."""


def waits(error: BaseException) -> bool:
    """Return whether a worker asks again later for as long as it takes, since no message is at fault."""
    return isinstance(error, (Retryable, Denied))


@contextmanager
def within(where: str) -> Iterator[None]:
    """Let the text of a permanent error begin with where it arose."""
    try:
        yield
    except Permanent as error:
        raise type(error)(f"{where}: {error}") from error


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"`, or all the known words where none is near."""
    known = sorted(known)
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
