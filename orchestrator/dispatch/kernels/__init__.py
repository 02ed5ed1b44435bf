"""Compiled numbers and nothing else."""
