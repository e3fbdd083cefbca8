"""Drops: a stack in `inbox/<plan>/`, and what lies beside it.

What belongs to the drop `stack.tif` is called `stack.tif.<something>`: its plan (`.plan.yaml`), known labels of the
same voxels (`.truth.tif`, or a folder `.truth/`), separate images across y and x for anisotropic training
(`.plane-y.tif`, `.plane-x.tif`, or folders), checksums (`.sha256`, as `sha256sum` writes them), why it was rejected
(`.rejected.txt`), and the wish that it be looked at again (`.again`). The drop itself is written last; of a folder of
slices the marker `_complete.json`.
"""

import hashlib
import json
import re
from collections.abc import Mapping

from porelay_schemas.errors import BadInput

INBOX = "inbox"
COMPLETE = "_complete.json"
PLAN, SUMS, REJECTED, AGAIN = ".plan.yaml", ".sha256", ".rejected.txt", ".again"
TRUTH, PLANE = ".truth", ".plane-"

_COMPANION = re.compile(
    r"^(?P<drop>.+?)(\.plan\.yaml|\.sha256|\.rejected\.txt|\.again|\.(truth|plane-[yx])(\.[A-Za-z0-9.]+)?)$"
)
_LONGEST = 100


def companion_of(name: str) -> str | None:
    """Return the drop to which an object or folder of that name belongs, None where it is a drop itself."""
    found = _COMPANION.match(name)
    return found["drop"] if found else None


def key_name(name: str) -> str:
    """Return a user's file name as the name of a drop: letters, digits, `.`, `_` and `-`, never a companion's."""
    stem, dot, suffix = re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".").partition(".")
    plain = (stem[:_LONGEST] or "stack") + dot + suffix[-_LONGEST:]
    while owner := companion_of(plain):
        plain = owner + plain.removeprefix(owner).replace(".", "-", 1)
    return plain


def with_identity(name: str, identity: str) -> str:
    """Return the name of a drop whose own name another stack has: `stack-1a2b3c4d.tif`."""
    stem, dot, suffix = name.partition(".")
    return f"{stem}-{identity}{dot}{suffix}"


def part_name(name: str, part: str, file_name: str) -> str:
    """Return the name of a drop's truth or plane: `stack.tif.truth.tif`; that of a folder of slices has no suffix."""
    suffix = re.sub(r"[^A-Za-z0-9.]", "", file_name.partition(".")[2])
    return f"{name}{part}.{suffix}" if suffix else f"{name}{part}"


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def sums_text(digests: Mapping[str, str]) -> str:
    """Return SHA-256 digests by name, as `sha256sum` writes them."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))


def sums(text: str) -> dict[str, str]:
    """Read what `sha256sum` wrote; raise BadInput where it is something else."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"^([0-9a-fA-F]{64}) [ *](.+)$", line)
        if not match:
            raise BadInput(f"checksums: got {line[:80]!r}, wanted lines as `sha256sum` writes them. Write them anew.")
        found[match[2]] = match[1].lower()
    return found


def marker(files: Mapping[str, tuple[int, str]]) -> bytes:
    """Return the marker of a complete folder: its files with size and digest."""
    listed = [{"name": name, "size_bytes": size, "sha256": digest} for name, (size, digest) in sorted(files.items())]
    return json.dumps({"files": listed}, indent=1).encode()
