"""What lies in the inbox, as drops: a file or a folder of slices, and what belongs to it.

inbox/electrode/stack.tif            a drop of the plan `electrode`
inbox/electrode/slices/0001.tif      a folder of slices, one drop
inbox/stack.tif                      no plan: the default
inbox/anything/stack.tif             wants a plan beside it: inbox/anything/stack.tif.plan.yaml
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from porelay_kit.runner.drops import AGAIN, INBOX, PLAN, PLANE, REJECTED, SUMS, TRUTH, companion_of
from porelay_kit.store.base import ObjectInfo
from porelay_schemas.planes import PLANE_AXES, PlaneAxis

DEFAULT_PLAN = "electrode"
PARTS = (TRUTH, *(PLANE + axis for axis in PLANE_AXES))
"""Images that may lie beside a stack, files or folders, by the suffix of their names."""

ROLES = {PLAN: "plan_file", SUMS: "sums", REJECTED: "rejected", AGAIN: "again"}


@dataclass(frozen=True)
class Drop:
    """A stack in the inbox: `key` is that of its file or folder, `plan` the name by its place, never yet looked up.

    `objects` are the file, or all below the folder, sorted by key; `parts` likewise, by the suffix of the images that
    lie beside. `plan_file`, `sums`, `rejected` and `again` are the companions of those names.
    """

    key: str
    plan: str
    objects: tuple[ObjectInfo, ...]
    parts: Mapping[str, tuple[ObjectInfo, ...]] = field(default_factory=dict)
    plan_file: ObjectInfo | None = None
    sums: ObjectInfo | None = None
    rejected: ObjectInfo | None = None
    again: ObjectInfo | None = None

    @property
    def name(self) -> str:
        """Last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def folder(self) -> bool:
        """Whether it is a folder of slices."""
        return self.objects[0].key != self.key

    def part_key(self, part: str) -> str | None:
        """Return the key of the file or folder of an image beside the stack, None where there is none."""
        if part not in self.parts:
            return None
        parent = self.key.rpartition("/")[0]
        return f"{parent}/{self.parts[part][0].key.removeprefix(parent + '/').partition('/')[0]}"

    @property
    def plane_axes(self) -> tuple[PlaneAxis, ...]:
        """The axes across which separate images lie beside the stack."""
        return tuple(axis for axis in PLANE_AXES if PLANE + axis in self.parts)

    @property
    def names(self) -> dict[str, ObjectInfo]:
        """The objects of a folder by their names relative to it."""
        return {item.key.removeprefix(self.key + "/"): item for item in self.objects}

    @property
    def version(self) -> str:
        """A digest of what makes this drop: names, sizes and etags of all but the intake's own companions."""
        beside = [item for part in self.parts.values() for item in part]
        made_of = [*self.objects, *beside, *filter(None, (self.plan_file, self.sums))]
        lines = [f"{item.key}\t{item.size_bytes}\t{item.etag}" for item in made_of]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()

    @property
    def size_bytes(self) -> int:
        """Bytes of the file, or of all below the folder."""
        return sum(item.size_bytes for item in self.objects)


def scope(key: str, plans: Collection[str]) -> str | None:
    """Return the beginning of all keys of the drop that an object belongs to, None where it belongs to none."""
    parts = key.split("/")
    if parts[0] != INBOX or len(parts) < 2 or not _usable(parts):
        return None
    depth = 3 if len(parts) > 2 and parts[1] in plans else 2
    return "/".join([*parts[: depth - 1], _owner(parts[depth - 1])])


def group(objects: Iterable[ObjectInfo], plans: Collection[str]) -> list[Drop]:
    """Return the drops among the objects of the inbox, sorted by key; `plans` are the shipped ones.

    Objects that stand for folders, hidden files and names with `..` are no drops. A folder that is named
    after no plan and holds several files is one drop: somebody forgot the plan.
    """
    listed = [item for item in objects if _usable(item.key.split("/"))]
    beside = {item.key for item in listed}
    found: dict[str, dict[str, list[ObjectInfo]]] = defaultdict(lambda: defaultdict(list))
    for item in listed:
        key, role = _place(item.key, plans, beside)
        if not key.rpartition("/")[2].startswith("."):
            found[key][role].append(item)
    drops = [_drop(key, roles) for key, roles in found.items() if "objects" in roles]
    return sorted(_without_plan(drops, plans), key=lambda drop: drop.key)


def _usable(parts: list[str]) -> bool:
    return not any(part in ("", ".", "..") or not part.isprintable() or "\\" in part for part in parts)


def _owner(name: str) -> str:
    return companion_of(name) or name


def _place(key: str, plans: Collection[str], beside: set[str]) -> tuple[str, str]:
    """Return the key of the drop that an object belongs to, and as what."""
    parts = key.split("/")
    alone = len(parts) == 2 or companion_of(parts[1]) or f"{INBOX}/{parts[1]}{PLAN}" in beside
    depth = 2 if alone and parts[1] not in plans else min(3, len(parts))
    name = parts[depth - 1]
    owner = companion_of(name)
    if owner is None:
        return "/".join(parts[:depth]), "objects"
    rest = name.removeprefix(owner)
    role = ROLES.get(rest) or next(part for part in PARTS if rest == part or rest.startswith(part + "."))
    return "/".join([*parts[: depth - 1], owner]), role


def _drop(key: str, roles: dict[str, list[ObjectInfo]]) -> Drop:
    places = key.split("/")
    plan = places[1] if len(places) > 2 else DEFAULT_PLAN
    objects = sorted(roles["objects"], key=lambda item: item.key)
    if objects[0].key == key:  # an object of the folder's own name is what some clients make of a folder
        objects = objects[1:] if len(objects) > 1 and not objects[0].size_bytes else objects[:1]
    alone = {role: roles[role][0] for role in ROLES.values() if role in roles}
    parts = {part: tuple(sorted(roles[part], key=lambda item: item.key)) for part in PARTS if part in roles}
    return Drop(key, plan, tuple(objects), parts, **alone)


def _without_plan(drops: list[Drop], plans: Collection[str]) -> list[Drop]:
    """Take several stacks of an unknown plan, none of which brings one, for the slices of one folder."""
    strays: dict[str, list[Drop]] = defaultdict(list)
    for drop in drops:
        if drop.plan not in plans and drop.plan_file is None:
            strays[drop.key.rpartition("/")[0]].append(drop)
    lost = {parent: many for parent, many in strays.items() if len(many) > 1 and parent != INBOX}
    whole = [Drop(parent, many[0].plan, _all_of(many)) for parent, many in lost.items()]
    return whole + [drop for drop in drops if drop.key.rpartition("/")[0] not in lost or drop.plan_file]


def _all_of(drops: list[Drop]) -> tuple[ObjectInfo, ...]:
    return tuple(sorted((item for drop in drops for item in drop.objects), key=lambda item: item.key))
