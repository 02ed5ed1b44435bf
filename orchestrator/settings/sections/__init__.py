"""The sections of the site file, as models: what may be in it, in which unit and range."""
