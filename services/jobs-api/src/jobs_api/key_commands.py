"""`jobs-api keys create`, `list` and `revoke`."""

import argparse
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TextIO, TypeAlias

from platform_core.clock import Clock
from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain, job_domain

from jobs_api.access.key_store import KeyStore, KeyTable
from jobs_api.access.keys import MAX_DAYS, SCOPES, ApiKey, Scope, has_expired, make_key

Row: TypeAlias = tuple[str, str, str, str, str, str, str]

_TITLES: Row = ("CREATED", "KEY ID", "NAME", "SCOPES", "DOMAINS", "LAST USED", "STATE")


class KeyArguments(argparse.Namespace):
    """The arguments as parsed; which are set depends on the command."""

    command: str
    keys_command: str
    name: str
    scopes: list[Scope]
    domains: list[JobDomain]
    expires_days: int | None
    key_id: str


def add_key_commands(parser: argparse.ArgumentParser) -> None:
    """Add the three commands to the parser of `keys`."""
    commands = parser.add_subparsers(dest="keys_command", required=True, metavar="COMMAND")
    create = commands.add_parser("create", help="make a key; it is shown once")
    create.add_argument("--name", required=True, help="whose it is, such as `reporting`")
    create.add_argument(
        "--scopes",
        required=True,
        type=_scopes,
        help="read (every GET), submit (files, jobs), manage (cancel, retry, preferences); commas between",
    )
    every: list[JobDomain] = []
    create.add_argument(
        "--domains", type=_domains, default=every, help="whose jobs it sees, commas between; default: all"
    )
    create.add_argument("--expires-days", type=_days, help="how long it is good; default: for ever")
    commands.add_parser("list", help="list the keys, without their secrets")
    revoke = commands.add_parser("revoke", help="make a key useless, within two seconds")
    revoke.add_argument("key_id", metavar="KEY_ID", help="as `list` shows it")


def run_key_command(parsed: KeyArguments, store: KeyStore, clock: Clock, out: TextIO, err: TextIO) -> None:
    """Run one of the commands.

    Args:
        parsed: the arguments.
        store: where the keys lie.
        clock: the time.
        out: where the key or the list goes.
        err: where everything else goes.

    Raises:
        KeyNameError: the name can't be one.
        KeyUnknownError: there is no key to revoke.
        RedisUnavailableError: Redis does not answer.
    """
    match parsed.keys_command:
        case "create":
            lasts = None if parsed.expires_days is None else timedelta(days=parsed.expires_days)
            made = make_key(
                name=parsed.name,
                scopes=parsed.scopes,
                domains=parsed.domains,
                now=clock.now(),
                lasts=lasts,
            )
            store.save(made.key)
            err.write(f"key {made.key['key_id']} made; this is the only time it is shown:\n")
            out.write(f"{made.text}\n")
        case "list":
            table, uses = store.load(), store.last_uses()
            now = clock.now()
            keys = sorted(table["keys"].values(), key=_created)
            rows = [_row(key, table, uses.get(key["key_id"]), now) for key in keys]
            rows += [("?", key_id, "", "", "", "", "damaged") for key_id in table["damaged"]]
            out.write(_columns([_TITLES, *rows]))
        case _:
            store.revoke(parsed.key_id, clock.now())
            err.write(f"key {parsed.key_id} revoked; it is refused within two seconds\n")


def _created(key: ApiKey) -> str:
    return key["created_at"]


def _row(key: ApiKey, table: KeyTable, used: str | None, now: datetime) -> Row:
    return (
        _minute(key["created_at"]),
        key["key_id"],
        key["name"],
        ",".join(key["scopes"]),
        ",".join(key["domains"]) or "all",
        "never" if used is None else _minute(used),
        _state(key, table["revoked"].get(key["key_id"]), now),
    )


def _state(key: ApiKey, revoked: str | None, now: datetime) -> str:
    if revoked is not None:
        return f"revoked {_minute(revoked)}"
    if "expires_at" not in key:
        return "good"
    return f"{'expired' if has_expired(key, now) else 'good until'} {_minute(key['expires_at'])}"


def _minute(moment: str) -> str:
    return datetime.fromisoformat(moment).strftime("%Y-%m-%d %H:%M")


def _columns(rows: Sequence[Row]) -> str:
    widths = [max(len(row[index]) for row in rows) for index in range(len(_TITLES))]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in lines)


def _scopes(text: str) -> list[Scope]:
    words = {word.strip() for word in text.split(",")}
    scopes = [scope for scope in SCOPES if scope in words]
    if len(scopes) != len(words):
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(SCOPES)}, with commas between")
    return scopes


def _domains(text: str) -> list[JobDomain]:
    try:
        return [job_domain(word.strip()) for word in text.split(",")]
    except DecodeError as error:
        raise argparse.ArgumentTypeError(f"expected domains with commas between: {error.expected}") from None


def _days(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= MAX_DAYS:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number of days, 1 to {MAX_DAYS}")
