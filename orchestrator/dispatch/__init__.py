"""What to do, as pure functions of what is known: the same observation gives the same answer."""
