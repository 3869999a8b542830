"""The commands of `jobs`, one module each: what may be written after its name, and what it does."""

from typing import Final

from jobs_api.client.command import AnyCommand
from jobs_api.client.commands import show, submit, watch

COMMANDS: Final[tuple[AnyCommand, ...]] = (submit.COMMAND, watch.COMMAND, show.COMMAND)
