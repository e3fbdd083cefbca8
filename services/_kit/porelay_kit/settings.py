"""The settings of a process, each declared once: environment, `porelay config` and the README derive from it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

import psutil
from pydantic import ByteSize, Field, SecretStr, ValidationError

from porelay_schemas.base import Closed
from porelay_schemas.errors import BadInput, nearest

PREFIX = "PORELAY_"
LONGEST_S = 23 * 3600.0
"""No stage may be allowed more: the broker takes a delivery back after a day (`CONSUMER_TIMEOUT_MS`)."""

CACHE_BYTES = 50 * 2**30
SIZES = ("max_memory_bytes", "cache_bytes")


def _content(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadInput(f"environment: {variable} is {path!r}, which cannot be read ({error.strerror}).") from error


def _half_the_memory() -> int:
    return int(psutil.virtual_memory().total // 2)


def _is_of_others(variable: str) -> bool:
    """Return whether a variable of ours is read by tests or compose only, which have images of servers named so."""
    return variable.startswith(PREFIX + "TEST_") or variable.endswith("_IMAGE")


class Settings(Closed):
    """What a process may use, and where its store and broker are.

    Set by `PORELAY_<NAME>`, or by the option of the same name; a secret also by `PORELAY_<NAME>_FILE`, which names a
    file that holds it.
    """

    home: Path = Field(default=Path("porelay-data"), description="folder of the store")
    max_memory_bytes: Annotated[int, ByteSize] = Field(
        default_factory=_half_the_memory, ge=2**26, description="peak memory of a stage; `4GiB` is understood"
    )
    workers: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)), ge=1, le=1024, description="threads of a stage"
    )
    amqp_url: SecretStr | None = Field(default=None, description="broker, `amqp[s]://user:password@host:port/vhost`")
    amqp_management_url: SecretStr | None = Field(
        default=None, description="RabbitMQ's HTTP interface, `http[s]://user:password@host:15672`, for policies"
    )
    amqp_ca_file: Path | None = Field(default=None, description="certificate authority of the broker")
    amqp_cert_file: Path | None = Field(default=None, description="this client's certificate, where the broker asks")
    amqp_key_file: Path | None = Field(default=None, description="and its key")
    s3_url: str | None = Field(
        default=None, description="bucket of the store, `http[s]://host:port/bucket`; without it `home` is the store"
    )
    s3_access_key: SecretStr | None = Field(default=None, description="user of the bucket")
    s3_secret_key: SecretStr | None = Field(default=None, description="and its secret")
    s3_region: str = Field(default="us-east-1", description="region that requests are signed for")
    s3_ca_file: Path | None = Field(default=None, description="certificate authority of the S3 server")
    cache: Path = Field(
        default=Path("porelay-cache"), description="folder for what is fetched from, or prepared for, a bucket"
    )
    cache_bytes: Annotated[int, ByteSize] = Field(
        default=CACHE_BYTES, ge=2**20, description="size that copies in the cache are kept below, such as `200GiB`"
    )
    slice_s: float = Field(
        default=600.0, ge=1, le=1500, description="seconds a worker holds a training before it saves and asks again"
    )
    checkpoint_s: float = Field(
        default=60.0, ge=1, description="seconds between checkpoints of a training, at most: what a kill may waste"
    )
    grace_s: float = Field(
        default=25.0, ge=0, description="seconds that a worker has to finish what it holds when it is asked to end"
    )
    isolated_limit_s: float = Field(
        default=3600.0,
        ge=1,
        le=LONGEST_S,
        description="seconds a stage in a child process (ingest, mesher, comsol-bridge) may take",
    )
    stage_limit_s: float = Field(
        default=21600.0,
        ge=1,
        le=LONGEST_S,
        description="seconds any other stage may take; one that takes longer is parked with that reason",
    )
    quiet_s: float = Field(
        default=120.0, ge=0, description="seconds without change until a dropped folder without marker is complete"
    )
    sweep_s: float = Field(default=300.0, ge=1, description="seconds between two looks through the whole inbox")
    health_port: int = Field(
        default=9108, ge=0, le=65535, description="port of a worker's /livez, /readyz and /metrics; 0: any free one"
    )

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **given: object) -> Self:
        """Read the environment; `given` options that are not None win. Raise BadInput on an unknown variable."""
        environment = os.environ if environment is None else environment
        values: dict[str, object] = {}
        for variable, text in environment.items():
            if not variable.startswith(PREFIX) or _is_of_others(variable):
                continue
            name = variable.removeprefix(PREFIX).lower()
            if name.removesuffix("_file") in cls.secrets() and name not in cls.model_fields:
                name, text = name.removesuffix("_file"), _content(variable, text)
            if name not in cls.model_fields:
                known = [PREFIX + field.upper() for field in cls.model_fields]
                raise BadInput(f"environment: {variable} is not a setting. {nearest(variable, known)}")
            values[name] = text
        values |= {name: value for name, value in given.items() if value is not None}
        return cls._validated(values)

    @classmethod
    def secrets(cls) -> list[str]:
        """Return the settings that may never be printed."""
        return [name for name, field in cls.model_fields.items() if "SecretStr" in str(field.annotation)]

    @classmethod
    def _validated(cls, values: dict[str, object]) -> Self:
        try:
            for name in SIZES:
                if isinstance(text := values.get(name), str):
                    values[name] = int(ByteSize._validate(text, None))  # type: ignore[arg-type]
            return cls.model_validate(values)
        except (ValidationError, ValueError) as error:
            raise BadInput(f"settings: {error}") from error
