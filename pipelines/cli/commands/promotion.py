"""Commands for versions: which there are, which one is champion, and how that changes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.core.errors import DataError, InputError
from pipelines.cli.accepting import AcceptOption, accepted, tell
from pipelines.cli.app import (
    DEFAULT_HOME,
    RESULTS,
    STEP_BY_STEP,
    HomeOption,
    IdentitiesOption,
    JsonOption,
    ModelNameOption,
    ModelOption,
    OutOption,
    PeopleOption,
    SettingsOptions,
    app,
    finish,
    succeeded,
)
from pipelines.display import say, table

if TYPE_CHECKING:
    from components.register.promotion import Move

EvaluationOption = Annotated[Path, typer.Option("--evaluation", help="Evaluation that `evaluate` wrote.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Reason, kept in the ledger.")]


@app.command(rich_help_panel=STEP_BY_STEP)
def challenge(model: ModelOption, people: PeopleOption, identities: IdentitiesOption, evaluation: EvaluationOption,
              out: OutOption, asked: SettingsOptions, home: HomeOption = DEFAULT_HOME,
              as_json: JsonOption = False) -> None:
    """Evaluate the champion on a model's pairs, and compare the two pair by pair."""
    settings = asked.settings().register_
    from components.core.record.tracking import step_run
    from components.evaluate.challenge import challenge as work
    from pipelines.home.folder import Home

    place = Home.at(home)
    with step_run("challenge") as recorder:
        summary = work(model, people, identities, evaluation, out, settings, recorder,
                       tracking_uri=place.tracking_uri, state=place.state)
    finish("challenge", summary, out, as_json)
    if summary.reason and not as_json:
        say(summary.reason)


@app.command(rich_help_panel=STEP_BY_STEP)
def register(model: ModelOption, people: PeopleOption, identities: IdentitiesOption, evaluation: EvaluationOption,
             out: OutOption, *,
             comparison: Annotated[Path | None, typer.Option("--comparison", "--duel", help="What `challenge` wrote; "
                                                             "--duel is the old name.")] = None,
             asked: SettingsOptions,
             home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Hold an evaluation against the gate and register the model as a version."""
    settings = asked.settings()
    from components.core.record import tracking
    from components.register import register as work
    from pipelines.home.folder import Home
    from pipelines.local.session import experiment_id

    place = Home.at(home)
    if place.keeps_records:  # MLflow's default experiment keeps its files in the working directory
        experiment = experiment_id(tracking.client(place.tracking_uri, at_once=True), settings.experiment, place)
        os.environ.setdefault(tracking.EXPERIMENT_ID, experiment)
    with tracking.step_run("register") as recorder:
        summary = work(model, evaluation, people, identities, out, settings.register_, recorder,
                       comparison=comparison, tracking_uri=place.tracking_uri)
    finish("register", summary, out, as_json)


@app.command(rich_help_panel=RESULTS)
def versions(home: HomeOption = DEFAULT_HOME, model_name: ModelNameOption = "photoshoot",
             as_json: JsonOption = False) -> None:
    """List the registered versions with aliases and verdicts."""
    from pipelines.home.folder import Home
    from pipelines.results.promotion import list_versions

    found = list_versions(Home.found(home), model_name)
    tell(found.notes)
    if as_json:
        succeeded(**asdict(found))
        return
    table(f"Versions of {model_name}", ("version", "aliases", "gate", "compared with", "run", "created"), [
        (row.version, ", ".join(row.aliases), row.verdict, row.compared, row.run, row.created)
        for row in found.versions
    ])


@app.command(rich_help_panel=RESULTS)
def promote(
    version: Annotated[str, typer.Argument(help="Version number, or an alias such as challenger.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Even if the gate did not pass; needs --reason.")] = False,
    reason: ReasonOption = "",
    canary: Annotated[int | None, typer.Option("--canary", min=0, max=99, metavar="PERCENT", help=(
        "Leave the champion and ask for this share of the requests, where a serving can split them; 0 ends "
        "it."))] = None,
    accept_changed: AcceptOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Only point the alias champion to the version that the "
                                                          "ledger says, where somebody moved it.")] = False,
    model_name: ModelNameOption = "photoshoot", home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False,
) -> None:
    """Make a version the champion, the one that is served.

    It must have passed its gate in comparison with the present champion, by the evaluation that is kept with it, and
    its files must be those that were registered. It is tried in a fresh process first.
    """
    from pipelines.home.folder import Home
    from pipelines.results.promotion import promote_version, repair_alias, start_canary

    if repair == bool(version):
        raise InputError("promote takes a version, or --repair alone", remedy="photoshoot promote challenger")
    if repair and canary is not None:
        raise InputError("--repair takes no --canary", remedy="one after the other")
    if repair:
        done = repair_alias(Home.found(home), model_name)
        succeeded(**asdict(done)) if as_json else print(done.line)
        return
    accepted(home, model_name, version, accept_changed)
    if canary is not None:
        asked = start_canary(Home.found(home), model_name, version, canary, force=force, reason=reason)
        tell(asked.notes)
        succeeded(**asdict(asked)) if as_json else print(asked.line)
        return
    _moved(promote_version(Home.found(home), model_name, version, force=force, reason=reason), as_json)


@app.command(rich_help_panel=RESULTS)
def rollback(reason: ReasonOption = "", model_name: ModelNameOption = "photoshoot", home: HomeOption = DEFAULT_HOME,
             as_json: JsonOption = False) -> None:
    """Make the previous champion champion again; once more goes one version further back."""
    from pipelines.home.folder import Home
    from pipelines.results.promotion import roll_back

    _moved(roll_back(Home.found(home), model_name, reason=reason), as_json)


@app.command(rich_help_panel=RESULTS)
def audit(home: HomeOption = DEFAULT_HOME, model_name: ModelNameOption = "photoshoot",
          as_json: JsonOption = False) -> None:
    """Hold versions, aliases and ledger against each other: missing entries, moved aliases, changed files, in one list.

    Exit code 4 where something is found. Nothing is changed. Every version's files are read.
    """
    from pipelines.home.folder import Home
    from pipelines.results.promotion import audited

    found = audited(Home.found(home), model_name)
    if as_json:
        print(json.dumps({"status": "failed" if found.findings else "succeeded", **asdict(found)}))
    else:
        tell(found.notes)
        for one in found.findings:
            about = f"version {one.version}" if one.version else "the ledger"
            print(f"{one.kind:<9} {about}: {one.what} -- {one.remedy}")
        print(f"{found.versions} versions and {found.entries} entries of {model_name}: {len(found.findings)} findings")
    if found.findings:
        raise typer.Exit(DataError.exit_code)


@app.command("history", rich_help_panel=RESULTS)
def history_(home: HomeOption = DEFAULT_HOME, model_name: ModelNameOption = "photoshoot",
             as_json: JsonOption = False) -> None:
    """Show the ledger: who was made champion when, by whom, why and on which evidence."""
    from pipelines.home.folder import Home
    from pipelines.results.promotion import history

    found = history(Home.found(home), model_name)
    tell(found.notes)
    if as_json:
        succeeded(**asdict(found))
        return
    if not found.entries:
        say(f"no version of {model_name} was promoted yet")
        return
    table(f"Promotions of {model_name}", ("", "when", "what", "from", "to", "who", "why", "evaluation"), [
        (str(entry["number"]), entry["when"], _what(entry), entry["from"] or "-", entry["to"], entry["who"],
         entry["why"], entry["digests"].get("evaluation", "-")[:12]) for entry in found.entries
    ])


def _what(entry: dict[str, object]) -> str:
    if entry["action"] == "accept":
        return "accepted changed files"
    if not entry["counted"]:
        return f"{entry['action']}, came late"
    return f"{entry['action']}, forced" if entry["forced"] else str(entry["action"])


def _moved(move: Move, as_json: bool) -> None:
    tell(move.notes)
    if as_json:
        succeeded(**asdict(move))
        return
    print(move.line)
