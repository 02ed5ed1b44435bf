"""The plan of the hours ahead: the problem, its solution with a proven bound, and what it says of this moment."""
