"""How a shell completes `jobs`; the one module that knows shtab."""

from argparse import Action, ArgumentParser
from collections.abc import Callable

import shtab


def names_a_file(argument: Action) -> None:
    """Mark an argument whose value is a local file, so that a shell offers the files there are."""
    attributes: dict[str, object] = vars(argument)
    attributes["complete"] = shtab.FILE


def completion_script(parser: ArgumentParser, shell: str) -> str:
    """Return the script by which a shell, `bash` or `zsh`, completes what the parser takes."""
    complete: Callable[[ArgumentParser, str], str] = shtab.complete
    return complete(parser, shell)
