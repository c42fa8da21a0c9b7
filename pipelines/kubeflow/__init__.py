"""Kubeflow Pipelines: compile, reach a server, submit, follow and record a run."""
