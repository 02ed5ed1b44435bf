"""What is expected of the hours ahead: prices with their spread, temperature, jobs yet to come."""
