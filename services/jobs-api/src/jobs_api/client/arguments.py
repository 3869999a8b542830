"""The command line of `jobs`: what may be written, and what it means."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from platform_core.errors import DecodeError
from platform_core.json_values import JsonObject, JsonValue, decode_json
from platform_core.notifications import EVENT_WORDS, EventWord, validate_email

DEFAULT_DOMAIN: Final = "files"
DEFAULT_USER_ID: Final = 1

_LISTS: Final = frozenset({"columns", "null_words"})
_YES: Final = frozenset({"true", "yes", "1"})
_NO: Final = frozenset({"false", "no", "0"})
_SWITCHES: Final = frozenset({"has_header"})
_SEPARATORS: Final = {"tab": "\t", "\\t": "\t"}

_EPILOG: Final = """\
exit codes: 0 the job completed, 1 it failed or was cancelled, 2 the command or the settings are wrong,
3 the jobs API can't be reached. Set JOBS_API_URL if it is not at http://127.0.0.1:8080."""


class Arguments(argparse.Namespace):
    """The arguments as parsed; which are set depends on the command."""

    command: str
    job_type: str
    file: Path
    email: str | None = None
    on: list[EventWord] | None = None
    user_id: int
    option: Sequence[tuple[str, JsonValue]] = ()
    watch: bool
    output: Path | None = None
    json: bool
    reference: str

    @property
    def job(self) -> tuple[str, str]:
        """The domain and the id of the job that is meant."""
        domain, slash, job_id = self.reference.rpartition("/")
        return (domain if slash else DEFAULT_DOMAIN), job_id

    @property
    def has_domain(self) -> bool:
        """Whether the domain was given, and is not just the default."""
        return "/" in self.reference

    @property
    def options(self) -> JsonObject:
        """The options as fields of the payload; the last of a name counts."""
        return dict(self.option)


def parse_arguments(arguments: Sequence[str]) -> Arguments:
    """Parse a command line; a wrong one ends the program with code 2 and says why.

    Raises:
        SystemExit: the command line is wrong, or asks for help.
    """
    parser = argparse.ArgumentParser(
        prog="jobs",
        description="Submit jobs, follow them, read their results.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_submit(commands.add_parser("submit", help="upload a file and submit a job for it"))
    _add_watch(commands.add_parser("watch", help="follow a job until it is done, then print its result"))
    _add_show(commands.add_parser("show", help="print what is known of a job"))
    parsed = parser.parse_args(arguments, Arguments())
    if parsed.command == "submit":
        _check_submit(parser, parsed)
    return parsed


def _add_submit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job_type", metavar="JOB_TYPE", help="such as csv.column_stats")
    parser.add_argument("file", metavar="FILE", type=Path, help="the file to work on")
    parser.add_argument("--email", metavar="ADDRESS", help="send a mail to this address")
    parser.add_argument(
        "--on",
        metavar="OUTCOMES",
        type=_outcomes,
        help="success, failure or success,failure (default): when to mail",
    )
    parser.add_argument(
        "--user-id", metavar="NUMBER", type=int, default=DEFAULT_USER_ID, help="whose job it is (default 1)"
    )
    no_options: list[tuple[str, JsonValue]] = []
    parser.add_argument(
        "--option",
        metavar="NAME=VALUE",
        type=_option,
        action="append",
        default=no_options,
        help="delimiter=';', encoding=cp1252, has_header=no (every csv type), null_words=-,none "
        "(csv.column_stats), columns=a,b (csv.deduplicate); json.canonicalize takes none; NAME:=JSON for any "
        "other value; may be repeated",
    )
    parser.add_argument("--watch", action="store_true", help="follow the job and print its result")
    parser.add_argument("--output", metavar="PATH", type=Path, help="save the result here (with --watch)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_watch(parser: argparse.ArgumentParser) -> None:
    _add_job(parser)
    parser.add_argument("--output", metavar="PATH", type=Path, help="save the result here")
    parser.add_argument("--json", action="store_true", help="print each event as a line of JSON")


def _add_show(parser: argparse.ArgumentParser) -> None:
    _add_job(parser)
    parser.add_argument("--json", action="store_true", help="print the whole record as JSON")


def _add_job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reference", metavar="JOB", type=_reference, help="JOB_ID, or DOMAIN/JOB_ID")


def _check_submit(parser: argparse.ArgumentParser, parsed: Arguments) -> None:
    if parsed.on is not None and parsed.email is None:
        parser.error("--on needs --email: who should get the mail?")
    if parsed.email is not None:
        try:
            validate_email(parsed.email, "--email")
        except DecodeError:
            parser.error(f"--email: {parsed.email} is not an email address")
    if parsed.output is not None and not parsed.watch:
        parser.error("--output needs --watch: there is no result before the job is done")


def _reference(text: str) -> str:
    if text.count("/") > 1 or not all(text.split("/")):
        raise argparse.ArgumentTypeError("JOB is JOB_ID or DOMAIN/JOB_ID")
    return text


def _outcomes(text: str) -> list[EventWord]:
    chosen = {word.strip().upper() for word in text.split(",")}
    words = [word for word in EVENT_WORDS if word in chosen]
    if len(words) != len(chosen):
        raise argparse.ArgumentTypeError("expected success, failure or success,failure")
    return words


def _option(text: str) -> tuple[str, JsonValue]:
    name, equals, value = text.partition("=")
    if not equals or not name.rstrip(":"):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, found {text!r}")
    if name.endswith(":"):
        return name[:-1], _json(value)
    if name in _LISTS:
        return name, [part for part in value.split(",") if part]
    if name in _SWITCHES:
        return name, _switch(name, value)
    return name, _SEPARATORS.get(value, value)


def _switch(name: str, value: str) -> bool:
    if value.lower() in _YES | _NO:
        return value.lower() in _YES
    raise argparse.ArgumentTypeError(f"{name} is yes or no")


def _json(text: str) -> JsonValue:
    try:
        return decode_json(text)
    except DecodeError:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON") from None
