"""Meshes of a label volume: closed surfaces of each phase, and one conformal multi-phase tetrahedral mesh."""
