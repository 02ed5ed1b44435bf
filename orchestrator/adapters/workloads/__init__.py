"""Moves racks and jobs: one module or more for each kind of site that runs them."""
