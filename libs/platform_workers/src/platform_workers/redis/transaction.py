"""A script and other commands as one MULTI/EXEC: a job's record and RQ's half of it, all or nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from redis.client import Pipeline
from redis.exceptions import (
    WatchError as _WatchError,
)

from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis.client import RedisClient
from platform_workers.redis.faults import translated_errors
from platform_workers.redis.replies import texts_of

# Bound once with a plain type: the vendor's exception classes take untyped arguments.
_WATCHED_KEY_CHANGED: type[Exception] = _WatchError

EXISTS: Final = ["exists"]
"""The reply where something is to be made new and is there already; the scripts say it too."""


class ScriptTransaction:
    """A MULTI/EXEC that begins with one script; what else is written through `pipeline` comes with it.

    Attributes:
        pipeline: The vendor's pipeline, for RQ alone.
        reply: The script's reply, there after the block has ended.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.reply: list[str] = []


@contextmanager
def run_in_transaction(
    client: RedisClient, call: ScriptCall, *, unless: str | None = None
) -> Iterator[ScriptTransaction]:
    """Run a script and everything the block writes to the pipeline as one transaction.

    The whole script text is sent, so that nothing depends on what the server has cached: inside MULTI a
    missing script would be found out too late.

    Args:
        client: the connection.
        call: the script.
        unless: a key; if it is there, or comes into being before everything is written, nothing is written
            at all and the reply is `EXISTS`. A script can refuse by itself, but not keep the rest of its
            transaction from being carried out.

    Raises:
        RedisUnavailableError: Redis did not answer; nothing was written, or all of it.
        RedisCommandError: Redis refused a command.
    """
    with translated_errors(), client.connection.pipeline(transaction=True) as pipeline:
        is_there = False
        if unless is not None:
            # Watched first and looked at afterwards: what changes in between is noticed at the end.
            watch: Callable[[str], object] = pipeline.watch
            watch(unless)
            is_there = bool(client.connection.exists(unless))
        pipeline.multi()
        pipeline.eval(call["script"].text, len(call["keys"]), *call["keys"], *call["args"])
        transaction = ScriptTransaction(pipeline)
        yield transaction
        if is_there:
            transaction.reply = EXISTS
            return
        try:
            replies: list[object] = pipeline.execute()
        except _WATCHED_KEY_CHANGED:
            transaction.reply = EXISTS
        else:
            transaction.reply = texts_of(replies[0])
