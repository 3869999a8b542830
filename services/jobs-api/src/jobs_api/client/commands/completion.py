"""`jobs completion`: prints the script by which a shell completes `jobs`."""

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import Final

from jobs_api.client.command import AnyCommand, Command
from jobs_api.client.exit_codes import EXIT_OK
from jobs_api.client.parsing import make_parser
from jobs_api.client.session import Session
from jobs_api.client.shell_completion import completion_script
from jobs_api.client.terminal import say, write

SHELLS: Final = ("bash", "zsh")
INSTRUCTIONS: Final = {
    "bash": """To complete jobs in every new shell, add these lines to ~/.bashrc:
  enable -n jobs  # bash has a command of its own by this name
  eval "$(jobs completion bash)\"""",
    "zsh": """To complete jobs in every new shell, add these lines to ~/.zshrc, after compinit:
  disable jobs  # zsh has a command of its own by this name
  eval "$(jobs completion zsh)\"""",
}


class Arguments:
    """What may be written after `jobs completion`."""

    shell: str


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("shell", metavar="bash|zsh", choices=SHELLS, help="the shell that you use")


def completion_command(commands: Callable[[], Sequence[AnyCommand]]) -> Command[Arguments]:
    """Return the command.

    Args:
        commands: gives every command, this one among them.
    """

    def run(parsed: Arguments, session: Session) -> int:
        """Print the script; say to a person what to do with it."""
        terminal = session.terminal
        write(terminal["out"], completion_script(make_parser(commands())[0], parsed.shell))
        if terminal["out"].is_terminal:
            say(terminal["err"], f"\n{INSTRUCTIONS[parsed.shell]}")
        return EXIT_OK

    return Command(
        "completion",
        "print a script that completes jobs in your shell",
        arguments=Arguments,
        add_arguments=add_arguments,
        run=run,
    )
