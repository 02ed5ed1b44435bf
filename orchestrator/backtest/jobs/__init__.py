"""The jobs of a backtest: where they come from, what becomes of them, and whether there is power for them."""
