"""What the meters of the grid connection and of feeders say, held against the devices behind them."""
