"""Price files in the layouts of the markets, one a module; `prices.file` picks by the header."""
