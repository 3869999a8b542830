"""Lua scripts as files: read once, sent by their digest."""

import hashlib
from pathlib import Path
from typing import TypedDict

SCRIPTS = Path(__file__).parent / "scripts"


class Script:
    """A Lua script from `scripts/`, loaded once and sent by its digest.

    Attributes:
        name: File name without the ending, for messages.
        text: The whole Lua source, shared parts first.
        sha: SHA-1 of the text, as `EVALSHA` wants it.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def load_script(folder: Path, *parts: str) -> Script:
    """Read `<part>.lua` files from `folder` and join them; the last part names the script.

    Args:
        folder: Where the files lie.
        parts: File names without `.lua`; shared function files first.
    """
    return Script(parts[-1], "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in parts))


class ScriptCall(TypedDict):
    """One script with its arguments, to run alone or inside a transaction."""

    script: Script
    keys: list[str]
    args: list[str]
