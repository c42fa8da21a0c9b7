"""Pictures of a study: how it went, what matters, which weights did well."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.exceptions import ExperimentalWarning
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from components.core.artifacts.study import FRONT, HISTORY, IMPORTANCE, PARALLEL
from components.tune import study as studies

if TYPE_CHECKING:
    from components.tune.trials import TrialRow

_NAMED, _FOUND, _WINNER = "#c1440e", "#4c78a8", "#2a9d4e"


def draw(study: Study, rows: Sequence[TrialRow], winner: FrozenTrial, folder: Path) -> list[str]:
    """Write the plots that the study has enough trials for; their file names."""
    import matplotlib as mpl

    mpl.use("Agg")
    finished = [row for row in rows if row.score is not None]
    plots: dict[str, tuple[bool, Callable[[], Any]]] = {
        HISTORY: (True, lambda: _history(finished, winner)),
        FRONT: (True, lambda: _front(finished, winner)),
        PARALLEL: (len(finished) > 1, lambda: _parallel(study)),
        IMPORTANCE: (len(finished) > 3, lambda: _importance(study)),
    }
    return [name for name, (enough, plot) in plots.items() if enough and _save(plot, folder / name)]


def _save(plot: Callable[[], Any], path: Path) -> bool:
    import matplotlib.pyplot as plt

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        figure = plot()
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close("all")
    return True


def _history(rows: Sequence[TrialRow], winner: FrozenTrial) -> Any:
    """Score of each finished trial, and the best so far."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.2))
    scores = [float(row.score or 0.0) for row in rows]
    best = [max(scores[: count + 1]) for count in range(len(scores))]
    axes.step([row.slot for row in rows], best, where="post", color="#999", lw=1.5, label="best so far")
    _points(axes, rows, winner, [float(row.slot) for row in rows], scores)
    axes.set(xlabel="trial", ylabel="score: identity recovered − Fréchet / texture warp's", title="Validation score")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _front(rows: Sequence[TrialRow], winner: FrozenTrial) -> Any:
    """Both parts of the score against each other."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 5))
    _points(axes, rows, winner, [float(row.frechet or 0.0) for row in rows],
            [float(row.identity_recovered or 0.0) for row in rows])
    axes.set(xlabel="Fréchet distance / texture warp's (lower is better)",
             ylabel="identity recovered (higher is better)", title="Face against realism")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _points(axes: Any, rows: Sequence[TrialRow], winner: FrozenTrial, x: Sequence[float], y: Sequence[float]) -> None:
    slot = winner.user_attrs[studies.SLOT]
    kinds = {"set by hand": (_NAMED, "s"), "found": (_FOUND, "o"), "picked": (_WINNER, "*")}
    named = (*studies.PUBLISHED, studies.CURRENT)
    of_kind = ["picked" if row.slot == slot else "set by hand" if row.name in named else "found" for row in rows]
    for kind, (colour, marker) in kinds.items():
        at = [k for k, found in enumerate(of_kind) if found == kind]
        axes.scatter([x[k] for k in at], [y[k] for k in at], color=colour, marker=marker, label=kind, zorder=3,
                     s=140 if kind == "picked" else 36)
    for k, row in enumerate(rows):
        if row.name in named:
            axes.annotate(row.name.removeprefix("hand "), (x[k], y[k]), fontsize=7, xytext=(5, 4),
                          textcoords="offset points", color=_NAMED)


def _parallel(study: Study) -> Any:
    from optuna.visualization.matplotlib import plot_parallel_coordinate

    # With one objective Optuna knows which way is better and colours by it.
    target = None if studies.maximised(study) else _target
    axes = plot_parallel_coordinate(study, params=list(studies.SEARCHED), target=target, target_name="score")
    return _sized(axes, 8, 4.2)


def _importance(study: Study) -> Any:
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.visualization.matplotlib import plot_param_importances

    axes = plot_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), params=list(studies.SEARCHED),
                                  target=lambda trial: -_target(trial), target_name="score")
    axes.set_title("")
    axes.figure.suptitle("How much each weight matters to reach a high score (PED-ANOVA)", fontsize=11)
    return _sized(axes, 7, 3.6)


def _sized(axes: Any, width: float, height: float) -> Any:
    axes.figure.set_size_inches(width, height)
    return axes.figure


def _target(trial: FrozenTrial) -> float:
    assert trial.state is TrialState.COMPLETE
    return float(trial.values[0] if len(trial.values) == 1 else trial.values[0] - trial.values[1])
