"""Which readings are believed, which devices are silent, and what stands in for an input that is stale."""
