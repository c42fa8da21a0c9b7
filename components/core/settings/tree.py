"""The settings tree: YAML in and out, changes from the command line, errors that name the nearest key."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, get_args

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from components.core.documents import MOST_YAML, Unreadable, read_text, shown, yaml_value
from components.core.errors import SettingsError, machine_errors
from components.core.masking import has_secret
from components.core.settings.costs import CostSettings
from components.core.settings.data import ClusterSettings, PreprocessSettings, SynthesizeSettings
from components.core.settings.judgement import EvaluateSettings, RegisterSettings
from components.core.settings.section import BECAUSE, Section
from components.core.settings.training import TrainSettings
from components.core.settings.tuning import TuneSettings

RENAMED = {"train.momentum": "train.beta1", "preprocess.densepose.person": "preprocess.person"}
"""Old name of a setting -> its name."""
_LONGEST_KEY = 100
_BEYOND = ("less_than_equal", "greater_than_equal")
_log = logging.getLogger(__name__)


class Settings(Section):
    """The whole tree, as saved with every run."""

    preset: str = "demo"
    """Preset that the settings started from."""
    experiment: str = "photoshoot"
    """MLflow experiment."""
    synthesize: SynthesizeSettings = SynthesizeSettings()
    preprocess: PreprocessSettings = PreprocessSettings()
    cluster: ClusterSettings = ClusterSettings()
    tune: TuneSettings = TuneSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    register_: RegisterSettings = Field(RegisterSettings(), alias="register")
    costs: CostSettings = CostSettings()

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=True)

    @model_validator(mode="after")
    def _splits_leave_training(self) -> Self:
        if self.cluster.validation + self.cluster.test >= 1:
            raise ValueError("cluster.validation and cluster.test leave nobody to train on: their sum must be below 1")
        return self

    def with_changes(self, changes: Iterable[str]) -> Settings:
        """Apply ``section.key=value`` changes; values are YAML (``8``, ``true``, ``null``, ``[1, 2]``).

        Raises `SettingsError` that names the nearest known key for one that does not exist.
        """
        tree = self.to_tree()
        for change in changes:
            key, separator, value = change.partition("=")
            if not separator:
                raise SettingsError(f"--set {_key(change)}: no value", remedy="write it as section.key=value")
            _assign(tree, _today(key.strip(), "--set"), _yaml(value, f"--set {_key(change)}"))
        return Settings.from_tree(tree, source="--set")

    def to_tree(self) -> dict[str, Any]:
        """Plain dictionaries, lists and scalars."""
        return self.model_dump(by_alias=True, mode="json")

    def to_yaml(self) -> str:
        """The whole tree as YAML, in the order of the fields."""
        return yaml.safe_dump(self.to_tree(), sort_keys=False, allow_unicode=True)

    @staticmethod
    def from_tree(tree: Mapping[str, Any], *, source: str = "settings") -> Settings:
        """Validate a tree; missing keys take their defaults. Raises `SettingsError`; `source` names its origin."""
        tree = _renamed(tree)
        unknown = next(_unknown_keys(Settings, tree), None)
        if unknown:
            key, known = unknown
            raise SettingsError(f"{source}: unknown setting {_key(key)}", remedy=_nearest(key, known))
        _no_secrets(tree, source)
        try:
            return Settings.model_validate(dict(tree))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "settings"
            message = first["msg"].removeprefix("Value error, ")
            because = _because(Settings, first["loc"]) if first["type"] in _BEYOND else ""
            raise SettingsError(f"{source}: {where} = {shown(first['input'])}: {message}{because}"
                                if first["loc"] else f"{source}: {message}",
                                remedy=f"see `photoshoot settings` for the meaning of {where}") from None

    @staticmethod
    def from_yaml(path: Path, base: Settings | None = None) -> Settings:
        """Read a YAML file over `base` (default: the defaults). Raises `SettingsError`."""
        with machine_errors(path):
            try:
                text = read_text(path, MOST_YAML)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError, Unreadable) as error:
                reason = f" ({error})" if isinstance(error, Unreadable) else ""
                raise SettingsError(f"not a readable settings file{reason}", path=path,
                                    remedy="`photoshoot settings > settings.yaml` writes one to start from") from None
        tree = _yaml(text, str(path))
        if not isinstance(tree, dict):
            raise SettingsError("settings are sections with keys", path=path,
                                remedy="`photoshoot settings > settings.yaml` writes one to start from")
        merged = _merge((base or Settings()).to_tree(), _renamed(tree, str(path)))
        return Settings.from_tree(merged, source=str(path))


def _no_secrets(tree: Mapping[str, Any], source: str, above: str = "") -> None:
    """Settings are written into pipelines, runs, models and reports, for anybody there to read."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            _no_secrets(value, source, f"{above}{key}.")
        elif isinstance(value, str) and has_secret(value):
            raise SettingsError(f"{source}: {above}{key} holds a password or a token",
                                remedy="settings are kept where others read them: give it by the environment")


def _yaml(text: str, source: str) -> Any:
    try:
        return yaml_value(text)
    except Unreadable as error:
        raise SettingsError(f"{source}: not YAML: {error}", remedy="quote text that holds : or #") from None


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _today(name: str, source: str | None = None) -> str:
    """What the setting `name` is called today; who used an old name just now, in `source`, is told."""
    if name in RENAMED and source:
        _log.warning("%s: %s is the old name of %s", source, name, RENAMED[name])
    return RENAMED.get(name, name)


def _renamed(tree: Mapping[str, Any], source: str | None = None) -> dict[str, Any]:
    """A copy with today's names; where a tree has both, today's counts."""
    today = _copy(tree)
    for name in RENAMED:
        *sections, last = name.split(".")
        below: Any = today
        for section in sections:
            below = below.get(section) if isinstance(below, dict) else None
        if isinstance(below, dict) and last in below:
            value, new = below.pop(last), _today(name, source)
            if not _has(today, new):
                _assign(today, new, value)
    return today


def _copy(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in tree.items()}


def _has(tree: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(tree, Mapping) or part not in tree:
            return False
        tree = tree[part]
    return True


def _assign(tree: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        below = tree.setdefault(section, {})
        if not isinstance(below, dict):
            below = tree[section] = {}
        tree = below
    tree[last] = value


def _because(section: type[Section], loc: Sequence[int | str]) -> str:
    """The reason of the bound of the number at `loc`, in brackets."""
    fields = {field.alias or name: field for name, field in section.model_fields.items()}
    field = fields.get(str(loc[0])) if loc else None
    if field is None:
        return ""
    below = _section_of(field.annotation)
    if below:
        return _because(below, loc[1:])
    extra = field.json_schema_extra
    return f" ({extra[BECAUSE]})" if isinstance(extra, dict) and BECAUSE in extra else ""


def _section_of(annotation: Any) -> type[Section] | None:
    candidates = (annotation, *get_args(annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, Section)), None)


def _children(section: type[Section]) -> dict[str, type[Section] | None]:
    return {(field.alias or name): _section_of(field.annotation) for name, field in section.model_fields.items()}


def _paths(section: type[Section], prefix: str = "") -> list[str]:
    paths = []
    for name, below in _children(section).items():
        paths.append(prefix + name)
        if below:
            paths += _paths(below, f"{prefix}{name}.")
    return paths


def _unknown_keys(section: type[Section], tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    children = _children(section)
    for key, value in tree.items():
        if key not in children:
            yield f"{prefix}{key}", _paths(Settings)
        elif (below := children[key]) and isinstance(value, Mapping):
            yield from _unknown_keys(below, value, f"{prefix}{key}.")


def _key(key: str) -> str:
    return key if key.isprintable() and len(key) <= _LONGEST_KEY else shown(key)


def _nearest(key: str, known: list[str]) -> str:
    """Nearest whole path, else the path whose last part is nearest to the key's last part."""
    key = key[:_LONGEST_KEY]  # the search takes time with the square of its length
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if not close:
        last = key.rpartition(".")[2]
        by_last = {path.rpartition(".")[2]: path for path in reversed(known)}
        close = [by_last[name] for name in difflib.get_close_matches(last, list(by_last), n=1, cutoff=0.6)]
    return f"did you mean {close[0]}?" if close else "`photoshoot settings` lists them all"
