"""Workloads as processes of this machine: the mock site of the demo."""
