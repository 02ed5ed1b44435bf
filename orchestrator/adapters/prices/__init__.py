"""Prices of energy: files in the layouts of the markets, an HTTP source that is polled, and one that is pushed."""
