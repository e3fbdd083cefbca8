"""How numbers, sizes, times and lengths are written."""

import math

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_THIN = "\u202f"
MISSING = "–"


def value(cell: object) -> str:
    """Return a cell of a table: four significant digits, thousands set apart, None as a dash."""
    if cell is None:
        return MISSING
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return _minus(f"{cell:,}".replace(",", _THIN) if abs(cell) >= 10_000 else str(cell))
    return number(cell) if isinstance(cell, float) else str(cell)


def brief(cell: object) -> str:
    """Return a value standing alone: as in a table, without zeros at the end."""
    shown = value(cell)
    return shown.rstrip("0").rstrip(".") if isinstance(cell, float) and "." in shown and "×" not in shown else shown


def number(x: float) -> str:
    """Return a number with four significant digits: 0.4005, 12 350, 1.234 × 10⁻⁵."""
    if not math.isfinite(x):
        return "not a number" if math.isnan(x) else _minus("∞" if x > 0 else "-∞")
    if x == 0:
        return "0"
    exponent = math.floor(math.log10(float(f"{abs(x):.3e}")))
    if not -4 <= exponent < 7:
        mantissa = f"{x:.3e}".partition("e")[0]
        return _minus(f"{mantissa} × 10") + str(exponent).translate(_SUPERSCRIPT)
    shown = f"{x:.{max(0, 3 - exponent)}f}" if exponent < 4 else f"{round(x, 3 - exponent):,.0f}"
    return _minus(shown.replace(",", _THIN) if exponent >= 4 else shown)


def _minus(shown: str) -> str:
    return shown.replace("-", "\u2212")


def seconds(s: float) -> str:
    """Return a duration: 0.84 s, 12.3 s, 3 min 20 s, 2 h 05 min."""
    if s < 10:
        return f"{s:.2f} s"
    if s < 100:
        return f"{s:.1f} s"
    minutes, rest = divmod(round(s), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: int) -> str:
    """Return a size in bytes with its unit."""
    scaled, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if scaled < 1000 or unit == "TiB":
            break
        scaled /= 1024
    return f"{scaled:.0f} {unit}" if unit == "B" or scaled >= 100 else f"{scaled:.3g} {unit}"


def edge(um: float) -> str:
    """Return the edge of a voxel with its unit."""
    return f"{um * 1000:.4g} nm" if um < 1 else f"{um:.4g} µm"


def lengths(um: tuple[float, float, float]) -> str:
    """Return edges along (z, y, x); one where all are equal."""
    return edge(um[0]) if len(set(um)) == 1 else " × ".join(edge(part) for part in um) + " (z, y, x)"
