"""The command line of `jobs`: which command is called, and with what."""

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from jobs_api.client.command import Action, AnyCommand
from jobs_api.client.errors import UsageError

_EPILOG: Final = """\
exit codes: 0 all is well, and a job that was followed completed; 1 it failed or was cancelled; 2 the
command, a setting or the request is wrong; 3 the jobs API can't be reached or has a fault.
JOBS_API_URL says where the API is (http://127.0.0.1:8080), JOBS_API_KEY who asks. See jobs COMMAND --help."""

_HELP: Final = frozenset({"-h", "--help"})


def parse_command(commands: Sequence[AnyCommand], words: Sequence[str]) -> Action:
    """Read a command line; return what to do.

    Raises:
        UsageError: there is no such command.
        SystemExit: its arguments are wrong (code 2; what is wrong was printed), or it asks for help.
    """
    root, parsers = make_parser(commands)
    name = words[0] if words else ""
    for command in commands:
        if name == command.name:
            return command.bind(parsers[name], words[1:])
    if name in _HELP:
        root.print_help()
        root.exit()
    raise UsageError(_no_such_command(name, [*parsers]))


def make_parser(
    commands: Sequence[AnyCommand],
) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Return the parser of the whole command line, and that of each command by its name."""
    root = argparse.ArgumentParser(
        prog="jobs",
        description="Submit jobs, follow them, look after them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    adding = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers: dict[str, argparse.ArgumentParser] = {}
    for command in commands:
        parser = adding.add_parser(command.name, help=command.summary)
        command.add_arguments(parser)
        parsers[command.name] = parser
    return root, parsers


def _no_such_command(name: str, known: Sequence[str]) -> str:
    if not name:
        return f"COMMAND is missing; it is one of {', '.join(known)}"
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    return f"there is no command {name!r}; {hint}"
