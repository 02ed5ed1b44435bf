"""Simulated GPU nodes and their exporters."""
