"""Filters for pipeto."""
