"""A simulated power market."""
