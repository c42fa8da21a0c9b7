"""From photos with pose maps to the people data set: crops, mattes, texture maps."""

from components.preprocess.run import PreprocessSummary, preprocess

__all__ = ["PreprocessSummary", "preprocess"]
