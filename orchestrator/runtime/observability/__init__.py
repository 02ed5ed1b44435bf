"""What the running program tells of itself: logs, traces, metrics."""
