"""A controller among its replicas on a cluster: standing by, elected, leading for a term."""
