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
              ("pipelines/profile.py:_no_secrets", "components/core/settings/tree.py:_no_secrets"),
              (f"{_SECRETS}:test_a_compiled_pipeline_keeps_no_password",)),
        Check("A server that is none, or broken, is one error within seconds; nobody else is told who we are",
              ("components/core/record/answering.py:what_is_wrong",),
              (f"{_SECRETS}:test_a_broken_server_is_one_clear_error_without_a_secret",)),
    ),
    "What is read": (
        Check("YAML, JSON and CSV from outside are read within bounds of size, depth and aliases",
              ("components/core/documents.py:yaml_value", "components/core/documents.py:json_value"),
              ("tests/components/core/test_documents.py:test_what_overflows_is_refused_at_once",
               "tests/components/core/test_documents.py:test_files_of_others_are_read_here_alone",
               "tests/components/core/test_settings.py:test_a_file_of_nested_anchors_is_refused")),
        Check("No number of the settings is beyond what a machine can do",
              ("components/core/settings/section.py:Section",),
              ("tests/components/core/test_settings.py:test_every_number_has_bounds_and_a_large_one_its_reason",
               "tests/components/core/test_settings.py:test_what_no_machine_can_do_is_refused_with_the_reason")),
        Check("Broken files of every kind are refused in a line, without hanging or leaving anything behind",
              ("components/core/pictures/images.py:read_photo",),
              ("tests/fuzz/test_readers.py:test_broken_files_are_refused_in_a_line",
               "tests/fuzz/test_readers.py:test_ten_thousand_broken_files_are_refused_in_a_line")),
    ),
    "What is written": (
        Check("The same training writes the same bytes, so a digest tells models apart",
              ("components/core/tensors.py:tensor_bytes",),
              ("tests/components/core/test_tensors.py:test_processes_with_other_hash_seeds_write_the_same_bytes",
               "tests/components/core/test_tensors.py:test_nobody_else_writes_safetensors")),
        Check("What killed processes leave is removed by the next run, and nothing that lives",
              ("components/core/atomic.py:sweep", "pipelines/home/leftovers.py:sweep"),
              ("tests/pipelines/test_kills.py:test_a_training_that_was_killed_leaves_no_trace",
               "tests/pipelines/test_kills.py:test_a_command_that_was_killed_leaves_no_trace",
               "tests/pipelines/home/test_cleaning.py:test_the_next_run_removes_outputs_of_steps_that_never_ended")),
        Check("Cleaning frees nothing that a version or a study needs", ("pipelines/home/cleaning.py:needless",),
              ("tests/pipelines/home/test_cleaning.py:test_what_a_version_needs_stays",
               "tests/pipelines/home/test_cleaning.py:test_cleaning_that_was_interrupted_goes_on")),
        Check("A full or read-only disk is one line that names the path; another person's umask breaks nothing",
              ("components/core/errors.py:machine_errors",),
              ("tests/pipelines/cli/test_disk.py:test_a_disk_that_refuses_is_one_line_that_names_the_path",
               "tests/pipelines/cli/test_disk.py:test_another_persons_umask_does_not_break_what_is_written")),
    ),
    "The page": (
        Check("Only this machine, or who has the token, is let in; other names and other sites are refused",
              ("pipelines/studio/guard.py:Guard", "pipelines/studio/server.py:serve"),
              ("tests/pipelines/studio/test_server.py:test_a_token_lets_in_and_nothing_else_does",
               "tests/pipelines/studio/test_server.py:test_other_names_and_other_sites_are_refused",
               "tests/pipelines/studio/test_server.py:test_a_host_that_others_reach_needs_a_token_that_is_not_guessed")),
        Check("Visitors never see each other's photos and pictures", ("pipelines/studio/visitors.py:Visitors",),
              ("tests/pipelines/studio/test_visitors.py:test_two_visitors_at_once_never_see_each_other_s",)),
        Check("Photos and pictures are gone after the visit, after an hour, and after kill -9",
              ("pipelines/studio/folders.py:private_folder", "pipelines/studio/visitors.py:forget_silent"),
              ("tests/pipelines/studio/test_server.py:test_kill_9_leaves_nothing_that_a_restart_does_not_remove",
               "tests/pipelines/studio/test_visitors.py:test_silent_visitors_are_forgotten_and_the_studio_fills_up",
               "tests/pipelines/studio/test_visitors.py:test_two_hundred_shoots_in_a_row")),
        Check("Hostile files and too large ones are refused", ("pipelines/studio/limits.py:Limits",),
              ("tests/pipelines/studio/test_visitors.py:test_hostile_files_are_refused_in_preprocessing_s_words",
               "tests/pipelines/studio/test_visitors.py:test_what_is_too_large_too_many_or_not_a_wish_is_refused")),
    ),
    "What is installed": (
        Check("Images install every file by its hash", ("pipelines/containers/requirements.py:main",),
              ("tests/images/test_dockerfiles.py:test_packages_are_installed_by_hash_and_passwords_leave_no_trace",
               "tests/images/test_dockerfiles.py:test_a_list_has_the_tested_versions_and_a_hash_for_each")),
        Check("Every dependency comes under a licence that is allowed", ("pipelines/containers/licences.py:findings",),
              ("tests/images/test_supply.py:test_every_dependency_comes_under_a_licence_that_is_allowed",)),
        Check("Each image has a bill of materials, and known vulnerabilities are looked for each week",
              ("pipelines/containers/sbom.py:bill",),
              ("tests/images/test_supply.py:test_a_bill_is_valid_complete_and_the_same_each_time",
               "tests/images/test_supply.py:test_known_vulnerabilities_are_looked_for_on_a_schedule_in_every_list")),
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
