"""Stage `ingest`: a dropped stack becomes a volume, with quality control."""
