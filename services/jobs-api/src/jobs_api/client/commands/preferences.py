"""`jobs preferences`: of what a user wants to be told by mail."""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from platform_core.errors import DecodeError
from platform_core.json_values import JsonObject, convert_as, decode_json, encode_json
from platform_core.notifications import EventWord, NotificationPreferences

from jobs_api.client.api import JobsApi
from jobs_api.client.arguments import add_json, parse_outcomes
from jobs_api.client.command import Command
from jobs_api.client.connection import no_jobs_api
from jobs_api.client.errors import UsageError
from jobs_api.client.exit_codes import EXIT_OK
from jobs_api.client.preference_changes import Change, changed, changes_anything, preference_facts
from jobs_api.client.session import Session
from jobs_api.client.shell_completion import names_a_file
from jobs_api.client.tables import print_facts
from jobs_api.client.terminal import say, write_line
from jobs_api.client.words import visible

STANDARD_INPUT: Final = "-"


class Arguments:
    """What may be written after `jobs preferences`."""

    user: str
    set: str | None
    opt_out: bool | None
    email: bool | None
    on: Sequence[EventWord] | None
    domain: str | None
    json: bool


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "user", metavar="USER", type=_user, help="the user, as the jobs name it in context.user_id"
    )
    way = parser.add_mutually_exclusive_group()
    names_a_file(
        way.add_argument("--set", metavar="FILE", help="replace them all by this JSON file; - reads a pipe")
    )
    way.add_argument("--opt-out", action="store_true", default=None, help="no mail, whatever a job asks for")
    way.add_argument(
        "--opt-in", dest="opt_out", action="store_false", default=None, help="take --opt-out back"
    )
    parser.add_argument(
        "--email", type=_on_or_off, metavar="on|off", help="mail for jobs that do not say it themselves"
    )
    parser.add_argument(
        "--on", metavar="OUTCOMES", type=parse_outcomes, help="success, failure or success,failure"
    )
    parser.add_argument("--domain", metavar="DOMAIN", help="change it for the jobs of this domain alone")
    add_json(parser, "the whole document as JSON")


def run(parsed: Arguments, session: Session) -> int:
    """Print a user's preferences, after changing them if that was asked for."""
    change: Change = {
        "domain": parsed.domain,
        "opt_out": parsed.opt_out,
        "email": parsed.email,
        "on": parsed.on,
    }
    if parsed.domain is not None and not changes_anything(change):
        raise UsageError("--domain needs what to change there: --opt-out, --opt-in, --email or --on")
    if parsed.set is not None and changes_anything(change):
        raise UsageError("--set replaces the whole document; it goes with no other change")
    # Read before anything is asked of the API: a file that is not there is told at once.
    given = None if parsed.set is None else _read(parsed.set)
    document = _current(session.connect(), parsed.user, given, change)
    if parsed.json:
        write_line(session.terminal["out"], encode_json(document))
        return EXIT_OK
    try:
        preferences = convert_as(document, NotificationPreferences)
    except DecodeError as error:
        raise no_jobs_api(error) from None
    facts = {visible(name): visible(words) for name, words in preference_facts(preferences)}
    print_facts(session.terminal["out"], facts)
    if not document:
        say(session.terminal["err"], f"{visible(parsed.user)} has no preferences yet.")
    return EXIT_OK


def _current(api: JobsApi, user: str, given: JsonObject | None, change: Change) -> JsonObject:
    if given is not None:
        return api.set_preferences(user, given)
    if changes_anything(change):
        return api.change_preferences(user, lambda document: changed(document, change))
    return api.preferences(user)


def _read(name: str) -> JsonObject:
    stdin: TextIO = sys.stdin
    content = stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
    try:
        value = decode_json(content)
        # Checked here as well, so that the fault is told by its place in the file.
        convert_as(value, NotificationPreferences)
    except DecodeError as error:
        raise UsageError(f"--set {name}: {error}") from None
    return value if isinstance(value, dict) else {}


def _user(text: str) -> str:
    if text in {"", ".", ".."}:
        raise ArgumentTypeError("USER is a user's id")
    return text


def _on_or_off(text: str) -> bool:
    if text not in {"on", "off"}:
        raise ArgumentTypeError("expected on or off")
    return text == "on"


COMMAND: Final = Command(
    "preferences",
    "show or change which mails a user gets",
    arguments=Arguments,
    add_arguments=add_arguments,
    run=run,
)
