"""YAML that came from outside, for the sandbox: little is imported here, since each text gets a process of its own."""

from typing import Any

import yaml

from porelay_schemas.errors import BadInput


def parse(text: str) -> Any:
    """Return what a YAML text holds, an empty mapping for an empty one; raise BadInput where it is no YAML of ours."""
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise BadInput(
                "a plan beside a drop: YAML aliases (*name) may not be there. Write out what they stand for."
            )
        return yaml.safe_load(text) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"a plan beside a drop: not YAML ({error}). Correct that line.") from error
