"""Slowly changing figures: hashprice and outdoor temperature, constant or from a CSV file."""
