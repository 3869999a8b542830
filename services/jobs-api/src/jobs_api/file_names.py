"""Names of files as people gave them: kept to be shown and offered again, never used as a path of ours."""

import re
from typing import Final
from urllib.parse import quote

FALLBACK_NAME: Final = "file"
MAX_NAME_LENGTH: Final = 200
MAX_ENDING_LENGTH: Final = 10

_INVISIBLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_PLAIN: Final = re.compile(r"[^ !#$&+.0-9A-Z^_`a-z|~()\[\]{}@=,;\'-]")


def clean_file_name(given: str | None) -> str:
    """Return a name safe to show and to offer for saving.

    Folders before the name (of either system) are taken off, and so is what can't be seen or turns the
    direction of writing. A name of which nothing is left becomes `file`.

    Args:
        given: the name as it came from a client; None when there was none.
    """
    last = re.split(r"[/\\]", given or "")[-1]
    name = _INVISIBLE.sub("", last).strip()
    if name.strip(".") == "":
        return FALLBACK_NAME
    if len(name) <= MAX_NAME_LENGTH:
        return name
    stem, dot, ending = name.rpartition(".")
    # A long name keeps its ending, by which programs know what the file is.
    if dot and len(ending) <= MAX_ENDING_LENGTH:
        return stem[: MAX_NAME_LENGTH - len(ending) - 1] + "." + ending
    return name[:MAX_NAME_LENGTH]


def result_name(source_name: str, *, label: str, ending: str) -> str:
    """Name a job's result after the file it was made from: `data.csv` becomes `data.<label>.<ending>`.

    Args:
        source_name: the name of the uploaded file.
        label: what was done, in one word.
        ending: the result's own ending, without the dot.
    """
    stem = source_name.rpartition(".")[0] or source_name
    return clean_file_name(f"{stem}.{label}.{ending}")


def attachment_header(name: str) -> str:
    """Return a `Content-Disposition` that makes a browser save under `name` (RFC 6266), ASCII alone."""
    plain = _NOT_PLAIN.sub("_", name)
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"
