"""Reads what the site measures: one module for each way to get at it."""
