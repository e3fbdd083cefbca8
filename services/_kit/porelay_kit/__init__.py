"""Porelay's plumbing. Knows schemas and infrastructure, never a service."""
