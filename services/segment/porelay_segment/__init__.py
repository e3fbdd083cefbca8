"""Label the phases of a volume."""
