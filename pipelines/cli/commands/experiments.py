"""Experiments about the method."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.core.errors import InputError
from components.core.settings import Generator
from pipelines.cli.app import (
    DEFAULT_HOME,
    RESULTS,
    HomeOption,
    JsonOption,
    PresetOption,
    SettingsOptions,
    app,
    succeeded,
)
from pipelines.cli.help import App

if TYPE_CHECKING:
    from pipelines.experiments.repeat.outcome import Outcome
    from pipelines.experiments.repeat.page import Spread

experiments = App(help="Questions about the method itself, answered on people nobody trained on.")
app.add_typer(experiments, name="experiment", rich_help_panel=RESULTS)


@experiments.command()
def identity(
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for the page and its picture.")] = Path("docs/experiments"),
    work: Annotated[Path, typer.Option("--work", help="Folder for people and models; what is there is used again.")]
    = Path(".photoshoot/experiments/identity"),
    people: Annotated[Path | None, typer.Option("--people", help="People data set (default: made here).")] = None,
    identities: Annotated[Path | None, typer.Option("--identities", help="Their identities.")] = None,
    generator: Annotated[Generator | None,
                         typer.Option("--generator", help="Train this one only (default: both).")] = None,
    asked: SettingsOptions,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Train `paper` and `warp` alike and compare them, warping and a copy-cat on held-out people."""
    settings = asked.settings()
    from components.core.record.tracking import step_run
    from pipelines.display import table
    from pipelines.experiments.identity import page
    from pipelines.experiments.identity.study import GENERATORS, Study, made_people, run

    found = made_people(people, identities, work, settings)
    with step_run("experiment", name="identity") as recorder:
        findings = run(*found, work, settings, recorder, GENERATORS if generator is None else [generator])
        written = page.write(findings, Study(*found, settings), out)
        recorder.artifact(written)
        recorder.artifact(out / page.PICTURE)
    if as_json:
        rows = {kind: {row.name: {name: metric.to_json() for name, metric in row.metrics.items()} for row in rows}
                for kind, rows in findings.rows.items()}
        curves = {name: asdict(curve)["points"] for name, curve in findings.curves.items()}
        succeeded(page=str(written), metrics=rows, curves=curves)
        return
    metrics = findings.rows["transfer"]
    table("identity recovered, held-out people", ("", ""),
          [(row.name, f"{row.metrics['identity_recovered'].value or float('nan'):.2f}") for row in metrics]
          + [("written to", str(written))])


# Small enough for minutes on two cores, with enough people on each side of the split to tell.
_TUNING = ("synthesize.people=40", "cluster.validation=0.25", "cluster.test=0.3", "train.steps=80", "tune.steps=80",
           "tune.looks=1", "tune.pruner=none", "tune.trials=20", "evaluate.pairs=192")


@dataclass(frozen=True)
class _SmokeOptions(SettingsOptions):
    preset_name: PresetOption = "smoke"


@experiments.command()
def tuning(
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for the page and its picture.")] = Path("docs/experiments"),
    asked: _SmokeOptions,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Search for loss weights, then compare a tuned and an untuned run on people the study has never seen."""
    settings = replace(asked, changes=[*_TUNING, *(asked.changes or [])]).settings()
    from pipelines.experiments import tuning as experiment
    from pipelines.home.folder import Home

    print(f"written to {experiment.write(experiment.run(settings, Home.at(home)), out)}")


# Other people on the machine as it is, then the first ones on other kinds of machine.
_SEEDS, _MACHINES = "0-4", "plain,one-thread,two-threads,avx2"


@experiments.command()
def repeat(
    *,
    seeds: Annotated[str, typer.Option("--seeds", help="Values of synthesize.seed, such as 0-4 or 1,5.")] = _SEEDS,
    machines: Annotated[str, typer.Option(
        "--machines", help="plain runs every seed as the machine is; the others (one-thread, two-threads, avx2) run "
                           "the first seed.")] = _MACHINES,
    parallel: Annotated[int, typer.Option("--parallel", min=1, help="Runs at once; they share the threads.")] = 1,
    page: Annotated[Path, typer.Option("--page", help="Markdown file that gets the tables, between its two marks.")]
    = Path("docs/evaluation.md"),
    work: Annotated[Path, typer.Option("--work", help="Folder for homes and logs; what is finished is used again.")]
    = Path(".photoshoot/experiments/repeat"),
    asked: SettingsOptions,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Run the pipeline on fresh homes, with other people and on other kinds of machine, and write how far every line
    of the gate is from its bound. The same command goes on where it was interrupted."""
    settings = asked.settings()
    from pipelines.experiments.repeat import page as repeat_page
    from pipelines.experiments.repeat import runs as experiment

    options = _given("--preset", asked.preset_name, "demo") + _given("--settings", asked.settings_file, None)
    options += [part for change in asked.changes or [] for part in ("--set", change)]
    jobs = experiment.plan(_numbers(seeds), [name.strip() for name in machines.split(",")], settings, options, work)
    outcomes = experiment.run(jobs, work, parallel)
    given = _given("--seeds", seeds, _SEEDS) + _given("--machines", machines, _MACHINES)
    given += _given("--parallel", parallel, 1) + options
    written = repeat_page.write(outcomes, shlex.join(["photoshoot", "experiment", "repeat", *given]), page)
    spreads = repeat_page.spreads(outcomes)
    if as_json:
        succeeded(page=str(written), runs=[asdict(one) for one in outcomes], lines=[asdict(one) for one in spreads],
                  same_identities=repeat_page.same_identities(outcomes))
        return
    _show_repeated(outcomes, spreads)
    print(f"written to {written}")


def _show_repeated(outcomes: Sequence[Outcome], spreads: Sequence[Spread]) -> None:
    from pipelines.display import table

    table("Runs", ("run", "gate", "champion", "identities", "minutes"), [
        (one.name, one.verdict, "yes" if one.champion else "no", f"{one.identities} ({one.assignment[:12]})",
         f"{one.seconds / 60:.1f}") for one in outcomes
    ])
    table("Gate", ("line", "bound", "mean", "standard deviations away", "did not pass"), [
        (one.name, f"{one.comparison} {one.bound:g}", "-" if one.mean is None else f"{one.mean:.4g}",
         "-" if one.away is None else f"{one.away:.1f}",
         ", ".join(run.name for run, passed in zip(outcomes, one.passed, strict=True) if passed is False) or "-")
        for one in spreads
    ])


def _given(option: str, value: object, default: object) -> list[str]:
    return [] if value == default else [option, str(value)]


def _numbers(text: str) -> list[int]:
    """``0-2,5`` as 0, 1, 2, 5."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            raise InputError(f"no seeds: {text}", remedy="--seeds takes ranges and lists, such as 0-4 or 1,5")
        found += range(int(first), int(last or first) + 1)
    return found


@experiments.command()
def controls(
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for the page.")] = Path("docs/experiments"),
    work: Annotated[Path, typer.Option("--work", help="Folder for people and finished draws; what is there is used "
                                                      "again.")] = Path(".photoshoot/experiments/controls"),
    people: Annotated[list[Path] | None,
                      typer.Option("--people", help="People data set; several times for several "
                                                    "(default: made here).")] = None,
    identities: Annotated[list[Path] | None,
                          typer.Option("--identities", help="Their identities, in the same order.")] = None,
    draws: Annotated[int, typer.Option("--draws", min=2, help="Held-out sets drawn, over all people sets.")] = 100,
    asked: SettingsOptions,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Judge copy-cat, baked background and real photos on a hundred held-out sets, and say how far each bound is."""
    settings = asked.settings()
    if len(people or []) != len(identities or []):
        raise InputError("--people and --identities go together", remedy="give the same number of each")
    from pipelines.display import table
    from pipelines.experiments.controls import page, study
    from pipelines.experiments.identity.study import made_people

    sets = list(zip(people or [], identities or [], strict=True)) or [made_people(None, None, work, settings)]
    rows = page.rows(study.run(sets, work / "draws", settings, draws))
    about = f"{draws} draws from {'one people set' if len(sets) == 1 else f'{len(sets)} people sets'}."
    written = page.write(rows, f"photoshoot experiment controls --preset {settings.preset} --draws {draws}", about, out)
    if as_json:
        succeeded(page=str(written), controls=page.plain(rows))
        return
    table("controls", ("control", "as it must be", "not", "because"),
          [(row.control, f"{row.behaved} of {row.draws}", str(row.draws - row.behaved), "; ".join(row.reasons) or "-")
           for row in rows])
    print(f"written to {written}")


@experiments.command()
def maps(
    photos: Annotated[Path, typer.Option("--photos", help="Folder of photos with pose maps.")],
    page: Annotated[Path, typer.Option("--page", help="Markdown file that gets the table.")]
    = Path("docs/experiments/maps.md"),
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Make pose maps from landmarks for photos that have some, and say how far the two agree."""
    from components.core.estimation.estimate import estimate_people
    from components.core.progress import track
    from pipelines.display import table
    from pipelines.experiments import maps as experiment
    from pipelines.experiments.textures import by_person

    rows = list(track(experiment.compared(photos, lambda photo: [one.iuv for one in estimate_people(photo)]),
                      label="photos"))
    written = experiment.write(rows, shlex.join(["photoshoot", "experiment", "maps", "--photos", photos.name]), page)
    textures = by_person(experiment.texture_pairs(rows))
    if as_json:
        succeeded(page=str(written), photos=experiment.plain(rows), textures=textures)
        return
    found = [row for row in rows if row.agreement is not None]
    table("pose maps from landmarks", ("", "median"),
          [("found", f"{len(found)} of {len(rows)}"),
           *((name, f"{value:.3f}") for name, value in (experiment.medians(rows) if found else {}).items()),
           *((f"textures: {name}", f"{value:.1f}") for name, value in textures.items() if "people" not in name),
           ("written to", str(written))])


@experiments.command()
def real(
    *,
    photos: Annotated[Path, typer.Option("--photos", help="Folder of plain photos of several people; labels or "
                                                          "sub-folders say who is who, else the faces do.")],
    model: Annotated[str, typer.Option("--model", help="models:/NAME@ALIAS, a folder, or generator.safetensors.")]
    = "models:/photoshoot@champion",
    out: Annotated[Path, typer.Option("--out", help="Folder for the page with the pictures, and for all that is "
                                                    "finished, which is used again.")]
    = Path(".photoshoot/experiments/real"),
    figures: Annotated[Path | None, typer.Option("--figures", help="Markdown file for the tables, without pictures "
                                                                   "(default: real.md in --out).")] = None,
    size: Annotated[list[int] | None, typer.Option("--size", min=64, max=2048, help="Side of the pictures in pixels; "
                                                   "several times for several (default: the model's, 512, 1024).")]
    = None,
    several: Annotated[list[int] | None, typer.Option("--several", min=1, help="Photos of a person to paint from; "
                                                      "several times for several (default: 1, 2, 4).")] = None,
    poses: Annotated[int, typer.Option("--poses", min=1, help="Poses of other people for everybody.")] = 6,
    perceptual: Annotated[str, typer.Option("--perceptual", help="Perceptual network: builtin, vgg16 or vgg19.")]
    = "builtin",
    portraits: Annotated[bool, typer.Option("--portraits/--no-portraits",
                                            help="Paint head and shoulders in the poses of others, too.")] = True,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Paint real people in poses of others and in their own, and say whether they are recognised, in place, clean, and
    nearer to the person than plain warping. The same command goes on where it was interrupted."""
    from photoshoot.model import load
    from pipelines.bench.steps import machine
    from pipelines.display import table
    from pipelines.experiments.real import page, study

    loaded = load(model)
    options = study.Options(study.sizes_of(size, loaded.resolution), tuple(sorted(set(several or [1, 2, 4]))), poses,
                            perceptual, portraits)
    findings = study.run(photos, loaded, out, options)
    tables = page.tables(findings)
    given = ["--photos", "DIR", *_given("--model", model, "models:/photoshoot@champion"), *_each("--size", size),
             *_each("--several", several), *_given("--poses", poses, 6), *([] if portraits else ["--no-portraits"])]
    command = shlex.join(["photoshoot", "experiment", "real", *given, *_given("--perceptual", perceptual, "builtin")])
    written = page.write_figures(page.markdown(findings, tables, command, machine()), figures or out / "real.md")
    pictures = page.write_pictures(findings, out)
    if as_json:
        succeeded(page=str(written), pictures=str(pictures), **page.plain(tables))
        return
    for kind, lines in tables.rows.items():
        table(page.title(kind), ("", "found", "SFace", "dlib", "both"), page.shares(lines))
    print(f"{page.result(tables)}\nwritten to {written} and, with pictures, {pictures}")


def _each(option: str, values: Sequence[int] | None) -> list[str]:
    return [part for value in values or [] for part in (option, str(value))]
