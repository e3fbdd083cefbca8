"""What a command would change on a server, or has changed."""

from dataclasses import dataclass
from typing import Literal

Mark = Literal["+", "~", "=", "!"]


@dataclass(frozen=True)
class Step:
    """Something to create (+) or change (~), or as wanted (=), or not to be done from here (!): then the road to it."""

    mark: Mark
    what: str
    road: str = ""
