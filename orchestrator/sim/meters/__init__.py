"""Simulated meters of the grid connection and of feeders, with errors of their own."""
