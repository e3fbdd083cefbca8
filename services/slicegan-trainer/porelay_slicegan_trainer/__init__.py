"""The stage that learns a generator of 3D microstructures from slices."""
