"""What every part of Porelay agrees on. Needs pydantic, nothing else."""

__version__ = "0.1.0"
