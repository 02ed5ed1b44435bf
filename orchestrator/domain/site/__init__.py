"""The site as its file describes it."""
