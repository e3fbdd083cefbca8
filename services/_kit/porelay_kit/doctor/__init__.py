"""Probes of the broker and the store: does each behave as we rely on, and what to do where it does not."""
