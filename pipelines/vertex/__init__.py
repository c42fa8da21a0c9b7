"""Runs on Vertex AI Pipelines, Google's own service for KFP's pipelines."""
