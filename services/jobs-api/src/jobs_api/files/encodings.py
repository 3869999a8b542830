"""Which character encoding a file has, checked on every byte before any row is read.

A byte order mark decides, then the payload, then the bytes themselves: UTF-8 if all of the file is valid
UTF-8, otherwise what charset-normalizer makes of the lines that are not ASCII. The whole file is decoded once
here (about a second for a gigabyte), so that a bad byte near the end is found before work is spent, and the
reader never meets one.
"""

import codecs
import io
from pathlib import Path
from typing import TypedDict

from charset_normalizer import from_bytes
from platform_core.errors import JobUserError

from jobs_api.files.progress import Stage
from jobs_api.files.signatures import HEAD_BYTES, refuse_other_formats

_CHUNK_BYTES = 1 << 20
_SAMPLE_BYTES = 1 << 15

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with the other's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Codecs that are no character set, or decode to text that cannot be written again (lone surrogates).
_REFUSED_CODECS = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)
# What spreadsheets and databases write. Without such a list the detection offers old Macintosh and DOS sets.
_WESTERN = "cp1252"
_WINDOWS = [_WESTERN, "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256"]
_EAST_ASIAN = ["cp932", "gb18030", "cp949", "big5"]


class TextFacts(TypedDict):
    """What is known about a file once all of it has been decoded."""

    size: int
    """Bytes."""
    encoding: str
    """A Python codec name, `utf-8-sig` for UTF-8 with or without a byte order mark."""
    byte_order_mark: bool
    carriage_returns: bool
    """Whether any character is a carriage return: the lines of a pure Unix file have none."""


class _UndecodableError(Exception):
    def __init__(self, encoding: str, offset: int) -> None:
        super().__init__(encoding, offset)
        self.encoding = encoding
        self.offset = offset


def inspect_text(source: Path, wanted: str | None, stage: Stage) -> TextFacts:
    """Find the encoding of a text file and check every byte of it.

    Args:
        source: the file.
        wanted: the encoding named in the payload; it wins over every guess.
        stage: told the bytes done.

    Raises:
        JobUserError: the file is no text, the encoding is unknown, or some bytes do not fit it.
    """
    size = source.stat().st_size
    head = _read(source, 0, HEAD_BYTES)
    mark = next((codec for start, codec in _MARKS if head.startswith(start)), None)
    if mark is None or mark == "utf-8-sig":
        refuse_other_formats(head)
    encoding = _choose(head, mark, wanted)
    try:
        returns = _check(source, encoding, stage)
    except _UndecodableError as fault:
        if wanted is not None or encoding != "utf-8-sig" or not _is_ascii_before(source, fault.offset):
            raise JobUserError(_undecodable(source, fault)) from None
        encoding = _detect_legacy(source, fault)
        try:
            returns = _check(source, encoding, stage)
        except _UndecodableError as second:
            raise JobUserError(_undecodable(source, second)) from None
    return TextFacts(size=size, encoding=encoding, byte_order_mark=mark is not None, carriage_returns=returns)


def _choose(head: bytes, mark: str | None, wanted: str | None) -> str:
    if wanted is None:
        return mark or _utf16_without_mark(head) or "utf-8-sig"
    name = _codec_name(wanted)
    if mark is not None and mark.startswith(name.removesuffix("-le").removesuffix("-be")):
        return mark
    return "utf-8-sig" if name == "utf-8" else name


def _codec_name(wanted: str) -> str:
    try:
        "a".encode(wanted)
        name = codecs.lookup(wanted).name.replace("_", "-")
    except (LookupError, ValueError):
        name = ""
    if not name or name in _REFUSED_CODECS:
        raise JobUserError(
            f'The encoding "{wanted}" is not known. Usual ones are utf-8, utf-16, cp1252 and latin-1.'
        )
    return name


def _utf16_without_mark(head: bytes) -> str | None:
    """Tell UTF-16 by its zero bytes: in Western text every second byte is zero, and never the other one."""
    pairs = len(head) // 2
    first, second = head[0 : 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    if second * 4 > pairs and first == 0:
        return "utf-16-le"
    if first * 4 > pairs and second == 0:
        return "utf-16-be"
    return None


def _check(source: Path, encoding: str, stage: Stage) -> bool:
    """Decode the whole file; return whether it has a carriage return."""
    decoder = codecs.getincrementaldecoder(encoding)()
    done = 0
    returns = False
    with source.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK_BYTES)
            done += len(chunk)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                # The decoder's own buffer comes before the chunk in `error.object`.
                raise _UndecodableError(encoding, done - len(error.object) + error.start) from None
            if "\0" in text:
                raise JobUserError(
                    "This does not look like a CSV file: it holds zero bytes, which text never does."
                )
            returns = returns or "\r" in text
            stage.at(done)
            if not chunk:
                return returns


def _is_ascii_before(source: Path, offset: int) -> bool:
    """Tell whether the first byte that is not ASCII is also the first that is not UTF-8.

    If valid UTF-8 came before, the file is UTF-8 with a fault, and no other encoding must be guessed.
    """
    with source.open("rb") as file:
        while (left := offset - file.tell()) > 0:
            if not file.read(min(left, _CHUNK_BYTES)).isascii():
                return False
    return True


def _detect_legacy(source: Path, fault: _UndecodableError) -> str:
    start = max(0, fault.offset - HEAD_BYTES)
    window = _read(source, start, HEAD_BYTES + 2 * _SAMPLE_BYTES)
    lines = [line for line in window.splitlines(keepends=True) if not line.isascii()]
    sample = b"".join(lines)[:_SAMPLE_BYTES]
    matches = from_bytes(sample, cp_isolation=_WINDOWS + _EAST_ASIAN)
    best = matches.best()
    if best is None:
        raise JobUserError(_undecodable(source, fault))
    for match in matches:
        # Several sets often fit a short Western text equally well; the commonest is then the best guess.
        same = (match.chaos, match.coherence) == (best.chaos, best.coherence)
        if same and _WESTERN in match.could_be_from_charset:
            return _WESTERN
    return best.encoding


def _undecodable(source: Path, fault: _UndecodableError) -> str:
    name = fault.encoding.removesuffix("-sig")
    byte = _read(source, fault.offset, 1)
    what = f"byte 0x{byte.hex().upper()}" if byte else "end of the file in the middle of a character"
    return (
        f"Line {_line_of(source, fault)} cannot be read as {name} text: {what} at offset {fault.offset}. "
        "Save the file as UTF-8, or name its encoding."
    )


def _line_of(source: Path, fault: _UndecodableError) -> int:
    """Count the lines up to a bad byte, 1-based; a carriage return, a line feed or both end a line."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(fault.encoding)(), translate=True)
    line = 1
    with source.open("rb") as file:
        while (left := fault.offset - file.tell()) > 0:
            line += decoder.decode(file.read(min(left, _CHUNK_BYTES))).count("\n")
    return line + decoder.decode(b"", final=True).count("\n")


def _read(source: Path, offset: int, size: int) -> bytes:
    with source.open("rb") as file:
        file.seek(offset)
        return file.read(size)
