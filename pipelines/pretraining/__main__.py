"""`python -m pipelines.pretraining`: train the networks that ship (called by `make weights`)."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import fields
from pathlib import Path

from components.core.errors import PhotoshootError
from components.core.networks.pretrained.weights import NETWORKS
from pipelines.pretraining.pretrain import PretrainSettings, pretrain


def main(arguments: list[str] | None = None) -> int:
    """Parse arguments, train, print the metrics as one JSON object. Returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m pipelines.pretraining", description=pretrain.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="folder of people for the networks in the losses")
    parser.add_argument("--judge", type=Path, required=True, help="folder of other people, for the networks that judge")
    parser.add_argument("--finder", type=Path, required=True, help="folder of other people, to find faces of")
    parser.add_argument("--held-out", type=Path, required=True, help="folder of other people still, to measure on")
    parser.add_argument("--out", type=Path, required=True, help="where the weights and their cards go")
    parser.add_argument("--only", nargs="+", choices=list(NETWORKS), default=list(NETWORKS), help="train just these")
    for field in fields(PretrainSettings):
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=field.default, help="default %(default)s")
    given = parser.parse_args(arguments)
    try:
        settings = PretrainSettings(**{field.name: getattr(given, field.name) for field in fields(PretrainSettings)})
        summary = pretrain(given.faces, given.judge, given.finder, given.held_out, given.out, settings, only=given.only,
                           command=shlex.join(["python", "-m", "pipelines.pretraining", *arguments]))
    except PhotoshootError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(summary.to_json()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
