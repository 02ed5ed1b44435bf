"""`wattshift backtest`: files to inputs, strategies to processes, results to files."""
