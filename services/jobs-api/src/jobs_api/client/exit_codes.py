"""What the program's exit code says."""

from typing import Final

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
"""The job failed, or was cancelled."""

EXIT_USAGE: Final = 2
"""The command, a setting or the request is wrong: another one may work."""

EXIT_UNREACHABLE: Final = 3
"""The API can't be reached, or has a fault: the same may work later."""

EXIT_INTERRUPTED: Final = 130
"""Ctrl-C, as shells tell it: 128 and the signal's number."""

EXIT_BROKEN_PIPE: Final = 141
"""Nobody reads the output on, as shells tell it."""
