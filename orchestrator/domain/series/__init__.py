"""Which series of which exporter is read for a quantity, and whose it is."""
