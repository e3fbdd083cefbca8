"""Trainers: one a file."""
