"""What a Redis must be like so that no job and no mail is lost in it, and what to do where it is not."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from platform_workers.lua_scripts import load_script
from platform_workers.redis import RedisClient

from notifier.findings import Finding, fault, ok, warn

_INFO = load_script(Path(__file__).parent / "scripts", "server_facts")
_VERSION = re.compile(r"([0-9]+)\.([0-9]+)")

OLDEST: Final = (6, 2)
"""XAUTOCLAIM, which takes over what a replica that died had in its hand, and COPY came with it."""

COUNTS_ADDED: Final = (7, 0)
"""Streams know how many entries they ever had."""

NEARLY_FULL: Final = 0.9


def read_facts(redis: RedisClient) -> dict[str, str]:
    """Return what the server says about itself (INFO: server, memory, persistence), by name.

    INFO tells all of it and is allowed at more hosts than CONFIG GET.

    Returns:
        Nothing where its host does not allow to ask.

    Raises:
        RedisUnavailableError: Redis does not answer.
    """
    text = "\n".join(redis.run_script({"script": _INFO, "keys": [], "args": []}))
    pairs = [line.strip().partition(":") for line in text.splitlines()]
    return {name: value for name, colon, value in pairs if colon}


def advise(facts: Mapping[str, str]) -> list[Finding]:
    """Say what of a server is not as it should be; one sentence that all is well if nothing is. Pure.

    Args:
        facts: see `read_facts`; what a server does not tell is passed over, but for its version and its disk.
    """
    if not facts:
        return [
            warn(
                "This Redis does not allow to ask it (INFO) about its version, its disk and its memory. Ask"
                " whoever runs it: version 6.2 or later, an append-only file, maxmemory-policy noeviction."
            )
        ]
    found = [*_of_version(facts), *_of_disk(facts), *_of_memory(facts)]
    if not found:
        return [ok(f"It is {_name(facts)}, writes an append-only file and evicts nothing.")]
    return found


def _name(facts: Mapping[str, str]) -> str:
    if "valkey_version" in facts:
        return f"Valkey {facts['valkey_version']}"
    return f"Redis {facts.get('redis_version', 'of an unknown version')}"


def _of_version(facts: Mapping[str, str]) -> Iterator[Finding]:
    read = _VERSION.match(facts.get("redis_version", ""))
    if read is None:
        yield warn("It does not tell its version; 6.2 or later is needed.")
        return
    version = int(read[1]), int(read[2])
    if version < OLDEST:
        yield fault(f"{_name(facts)} is too old: 6.2 or later is needed, better 7.")
    elif version < COUNTS_ADDED:
        yield warn(
            f"{_name(facts)} does not count what was ever added to a log, so a first notifier looks through"
            " all jobs as well. That does no harm; version 7 spares it."
        )


def _of_disk(facts: Mapping[str, str]) -> Iterator[Finding]:
    writes = facts.get("aof_enabled")
    if writes is None:
        yield warn(
            "It does not tell whether it writes an append-only file. Ask whoever runs it for `appendonly"
            " yes`."
        )
    elif writes == "0":
        yield warn(
            "It writes no append-only file: a crash loses what it has acknowledged since its last"
            " snapshot, jobs and mails that wait. Set `appendonly yes`, unless your host keeps the data in"
            " another way."
        )
    elif facts.get("aof_last_write_status", "ok") != "ok":
        yield fault(
            "It cannot write its append-only file and takes nothing new. Look at its disk and its log."
        )
    if facts.get("rdb_last_bgsave_status", "ok") != "ok":
        yield warn(
            "Its last snapshot failed, and it may take nothing new for that. Look at its disk and its log."
        )


def _of_memory(facts: Mapping[str, str]) -> Iterator[Finding]:
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy.startswith("allkeys-"):
        yield warn(
            f"Its maxmemory-policy is {policy}: when its memory is full it throws away any key, also jobs"
            " and mails that wait. Set `maxmemory-policy noeviction`."
        )
    elif policy.startswith("volatile-"):
        yield warn(
            f"Its maxmemory-policy is {policy}: when its memory is full it throws away ended jobs and the"
            " records of sent mails before their time, and a mail could be sent twice. Set"
            " `maxmemory-policy noeviction`."
        )
    limit, used = _number(facts, "maxmemory"), _number(facts, "used_memory")
    if limit and used >= NEARLY_FULL * limit:
        yield warn(
            f"It uses {round(100 * used / limit)} % of the memory it may have; when that is full it takes"
            " nothing new. Raise `maxmemory`."
        )


def _number(facts: Mapping[str, str], name: str) -> int:
    text = facts.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else 0
