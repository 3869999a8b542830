"""`jobs types`: the job types that the API takes, and what each needs."""

import shlex
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from platform_core.json_values import JsonValue, encode_json, to_json_value
from platform_notify.plain_words import human_duration
from rich.console import Console
from rich.text import Text

from jobs_api.client.api import KnownType
from jobs_api.client.arguments import add_json
from jobs_api.client.command import Command
from jobs_api.client.exit_codes import EXIT_OK
from jobs_api.client.job_type_names import find_type
from jobs_api.client.schemas import PayloadField, example_payload, payload_fields
from jobs_api.client.session import Session
from jobs_api.client.tables import Column, print_facts, print_table
from jobs_api.client.terminal import say, write_line
from jobs_api.client.words import visible

FILE_FIELD: Final = "file_id"
"""The field by which a payload names an uploaded file."""

COLUMNS: Final[tuple[Column, ...]] = (
    {"heading": "TYPE"},
    {"heading": "DOMAIN"},
    {"heading": "ATTEMPTS", "right": True, "optional": True},
    {"heading": "TIME LIMIT", "right": True, "optional": True},
    {"heading": "WHAT IT DOES", "shrinks": True},
)


class Arguments:
    """What may be written after `jobs types`."""

    type: str | None
    json: bool


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("type", metavar="TYPE", nargs="?", help="tell what this one takes, with an example")
    add_json(parser, "the types (or the one) as JSON, with the JSON Schema of the payload")


def run(parsed: Arguments, session: Session) -> int:
    """Print the job types, or one of them."""
    out = session.terminal["out"]
    types = session.connect().job_types()
    if parsed.type is not None:
        known = find_type(types, parsed.type)
        if parsed.json:
            write_line(out, encode_json(known["document"]))
        else:
            _print_one(out, known)
    elif parsed.json:
        documents: list[JsonValue] = [known["document"] for known in types]
        write_line(out, encode_json({"job_types": documents}))
    else:
        print_table(out, COLUMNS, [_row(known) for known in types])
    return EXIT_OK


def _row(known: KnownType) -> list[Text]:
    about = known["about"]
    return [
        Text(visible(about["job_type"])),
        Text(visible(about["domain"])),
        Text(str(about["max_attempts"])),
        Text(_limit(known)),
        Text(visible(about.get("description", ""))),
    ]


def _limit(known: KnownType) -> str:
    return human_duration(timedelta(seconds=known["about"]["timeout_seconds"]))


def _print_one(out: Console, known: KnownType) -> None:
    about = known["about"]
    fields = payload_fields(known["schema"])
    print_facts(
        out,
        {
            "type": Text(visible(about["job_type"]), "bold"),
            "": visible(about.get("description", "")),
            "domain": visible(about["domain"]),
            "attempts": f"at most {about['max_attempts']}",
            "time limit": f"{_limit(known)} an attempt",
        },
    )
    out.print()
    say(out, "Fields of its payload:", "bold")
    print_facts(out, {f"  {visible(field['name'])}": _field_words(field) for field in fields})
    out.print()
    say(out, "Example:", "bold")
    say(out, f"  {visible(_example(known, [field['name'] for field in fields]))}")


def _field_words(field: PayloadField) -> str:
    holds = visible(field["holds"]) + (", required" if field["required"] else "")
    meaning = visible(field["description"])
    return f"{holds}\n{meaning}" if meaning else holds


def _example(known: KnownType, names: Sequence[str]) -> str:
    """Return a command that submits such a job."""
    words = ["jobs", "submit", known["about"]["job_type"]]
    takes_file = FILE_FIELD in names
    if takes_file:
        words.append("FILE")
    payload = example_payload(known["schema"], without=[FILE_FIELD] if takes_file else [])
    if payload or not takes_file:
        words += ["--payload", encode_json(to_json_value(payload))]
    return shlex.join([*words, "--watch"])


COMMAND: Final = Command(
    "types",
    "the job types, and what each takes",
    arguments=Arguments,
    add_arguments=add_arguments,
    run=run,
)
