"""Which replica of the controller acts."""
