"""The controller's decisions over history: the same limits, plan and dispatch, settled at the prices of the day."""
