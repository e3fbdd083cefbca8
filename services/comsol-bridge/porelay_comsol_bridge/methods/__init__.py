"""Physics of the COMSOL model: one file each."""
