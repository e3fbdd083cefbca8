"""Probes of the broker and the store."""
