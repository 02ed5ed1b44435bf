"""Fleets' Deployments and StatefulSets: their objects, their moves, keeping them in step."""
