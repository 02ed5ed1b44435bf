"""What power costs beyond its market price, one file a kind."""
