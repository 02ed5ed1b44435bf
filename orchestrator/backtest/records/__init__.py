"""Every settled interval of a backtest, as rows of a Parquet file."""
