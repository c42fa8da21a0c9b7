"""Pose maps by DensePose through detectron2, or from its dumps."""
