"""The closed, frozen model that messages, plans and parameters are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Axis3 = tuple[int, int, int]
"""Voxel counts or indices along (z, y, x)."""

Micrometres = Annotated[float, Field(gt=0, allow_inf_nan=False)]
VoxelUm = tuple[Micrometres, Micrometres, Micrometres]
"""Edge lengths of a voxel along (z, y, x), in micrometres."""


class Closed(BaseModel):
    """Frozen; an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")


class Params(Closed):
    """Parameters of a method. Each field carries a default, bounds and a description with its unit.

    A field called `seed` that the plan leaves out is filled from the plan's own seed.
    """
