"""Readers and checks, one a file."""
