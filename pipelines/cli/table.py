"""The commands by name: where each is and how help lists it, so that help imports none of them.

Help's order is this one. A test holds the table against the commands themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer.main

from pipelines.cli.help import Entry, Group

PIPELINE = "The pipeline"
STEP_BY_STEP = "One step on a folder"
RESULTS = "Runs and versions"
KUBEFLOW = "On Kubeflow"


@dataclass(frozen=True)
class Listed(Entry):
    """A command that is loaded when it is called."""

    module: str
    """Module of `pipelines.cli.commands` that registers it."""


COMMANDS = {
    "run": Listed(PIPELINE, "Run the pipeline: photos in, a registered version, a report and a contact sheet out.",
                  "pipeline"),
    "compile": Listed(PIPELINE, "Write the pipeline as KFP IR YAML, to upload to Kubeflow or Vertex AI.", "pipeline"),
    "settings": Listed(PIPELINE, "Print all settings as YAML, each with its meaning.", "pipeline"),
    "tune": Listed(PIPELINE, "Search for the loss weights that do best on validation people.", "tuning"),
    "doctor": Listed(PIPELINE, "Look for what would fail a run, in seconds and before anything costs money.", "doctor"),
    "weights": Listed(PIPELINE, "List the networks that can be needed: for what, licence, size, where each is; `fetch` "
                                "brings them.", "doctor"),
    "synthesize": Listed(STEP_BY_STEP, "Render photos of people who do not exist, with exact pose maps.", "steps"),
    "preprocess": Listed(STEP_BY_STEP, "Cut out every person: crop, pose map, matte, texture map.", "steps"),
    "cluster": Listed(STEP_BY_STEP, "Sort people into identities by their faces, and split the identities.", "steps"),
    "identities": Listed(STEP_BY_STEP, "List, merge, split and confirm identities by hand; later clusterings respect "
                                       "it.", "identities"),
    "train": Listed(STEP_BY_STEP, "Train the re-posing model; the same command again resumes from the last checkpoint.",
                    "steps"),
    "evaluate": Listed(STEP_BY_STEP, "Judge a model on people it was never trained on; write the report and the "
                                     "contact sheet.", "steps"),
    "challenge": Listed(STEP_BY_STEP, "Evaluate the champion on a model's pairs, and compare the two pair by pair.",
                        "promotion"),
    "register": Listed(STEP_BY_STEP, "Hold an evaluation against the gate and register the model as a version.",
                       "promotion"),
    "people": Listed(STEP_BY_STEP, "Write a page that shows what `preprocess` understands of photos: pose map, matte, "
                                   "texture, confidence of each person, and what is left out and why.", "maps"),
    "posemap": Listed(STEP_BY_STEP, "Make the pose map (IUV) of each photo from landmarks: <stem>.png in DensePose's "
                                    "format, without detectron2.", "maps"),
    "pose-maps": Listed(STEP_BY_STEP, "Turn a DensePose dump into a pose map (PNG) for each photo; photos that have "
                                      "one keep it.", "maps"),
    "texture": Listed(STEP_BY_STEP, "Write a person's texture map as a PNG whose opacity says how far to trust it.",
                      "maps"),
    "runs": Listed(RESULTS, "List pipeline runs: status, duration, cost, headline metrics; running, failed and killed "
                            "ones too.", "runs"),
    "compare": Listed(RESULTS, "Put runs side by side: metrics with 95 % intervals, what differs from the first run "
                               "beyond noise, settings that differ.", "results"),
    "studies": Listed(RESULTS, "List the studies of loss weights with their best.", "tuning"),
    "ui": Listed(RESULTS, "Open the MLflow UI on this home folder; Ctrl-C ends it.", "results"),
    "versions": Listed(RESULTS, "List the registered versions with aliases and verdicts.", "promotion"),
    "promote": Listed(RESULTS, "Make a version the champion, the one that is served.", "promotion"),
    "rollback": Listed(RESULTS, "Make the previous champion champion again; once more goes one version further back.",
                       "promotion"),
    "history": Listed(RESULTS, "Show the ledger: who was made champion when, by whom, why and on which evidence.",
                      "promotion"),
    "audit": Listed(RESULTS, "Hold versions, aliases and ledger against each other: missing entries, moved aliases, "
                             "changed files, in one list.", "promotion"),
    "home": Listed(RESULTS, "Show where the home folder is, how large, and whether anything that it points to is "
                            "missing or outside.", "results"),
    "clean": Listed(RESULTS, "Show what of the home folder no version or study needs, and free it (--yes).", "clean"),
    "shoot": Listed(RESULTS, "Paint a person in other poses with a registered version, or the starter model before "
                             "there is one.", "pictures"),
    "studio": Listed(RESULTS, "Open the web page: drop photos, click, eight pictures.", "studio"),
    "poses": Listed(RESULTS, "List the poses that `shoot` knows by name, and draw them; `add` learns one from a photo.",
                    "pictures"),
    "experiment": Listed(RESULTS, "Questions about the method itself, answered on people nobody trained on.",
                         "experiments"),
    "follow": Listed(KUBEFLOW, "Follow a run on Kubeflow or Vertex AI to its end: exit code 0 when it succeeds.",
                     "kubeflow"),
    "cancel": Listed(KUBEFLOW, "End a run on Kubeflow or Vertex AI.", "kubeflow"),
    "retry": Listed(KUBEFLOW, "Run the failed steps of a run on Kubeflow again, and what comes after them.",
                    "kubeflow"),
    "schedule": Listed(KUBEFLOW, "Runs at fixed times.", "kubeflow"),
}


class OnDemand(Group):
    """The group of all commands: one is imported when it is called."""

    def __init__(self, *, commands: dict[str, Any], **options: Any) -> None:
        super().__init__(commands={}, **options)
        self.commands = _Loaded(commands)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of help."""
        return list(COMMANDS)

    def entries(self, ctx: Any) -> dict[str, Entry]:
        """What help lists, from the table."""
        return dict(COMMANDS)


class _Loaded(MutableMapping[str, Any]):
    """The commands by name; what is not registered yet is imported when it is asked for."""

    def __init__(self, registered: dict[str, Any]) -> None:
        self._registered = registered

    def __getitem__(self, name: str) -> Any:
        if name not in self._registered:
            module = import_module(f"pipelines.cli.commands.{COMMANDS[name].module}")
            made: Any = typer.main.get_command(module.app)
            self._registered[name] = made.commands._registered[name]
        return self._registered[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._registered[name] = command

    def __delitem__(self, name: str) -> None:
        del self._registered[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)
