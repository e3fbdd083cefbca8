"""Keys: relative paths with '/', that lead nowhere else."""

from pathlib import Path

from porelay_schemas.errors import BadInput


def checked(key: str) -> str:
    """Return a key; raise BadInput where it is no plain relative path."""
    if not plain(key):
        raise BadInput(f"store key {key!r}: wanted a relative path without '.' or '..'. Give another name.")
    return key


def inside(folder: Path, name: str) -> Path:
    """Return the path of an object's name below a folder; raise BadInput where it would lie elsewhere."""
    if not plain(name) or "\0" in name:
        raise BadInput(f"object name {name!r}: would leave its folder, wanted a plain relative path. Rename it.")
    return folder.joinpath(*name.split("/"))


def plain(key: str) -> bool:
    """Return whether a key is a plain relative path."""
    return all(part not in ("", ".", "..") for part in key.split("/"))
