"""The bus. `base` is the delivery contract; the other modules keep it."""
