"""One mail on its way to a provider, and the rules that make its texts safe to put in a header.

A job's message, a job type and a domain come from elsewhere. Whatever they hold, no line break or control
character of theirs reaches a header (RFC 5322 section 2.2), and no invisible character reorders what a
person reads.
"""

import re
import unicodedata
from typing import NotRequired, TypedDict

MAX_SUBJECT = 150
MAX_CATEGORY = 255
MAX_SENDER_NAME = 100

# Bidirectional overrides and isolates: with them `exe.txt` can be shown where `txt.exe` stands.
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# What programs write to colour a terminal (ECMA-48, 5.4).
_TERMINAL_CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_LINE_BREAK = re.compile("\r\n|[\r\n\v\f\x85\u2028\u2029]")
_CUT_MARK = "…"


class MailMessage(TypedDict):
    """One mail to one recipient, ready to be sent.

    Attributes:
        delivery_id: names this delivery for ever; a repeated sending carries the same one.
        to: the recipient's address, without a display name.
        subject: one line.
        text: the plain text part.
        html: the HTML part.
        category: what kind of mail this is, for the provider's statistics; at most 255 characters.
        domain: the domain of the job.
        job_id: the job this mail is about; of a digest, the first one.
        unsubscribe_url: where to stop such mails (RFC 8058); absent for nowhere.
    """

    delivery_id: str
    to: str
    subject: str
    text: str
    html: str
    category: str
    domain: str
    job_id: str
    unsubscribe_url: NotRequired[str]


def clean_line(text: str, limit: int) -> str:
    """Make any text one safe line: fit for a header, a log field or a list entry.

    Args:
        text: anything.
        limit: the most characters to return, at least 1. What is cut off is marked with `…`.

    Returns:
        The text with every run of white space and control characters as one space, without lone
        surrogates and bidirectional controls.
    """
    # Nearly every text is plain; looking at each character of it took nearly half the time of writing a mail.
    if not (text.isascii() and text.isprintable()):
        text = "".join(_visible(character, " ") for character in _TERMINAL_CODES.sub("", text))
    return _cut(" ".join(text.split()), limit)


def clean_text(text: str, limit: int) -> str:
    """Make any text safe to show on several lines: only visible characters, tabs and line breaks stay.

    Args:
        text: anything.
        limit: the most characters to return, at least 1. What is cut off is marked with `…`.
    """
    if text.isascii() and text.isprintable():
        return _cut(text.rstrip(), limit)
    unified = _LINE_BREAK.sub("\n", _TERMINAL_CODES.sub("", text))
    kept = "".join(character if character in "\n\t" else _visible(character, "") for character in unified)
    return _cut("\n".join(line.rstrip() for line in kept.split("\n")).strip("\n"), limit)


def _visible(character: str, instead: str) -> str:
    """Give the character, or `instead` for a control or a line break, or nothing for what no text holds."""
    if character in _BIDI_CONTROLS:
        return ""
    match unicodedata.category(character):
        case "Cs":
            return ""
        case "Cc" | "Zl" | "Zp":
            return instead
        case _:
            return character


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return text[: limit - 1].rstrip() + _CUT_MARK
