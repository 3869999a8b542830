"""What a file really is when it is no text: well-known first bytes, and what to do about each.

People send the workbook instead of the CSV, or the web page that said "please log in". A sentence that names
what the file is helps more than a fault in row 1.
"""

from platform_core.errors import JobUserError

HEAD_BYTES = 4096
"""How much of a file `refuse_other_formats` wants to see."""

_EXCEL = "This looks like an Excel workbook, not a CSV file. Open it and save it as CSV."
_ARCHIVE = "This looks like a compressed archive, not a CSV file. Unpack it and send the CSV file inside."
_PICTURE = "This looks like a picture, not a CSV file."
_WEB_PAGE = "This looks like a web page, not a CSV file. Perhaps the download needed a login."

_FIRST_BYTES = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _EXCEL),
    (b"%PDF-", "This looks like a PDF document, not a CSV file. Save the table in it as CSV."),
    (b"\x89PNG\r\n", _PICTURE),
    (b"\xff\xd8\xff", _PICTURE),
    (b"GIF89a", _PICTURE),
    (b"GIF87a", _PICTURE),
    (b"\x1f\x8b", _ARCHIVE),
    (b"BZh91AY&SY", _ARCHIVE),
    (b"\xfd7zXZ\x00", _ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (b"\x28\xb5\x2f\xfd", _ARCHIVE),
    (b"Rar!\x1a", _ARCHIVE),
    (b"PAR1\x15", "This looks like a Parquet file, not a CSV file. Export it as CSV."),
    (b"SQLite format 3\x00", "This looks like a SQLite database, not a CSV file. Export a table as CSV."),
)

_FIRST_WORDS = (
    (b"<!doctype html", _WEB_PAGE),
    (b"<html", _WEB_PAGE),
    (b"<?xml", "This looks like XML, not a CSV file."),
)


def refuse_other_formats(head: bytes) -> None:
    """Raise if a file is plainly something else than a CSV text.

    Args:
        head: the first `HEAD_BYTES` bytes of the file, or all of it if it is shorter.

    Raises:
        JobUserError: naming what the file looks like.
    """
    if head.startswith(b"PK\x03\x04"):
        raise JobUserError(_zip_content(head))
    for start, sentence in _FIRST_BYTES:
        if head.startswith(start):
            raise JobUserError(sentence)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for start, sentence in _FIRST_WORDS:
        if text.startswith(start):
            raise JobUserError(sentence)
    # Pretty-printed JSON has white space between its first characters.
    if b"".join(text.split()).startswith((b'{"', b'[{"')):
        raise JobUserError("This looks like JSON, not a CSV file.")


def _zip_content(head: bytes) -> str:
    if b"word/" in head:
        return "This looks like a Word document, not a CSV file. Save the table in it as CSV."
    if b"[Content_Types].xml" in head:
        return _EXCEL
    if b"application/vnd.oasis.opendocument.spreadsheet" in head:
        return "This looks like a LibreOffice spreadsheet, not a CSV file. Open it and save it as CSV."
    return _ARCHIVE
