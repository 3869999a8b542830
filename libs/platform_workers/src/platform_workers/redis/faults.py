"""The faults of the vendor's client as this library's errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis.exceptions import (
    ClusterDownError as _ClusterDownError,
)
from redis.exceptions import (
    ConnectionError as _ConnectionError,
)
from redis.exceptions import (
    OutOfMemoryError as _OutOfMemoryError,
)
from redis.exceptions import (
    ReadOnlyError as _ReadOnlyError,
)
from redis.exceptions import (
    RedisError as _RedisError,
)
from redis.exceptions import (
    TimeoutError as _TimeoutError,
)

from platform_workers.errors import KeyTakenError, RedisCommandError, RedisUnavailableError

# Bound once with a plain type: the vendor's exception classes take untyped arguments.
_NO_CONNECTION: type[Exception] = _ConnectionError
_NO_ANSWER: type[Exception] = _TimeoutError
_READ_ONLY: type[Exception] = _ReadOnlyError
_FULL: type[Exception] = _OutOfMemoryError
_SLOT_DOWN: type[Exception] = _ClusterDownError
_UNAVAILABLE: Final = (_NO_CONNECTION, _NO_ANSWER, _READ_ONLY, _FULL, _SLOT_DOWN)
# These have no class of their own in the vendor's client: the disk does not take what must be saved, too few
# replicas are there, a script of somebody else runs on and on. In a transaction the command stands before it.
_UNAVAILABLE_WORD: Final = re.compile(r"(?:^|error: )(?:MISCONF|NOREPLICAS|BUSY) ")
_ANY_FAULT: type[Exception] = _RedisError
# With this word a script refuses to begin (`scripts/key_types.lua`); what is wrong comes after it.
_KEY_TAKEN: Final = "KEYTAKEN "


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn the vendor's errors into this library's; for code around RQ, which passes them on.

    Raises:
        RedisUnavailableError: Redis does not answer or takes nothing.
        KeyTakenError: A key holds what does not belong there.
        RedisCommandError: Redis answered and refused a command.
    """
    try:
        yield
    except _UNAVAILABLE as error:
        raise RedisUnavailableError(str(error)) from error
    except _ANY_FAULT as error:
        text = str(error)
        if _UNAVAILABLE_WORD.search(text):
            raise RedisUnavailableError(text) from error
        _, is_taken, reason = text.rpartition(_KEY_TAKEN)
        raise (KeyTakenError(reason) if is_taken else RedisCommandError(text)) from error
