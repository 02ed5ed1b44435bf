"""How simulated agents in pods follow their cluster."""
