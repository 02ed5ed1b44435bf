"""Traces of jobs from real clusters: CSV with a row a job, and the Standard Workload Format."""
