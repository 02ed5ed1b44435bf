"""Every dollar, once: what was metered, what it cost, what it earned, what is owed."""
