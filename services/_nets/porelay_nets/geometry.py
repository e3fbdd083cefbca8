"""Sizes of the generator's output, in whole numbers (no torch).

`stages` transposed convolutions (kernel 4, stride 2, padding 2) take n latent nodes to 2^stages (n - 2) + 2; the last
stage doubles that and drops what touched the border: 2^(stages + 1) (n - 2) voxels. So one node stands for
`factor` = 2^(stages + 1) voxels, every voxel depends on at most three nodes an axis, and a tile of m nodes' worth of
voxels needs a halo of two nodes.
"""

HALO = 2


def factor(stages: int) -> int:
    """Return the voxels an axis that one latent node stands for."""
    return int(2 ** (stages + 1))


def edge(stages: int, nodes: int) -> int:
    """Return the voxels an axis that `nodes` latent nodes give."""
    return factor(stages) * (nodes - HALO)


def nodes(stages: int, voxels: int) -> int:
    """Return the fewest latent nodes that give at least `voxels` an axis."""
    return -(-voxels // factor(stages)) + HALO


def reach(stages: int) -> int:
    """Return the distance in voxels beyond which two voxels share no latent node: they are independent there."""
    return 3 * factor(stages)
