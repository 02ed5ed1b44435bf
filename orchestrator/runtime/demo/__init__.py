"""`wattshift demo`: a real price day moves a mock site, as processes or on a virtual clock."""
