"""``make reference``: the table of docs/security.md, of what is checked where and by which tests that is held.

A row is added here with each new check. Code and tests that a row names must be there.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from components.core.atomic import atomic_path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security.md"
_MARKS = ("<!-- checks -->", "<!-- /checks -->")
_FORGED = "tests/components/register/test_forged.py"
_MASKING = "tests/components/core/test_masking.py"
_SECRETS = "tests/pipelines/cli/test_secrets.py"


@dataclass(frozen=True)
class Check:
    """What is checked, the code that does it (``path:name``), and tests that fail without it (``path:name``)."""

    what: str
    code: tuple[str, ...]
    tests: tuple[str, ...]


CHECKS = {
    "Versions": (
        Check("A promotion goes by the figures of the evaluation, not by tags",
              ("components/register/held.py:judged_anew", "components/register/promotion.py:objection_to"),
              (f"{_FORGED}:test_a_verdict_edited_in_a_tag_promotes_nobody",
               f"{_FORGED}:test_figures_edited_in_the_evaluation_promote_nobody",
               f"{_FORGED}:test_bounds_and_comparison_are_those_that_were_recorded",
               f"{_FORGED}:test_another_version_s_evidence_is_no_evidence")),
        Check("A version's files, its code too, are those that were registered, before anything is run",
              ("components/register/promotion.py:checked", "components/core/record/custody.py:changes"),
              (f"{_FORGED}:test_changed_files_are_refused_by_name_before_anything_is_run",
               f"{_FORGED}:test_a_file_too_many_or_too_few_is_a_change",
               f"{_FORGED}:test_code_that_no_photoshoot_wrote_is_not_run_for_a_version_without_a_record")),
        Check("What `shoot`, `photoshoot.load`, `challenge` and the served model load is what was registered",
              ("components/core/record/registry.py:files", "photoshoot/serving.py:_check"),
              (f"{_FORGED}:test_loading_checks_the_weights",
               "tests/components/register/test_trusted.py:test_a_changed_model_is_neither_loaded_nor_served_nor_compared_with")),
        Check("Changed files are taken with a reason only, which the ledger keeps",
              ("components/register/promotion.py:accept_changed",),
              (f"{_FORGED}:test_changed_files_are_accepted_with_a_reason_that_the_ledger_keeps",)),
        Check("An alias that the ledger does not know is said, not obeyed, and put back",
              ("components/core/record/ledger.py:who_is", "components/register/promotion.py:repair"),
              (f"{_FORGED}:test_an_alias_set_by_hand_is_said_not_obeyed_and_put_back",
               f"{_FORGED}:test_an_alias_that_nobody_promoted_is_taken_away",
               "tests/components/register/test_trusted.py:test_the_commands_say_it_and_put_it_back")),
        Check("Entries of the ledger that were deleted or edited are missed",
              ("components/core/record/ledger.py:replay", "components/core/record/ledger.py:against_mark"),
              (f"{_FORGED}:test_entries_gone_from_the_database_are_missed",
               f"{_FORGED}:test_an_edited_last_entry_is_noticed",
               "tests/components/register/test_ledger.py:"
               "test_what_was_changed_or_deleted_is_noticed_and_the_rest_still_counts")),
        Check("Killed at any moment, or two at once, there is one champion and a ledger that holds",
              ("components/register/promotion.py:project", "components/register/registry.py:known"),
              ("tests/components/register/test_register_http.py:"
               "test_killed_at_any_moment_there_is_one_champion_and_a_ledger_that_holds",
               "tests/components/register/test_register_http.py:"
               "test_of_two_promotions_at_once_one_wins_and_the_other_is_told",
               "tests/components/register/test_register_killed.py:test_registration_killed_twice")),
    ),
    "Secrets": (
        Check("No secret in an error, in what is printed, in a stack trace, in a child's output",
              ("components/core/masking.py:masked", "components/core/masking.py:install"),
              (f"{_MASKING}:test_what_is_secret_by_its_form_is_taken_out",
               f"{_MASKING}:test_what_the_environment_holds_is_taken_out_however_it_comes",
               f"{_MASKING}:test_a_child_s_traceback_and_prints_are_masked",
               f"{_SECRETS}:test_a_stack_trace_has_no_secret_either",
               f"{_SECRETS}:test_no_command_prints_or_stores_a_secret")),
        Check("Everything that is printed goes through the mask", ("components/core/masking.py:Masking",),
              (f"{_MASKING}:test_nothing_writes_past_the_mask",
               f"{_MASKING}:test_every_program_of_the_package_puts_the_mask_on_first")),
        Check("No secret in MLflow's parameters and tags", ("components/core/record/masked_client.py:MaskedClient",),
              (f"{_MASKING}:test_what_a_run_records_is_masked",)),
        Check("No secret in settings, profiles, addresses of photos and compiled pipelines: it is refused",
              ("pipelines/placement.py:_no_secrets", "components/core/settings/tree.py:_no_secrets"),
              (f"{_SECRETS}:test_a_compiled_pipeline_keeps_no_password",)),
        Check("A server that is none, or broken, is one error within seconds; nobody else is told who we are",
              ("components/core/record/answering.py:what_is_wrong",),
              (f"{_SECRETS}:test_a_broken_server_is_one_clear_error_without_a_secret",)),
    ),
}


def table() -> str:
    """The checks, in Markdown."""
    parts = []
    for title, checks in CHECKS.items():
        rows = [f"| {check.what} | {', '.join(f'`{place}`' for place in check.code)} | "
                f"{'<br>'.join(_test(place) for place in check.tests)} |" for check in checks]
        parts.append("\n".join([f"### {title}", "", "| what | where | held by |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def _test(place: str) -> str:
    """A link to a test, by what its name says. Raises `ValueError` where there is no such test."""
    path, _, name = place.partition(":")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    if not any(isinstance(node, ast.FunctionDef) and node.name == name for node in ast.walk(tree)):
        raise ValueError(f"{path} has no test {name}")
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../{path})"


def page(text: str) -> str:
    """The page with the table of today in its place."""
    before, start, rest = text.partition(_MARKS[0])
    _, end, after = rest.partition(_MARKS[1])
    if not start or not end:
        raise ValueError(f"no {' ... '.join(_MARKS)} in docs/security.md")
    written = "*`make reference` writes these tables from `pipelines/experiments/checks.py`.*"
    return f"{before}{start}\n{written}\n\n{table()}\n{end}{after}"


def write() -> None:
    """Write the page."""
    content = page(PAGE.read_text(encoding="utf-8"))
    with atomic_path(PAGE) as partial:
        partial.write_text(content, encoding="utf-8")
