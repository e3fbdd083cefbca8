"""How stages are run: `step` runs one; `embedded` and `worker` call that same function."""
