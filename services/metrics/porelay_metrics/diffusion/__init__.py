"""Steady diffusion through a label volume: finite volumes, multigrid, conjugate gradients."""
