"""The settings of a process, each declared once: environment, `porelay config` and the README derive from it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

import psutil
from pydantic import ByteSize, Field, ValidationError

from porelay_schemas.base import Closed
from porelay_schemas.errors import BadInput, nearest

PREFIX = "PORELAY_"


def _half_the_memory() -> int:
    return int(psutil.virtual_memory().total // 2)


class Settings(Closed):
    """What a process may use, and where its store is. Set by `PORELAY_<NAME>`, or by the option of the same name."""

    home: Path = Field(default=Path("porelay-data"), description="folder of the store")
    max_memory_bytes: Annotated[int, ByteSize] = Field(
        default_factory=_half_the_memory, ge=2**26, description="peak memory of a stage; `4GiB` is understood"
    )
    workers: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)), ge=1, le=1024, description="threads of a stage"
    )

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **given: object) -> Self:
        """Read the environment; `given` options that are not None win. Raise BadInput on an unknown variable."""
        environment = os.environ if environment is None else environment
        values: dict[str, object] = {}
        for variable, text in environment.items():
            if not variable.startswith(PREFIX) or variable.startswith(PREFIX + "TEST_"):
                continue
            name = variable.removeprefix(PREFIX).lower()
            if name not in cls.model_fields:
                known = [PREFIX + field.upper() for field in cls.model_fields]
                raise BadInput(f"environment: {variable} is not a setting. {nearest(variable, known)}")
            values[name] = text
        values |= {name: value for name, value in given.items() if value is not None}
        return cls._validated(values)

    @classmethod
    def _validated(cls, values: dict[str, object]) -> Self:
        try:
            if isinstance(text := values.get("max_memory_bytes"), str):
                values["max_memory_bytes"] = int(ByteSize._validate(text, None))  # type: ignore[arg-type]
            return cls.model_validate(values)
        except (ValidationError, ValueError) as error:
            raise BadInput(f"settings: {error}") from error
