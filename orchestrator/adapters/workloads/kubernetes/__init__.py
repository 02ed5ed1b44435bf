"""Kubernetes: the workload driver on Deployments, StatefulSets and Jobs, and leader election (docs/kubernetes.md)."""
