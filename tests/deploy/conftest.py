"""Fixtures that the tests of deployments share with those of meshes."""

from cluster.conftest import bucket_mesh, mesh

__all__ = ["bucket_mesh", "mesh"]
