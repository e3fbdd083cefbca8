"""Parameters that every physics has."""

from typing import Annotated, Literal

from pydantic import Field

from porelay_schemas.base import Params

Conductivity = Annotated[float, Field(gt=0, le=1e8, allow_inf_nan=False)]


class ModelParams(Params):
    """What is asked of any COMSOL model, whatever its physics."""

    run: Literal["auto", "never", "always"] = Field(
        "auto", description="solve with COMSOL: where it is installed, never, or fail without it"
    )
    cores: int = Field(0, ge=0, le=1024, description="processor cores for COMSOL, 0 for all of them")
    timeout_s: float = Field(
        14400.0, gt=0, le=2.6e6, allow_inf_nan=False, description="time after which COMSOL is stopped, in seconds"
    )
    element_order: Literal[1, 2] = Field(1, description="order of the finite elements: 1 linear, 2 quadratic")
    field_stride: int = Field(
        0, ge=0, le=1024, description="every n-th voxel goes into the property fields; 0: at most 2 million voxels do"
    )
    export_points: int = Field(48, ge=2, le=512, description="points along each axis of the exported solution")
