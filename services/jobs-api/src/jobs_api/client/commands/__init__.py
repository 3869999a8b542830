"""The commands of `jobs`, one module each: what may be written after its name, and what it does."""

from typing import Final

from jobs_api.client.command import AnyCommand
from jobs_api.client.commands import (
    cancel,
    job_types,
    listing,
    log,
    preferences,
    retry,
    show,
    stats,
    submit,
    watch,
)
from jobs_api.client.commands.completion import completion_command

COMMANDS: Final[tuple[AnyCommand, ...]] = (
    submit.COMMAND,
    watch.COMMAND,
    listing.COMMAND,
    show.COMMAND,
    log.COMMAND,
    cancel.COMMAND,
    retry.COMMAND,
    stats.COMMAND,
    job_types.COMMAND,
    preferences.COMMAND,
    completion_command(lambda: COMMANDS),
)
