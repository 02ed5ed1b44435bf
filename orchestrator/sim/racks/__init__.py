"""Simulated ASIC racks, their agents and exporters."""
