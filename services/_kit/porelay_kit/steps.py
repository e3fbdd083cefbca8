"""What a command would change on a server, or has changed."""

from dataclasses import dataclass
from typing import Literal

Mark = Literal["+", "~", "=", "!", "-"]


@dataclass(frozen=True)
class Step:
    """Something to create (+), to change (~), as wanted (=), not to be done from here (!), or left out (-).

    What is left out is nothing that the mesh needs, or nothing that can be seen. `road` says how to get there.
    """

    mark: Mark
    what: str
    road: str = ""
