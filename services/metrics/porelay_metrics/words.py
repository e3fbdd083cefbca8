"""How descriptors are called and printed on the page of the report."""

from porelay_schemas.descriptors import Descriptor

TITLES = {
    "bruggeman_diffusivity": "Bruggeman estimate of D_eff/D₀ (not measured)",
    "bruggeman_tortuosity": "Bruggeman estimate of τ (not measured)",
    "correlation_length": "Correlation length",
    "effective_diffusivity": "D_eff/D₀",
    "euler_density": "Euler number density",
    "euler_number": "Euler number",
    "interface_area_density": "Interface area per volume",
    "isolated_fraction": "Isolated fraction",
    "mean_chord_length": "Mean chord length",
    "percolating_fraction": "Percolating fraction",
    "specific_surface_area": "Specific surface area (Crofton)",
    "specific_surface_area_marching_cubes": "Specific surface area (marching cubes)",
    "tortuosity_factor": "Tortuosity factor τ",
    "tortuosity_factor_percolating": "τ of the percolating part",
    "tpb_edge_length_density": "Triple-phase boundary, voxel edges",
    "tpb_length_density": "Triple-phase boundary",
    "volume_fraction": "Volume fraction",
}
_UPPER = str.maketrans("123456", "¹²³⁴⁵⁶")


def title(name: str) -> str:
    """Return the name for people; that of a third party's metric is taken apart."""
    return TITLES.get(name, name.replace("_", " ").capitalize())


def unit(text: str) -> str:
    """Return `1/um^2` as µm⁻², and nothing for pure numbers."""
    if text == "1":
        return ""
    inverse = text.startswith("1/")
    base, _, power = text.removeprefix("1/").partition("^")
    power = ("⁻" if inverse else "") + (power or ("1" if inverse else "")).translate(_UPPER)
    return base.replace("um", "µm") + power


def subject(descriptor: Descriptor) -> str:
    """Return what the number is of: phases, and axis."""
    names = " | ".join(name.replace("_", " ") for name in descriptor.phases) or "all"
    return f"{names}, {descriptor.axis}" if descriptor.axis else names
