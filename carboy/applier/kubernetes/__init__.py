"""Kubernetes: an app as objects of a cluster, by way of kubectl."""
