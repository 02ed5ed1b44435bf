"""The meters of the grid connection and of feeders: where they are read, and what they show."""
