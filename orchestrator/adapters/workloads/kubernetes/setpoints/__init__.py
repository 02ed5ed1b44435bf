"""The object that all agents watch for their setpoints."""
