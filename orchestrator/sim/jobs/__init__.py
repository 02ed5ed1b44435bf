"""Simulated HPC jobs and the tenants who hand them in."""
