"""What the operations on CSV files say alike in their results."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from jobs_api.files.table import Layout


def write_json(result: Path, document: Mapping[str, object]) -> None:
    """Write a result for people to read: UTF-8, indented, one trailing line end."""
    result.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def shown_encoding(layout: Layout) -> str:
    """Name the encoding of a file as people know it."""
    return layout["encoding"].removesuffix("-sig")
