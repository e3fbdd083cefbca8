"""Colour images that are grey in truth."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_schemas.errors import BadInput


def one_channel(image: NDArray[Any], what: str) -> NDArray[Any]:
    """Return (y, x) of an image (y, x) or (y, x, channels); raise BadInput where its colours differ.

    Of two channels the second, of four the last is transparency: left out where it is the same everywhere.
    """
    if image.ndim == 2:
        return image
    colours = image.shape[2]
    if colours in (2, 4):
        alpha = image[..., -1]
        if (alpha != alpha.flat[0]).any():
            raise BadInput(
                f"{what}: has a transparency that varies, wanted one grey level a pixel. "
                "Flatten it, then export it again."
            )
        colours -= 1
    if any((image[..., 0] != image[..., channel]).any() for channel in range(1, colours)):
        raise BadInput(
            f"{what}: is in colour ({colours} channels that differ), wanted one grey level a pixel. "
            "Convert it to 8 or 16 bits grey (in Fiji: Image > Type), or export the channel you need."
        )
    return np.ascontiguousarray(image[..., 0])
