"""Hand a meshed electrode to COMSOL: a complete model package, and the simulation where COMSOL is installed."""
