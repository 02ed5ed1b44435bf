"""Wattshift: the workload orchestrator of a hybrid bitcoin mining and HPC site."""

__version__ = "0.1.0"
