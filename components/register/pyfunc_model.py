"""The registered model's code (MLflow models-from-code). MLflow keeps a copy of this file with every version and runs
it when the version is loaded, for as long as there are versions: it must ask for nothing but `photoshoot.serving`."""

from mlflow.models import set_model

from photoshoot.serving import served

set_model(served("photoshoot.serving/1"))
