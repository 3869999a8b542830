"""The command line of `jobs`: what may be written, and what it means."""

from pathlib import Path

import pytest
from platform_core.json_values import JsonValue

from jobs_api.client.cli import run
from jobs_api.client.commands import COMMANDS, show, submit, watch
from jobs_api.client.parsing import make_parser

PARSERS = make_parser(COMMANDS)[1]


def exit_code(*words: str) -> int:
    """Run a command line that gets nowhere near the API."""
    return run(words, {"JOBS_API_URL": "http://127.0.0.1:1"})


def submission(*words: str) -> submit.Arguments:
    return submit.COMMAND.parse(PARSERS["submit"], words)


def test_a_submission_with_everything() -> None:
    parsed = submission(
        "csv.column_stats", "data.csv", "--email", "me@example.com", "--on", "failure, success",
        "--user-id", "12", "--option", "delimiter=;", "--watch", "--output", "out.json", "--json",
    )  # fmt: skip
    assert (parsed.job_type, parsed.file) == ("csv.column_stats", Path("data.csv"))
    assert (parsed.email, parsed.on, parsed.user_id) == ("me@example.com", ["SUCCESS", "FAILURE"], 12)
    assert (parsed.watch, parsed.output, parsed.json) == (True, Path("out.json"), True)
    assert dict(parsed.option) == {"delimiter": ";"}


def test_what_is_left_out_has_a_default() -> None:
    parsed = submission("csv.row_count", "data.csv")
    assert (parsed.email, parsed.on, parsed.user_id, parsed.option) == (None, None, 1, [])
    assert (parsed.watch, parsed.output, parsed.json) == (False, None, False)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("delimiter=;", "delimiter", ";"),
        ("delimiter=tab", "delimiter", "\t"),
        ("delimiter=\\t", "delimiter", "\t"),
        ("delimiter==", "delimiter", "="),
        ("encoding=cp1252", "encoding", "cp1252"),
        ("columns=a,b", "columns", ["a", "b"]),
        ("null_words=-", "null_words", ["-"]),
        ("null_words=", "null_words", []),
        ("has_header=no", "has_header", False),
        ("has_header=TRUE", "has_header", True),
        ("depth:=3", "depth", 3),
        ('columns:=["a,b"]', "columns", ["a,b"]),
    ],
)
def test_an_option_becomes_a_field_of_the_payload(text: str, name: str, value: JsonValue) -> None:
    parsed = submission("x", "y", "--option", "other=1", "--option", text)
    assert dict(parsed.option) == {"other": "1", name: value}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["nope"], "there is no command 'nope'; known: submit, watch"),
        (["wach"], "did you mean watch?"),
        (["submit", "x"], "FILE"),
        (["submit", "x", "y", "--on", "success"], "--on needs --email"),
        (["submit", "x", "y", "--email", "foo"], "--email: foo is not an email address"),
        (["submit", "x", "y", "--email", "a@b.c", "--on", "never"], "expected success, failure"),
        (["submit", "x", "y", "--output", "z"], "--output needs --watch"),
        (["submit", "x", "y", "--user-id", "me"], "--user-id"),
        (["submit", "x", "y", "--option", "novalue"], "expected NAME=VALUE"),
        (["submit", "x", "y", "--option", "=v"], "expected NAME=VALUE"),
        (["submit", "x", "y", "--option", ":=1"], "expected NAME=VALUE"),
        (["submit", "x", "y", "--option", "a:={"], "is no JSON"),
        (["submit", "x", "y", "--option", "has_header=maybe"], "has_header is yes or no"),
        (["submit", "x", "y", "--run-after", "999999w"], "expected at most 36500d, found '999999w'"),
        (["list", "--since", "36501d"], "expected at most 36500d"),
        (["watch"], "JOB"),
        (["watch", "a/b/c"], "JOB is JOB_ID or DOMAIN/JOB_ID"),
        (["show", "files/"], "JOB is JOB_ID or DOMAIN/JOB_ID"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert exit_code(*arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "job"),
    [("abc", ("files", "abc")), ("files/abc", ("files", "abc")), ("turkic/t-1", ("turkic", "t-1"))],
)
def test_a_job_is_named_with_or_without_its_domain(text: str, job: tuple[str, str]) -> None:
    assert watch.COMMAND.parse(PARSERS["watch"], [text]).job[:2] == job
    assert show.COMMAND.parse(PARSERS["show"], [text]).job[:2] == job


def test_help_tells_what_may_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("submit", "--help") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "columns=a,b (csv.deduplicate)" in out
    assert "success, failure or success,failure (default)" in out


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--help") == 0
    assert "exit codes: 0 all is well" in capsys.readouterr().out


def test_the_readme_tells_of_every_command() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    assert [command.name for command in COMMANDS if f"| `jobs {command.name}" not in readme] == []
