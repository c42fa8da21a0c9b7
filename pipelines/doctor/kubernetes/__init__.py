"""Checks of Kubernetes and of Kubeflow on it."""
