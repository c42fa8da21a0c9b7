"""Checks of a Kubernetes cluster and of Kubeflow on it."""
