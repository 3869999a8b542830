"""What a command of `jobs` is: its name, its arguments, and what it does."""

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

from jobs_api.client.session import Session

ArgumentsT = TypeVar("ArgumentsT")

Action: TypeAlias = Callable[[Session], int]
"""A command with its arguments: does it, and returns the exit code."""


class AnyCommand(Protocol):
    """A command, whatever its arguments are."""

    @property
    def name(self) -> str:
        """The word that calls it."""

    @property
    def summary(self) -> str:
        """What it does, in one line."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what may be written after the name."""

    def bind(self, parser: ArgumentParser, words: Sequence[str]) -> Action:
        """Read what was written after the name.

        Raises:
            SystemExit: it is wrong (code 2), or asks for help.
        """


class Command(Generic[ArgumentsT]):
    """One command; each is a module in `commands/`.

    Args:
        name: the word that calls it.
        summary: what it does, in one line.
        arguments: makes the object that the arguments are parsed into; its class declares them.
        add_arguments: declares the arguments.
        run: does it; returns the exit code.
    """

    def __init__(
        self,
        name: str,
        summary: str,
        *,
        arguments: Callable[[], ArgumentsT],
        add_arguments: Callable[[ArgumentParser], None],
        run: Callable[[ArgumentsT, Session], int],
    ) -> None:
        self.name = name
        self.summary = summary
        self._arguments = arguments
        self._add_arguments = add_arguments
        self._run = run

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what may be written after the name."""
        self._add_arguments(parser)

    def parse(self, parser: ArgumentParser, words: Sequence[str]) -> ArgumentsT:
        """Read what was written after the name.

        Raises:
            SystemExit: it is wrong (code 2), or asks for help.
        """
        return parser.parse_args(words, self._arguments())

    def bind(self, parser: ArgumentParser, words: Sequence[str]) -> Action:
        """Read what was written after the name; return what to do."""
        parsed = self.parse(parser, words)
        return lambda session: self._run(parsed, session)
