"""The generator's last stage, "trilinear x2, then a valid 3^3 convolution, then crop 1", as ONE convolution.

Both steps are linear, so together they are a valid 3^3 convolution of the coarse grid with eight outputs a channel
(one for each parity of the fine voxel along z, y, x), shuffled into place. The tensor of all features at full
resolution, which is the peak of memory, never exists, and nothing is left to crop.
"""

import torch
from torch import Tensor

# Rows: the three taps of the fine convolution. Columns: coarse offsets 0, 1, 2. First even, then odd fine voxels.
TAPS = (
    ((0.75, 0.25, 0.0), (0.25, 0.75, 0.0), (0.0, 0.75, 0.25)),
    ((0.25, 0.75, 0.0), (0.0, 0.75, 0.25), (0.0, 0.25, 0.75)),
)


def coarse_kernel(weight: Tensor) -> Tensor:
    """Return the kernel (8 n, c, 3, 3, 3) on the coarse grid that equals `weight` (n, c, 3, 3, 3) on the fine one.

    Outputs are ordered (z parity, y parity, x parity, n).
    """
    taps = torch.tensor(TAPS, dtype=weight.dtype, device=weight.device)
    fused = torch.einsum("aiz,bjy,ckx,nfijk->abcnfzyx", taps, taps, taps, weight)
    return fused.flatten(0, 3)


def interleave(coarse: Tensor, channels: int) -> Tensor:
    """Shuffle (b, 8 channels, z, y, x) into (b, channels, 2z, 2y, 2x)."""
    batch, _, z, y, x = coarse.shape
    fine = coarse.view(batch, 2, 2, 2, channels, z, y, x).permute(0, 4, 5, 1, 6, 2, 7, 3)
    return fine.reshape(batch, channels, 2 * z, 2 * y, 2 * x)
