"""The store: one truth for all. `base` is the contract, the other modules keep it."""
