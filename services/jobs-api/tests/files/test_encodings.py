"""A file's encoding: said, marked, or found; and the place of a byte that does not fit."""

import codecs

import pytest
from files_kit import Lab, refusal
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jobs_api.files import encodings
from jobs_api.files.payloads import RowCountPayload

WESTERN = "navn;by\nSøren;Ærø\nÅse;Tromsø\nJoão;São Paulo\nMüller;Köln\n"


def lines(*texts: str) -> str:
    return "".join(f"{text}\n" for text in texts)


@pytest.mark.parametrize(
    ("content", "encoding", "largest"),
    [
        pytest.param(b"a,b\nz,1\n", "utf-8", "z", id="ASCII"),
        pytest.param("a,b\né,1\n".encode(), "utf-8", "é", id="UTF-8"),
        pytest.param("a,b\né,1\n".encode("utf-8-sig"), "utf-8", "é", id="UTF-8 with mark"),
        pytest.param('"a,b",c\né,1\n'.encode("utf-8-sig"), "utf-8", "é", id="mark before a quote"),
        pytest.param("a,b\né,1\n".encode("utf-16"), "utf-16", "é", id="UTF-16 with mark"),
        pytest.param(codecs.BOM_UTF16_BE + "a,b\né,1\n".encode("utf-16-be"), "utf-16", "é", id="big-endian"),
        pytest.param("a,b\né,1\n".encode("utf-32"), "utf-32", "é", id="UTF-32 with mark"),
        pytest.param("a,b\né,1\n".encode("utf-16-le"), "utf-16-le", "é", id="UTF-16 without mark"),
        pytest.param("a,b\né,1\n".encode("utf-16-be"), "utf-16-be", "é", id="big-endian without mark"),
        pytest.param(WESTERN.encode("cp1252"), "cp1252", "Åse", id="Western"),
        pytest.param("id,name\n1,José\n".encode("cp1252"), "cp1252", 1, id="one accent"),
        pytest.param(lines("имя,город", "Иван,Москва", "Ольга,Тула").encode("cp1251"), "cp1251", "Ольга"),
        pytest.param(lines("όνομα,πόλη", "Γιώργος,Αθήνα").encode("cp1253"), "cp1253", "Γιώργος"),
        pytest.param(lines("名前,都市", "田中太郎,東京都").encode("cp932"), "cp932", "田中太郎"),
    ],
)
def test_encoding_found(lab: Lab, content: bytes, encoding: str, largest: str | int) -> None:
    result = lab.stats(content)
    assert result["encoding"] == encoding
    assert result["columns"][0]["max"] == largest
    assert not result["columns"][0]["name"].startswith("\ufeff")


def test_a_letter_that_is_not_utf8_far_into_the_file_is_found(lab: Lab) -> None:
    content = b"a,b\n" + b"x,1\n" * 500_000 + "é,1\nàçè,2\n".encode("cp1252")
    result = lab.stats(content)
    assert result["encoding"] == "cp1252"
    assert result["columns"][0]["max"] == "é"


@pytest.mark.parametrize(
    ("wanted", "content", "encoding"),
    [
        ("latin-1", "é,b\n".encode("latin-1"), "iso8859-1"),
        ("UTF8", "é,b\n".encode("utf-8-sig"), "utf-8"),
        ("utf-16", "é,b\n".encode("utf-16"), "utf-16"),
        ("utf-16-le", "é,b\n".encode("utf-16"), "utf-16"),
        ("utf-16-le", "é,b\n".encode("utf-16-le"), "utf-16-le"),
        ("cp1250", "é,b\n".encode("utf-8-sig"), "cp1250"),
    ],
)
def test_the_encoding_in_the_payload_wins(lab: Lab, wanted: str, content: bytes, encoding: str) -> None:
    assert lab.count(content, {"file_id": "f", "encoding": wanted})["encoding"] == encoding


@pytest.mark.parametrize(
    "name", ["klingon", "rot13", "base64", "unicode_escape", "utf-7", "idna", "a\0b", "undefined"]
)
def test_an_unknown_encoding_is_refused_by_name(lab: Lab, name: str) -> None:
    sentence = refusal(lambda: lab.count("a,b\n", {"file_id": "f", "encoding": name}))
    assert sentence.startswith(f'The encoding "{name}" is not known.')


NOT_UTF8 = "cannot be read as utf-8 text"


@pytest.mark.parametrize(
    ("content", "wanted", "start"),
    [
        pytest.param(
            b"a,b\n1,2\n3,\xff\n",
            "utf-8",
            f"Line 3 {NOT_UTF8}: byte 0xFF at offset 10.",
            id="UTF-8 said",
        ),
        pytest.param(
            "a,b\né,2\n".encode() + b"3,\xe9\n",
            None,
            f"Line 3 {NOT_UTF8}: byte 0xE9 at offset 11.",
            id="UTF-8 with one fault",
        ),
        pytest.param(
            "a,b\n1,é".encode()[:-1],
            "utf-8",
            f"Line 2 {NOT_UTF8}: byte 0xC3 at offset 6.",
            id="cut off",
        ),
        pytest.param(
            codecs.BOM_UTF8 + b"a,b\r1,2\r\r\n3,\xff\n",
            None,
            f"Line 4 {NOT_UTF8}: byte 0xFF at offset 15.",
            id="line ends of every kind",
        ),
        pytest.param(
            codecs.BOM_UTF8 + b"a,b\r\xff",
            None,
            f"Line 2 {NOT_UTF8}: byte 0xFF at offset 7.",
            id="CR",
        ),
        pytest.param(
            "a,b\n1,2\n".encode("utf-16") + b"\x00",
            None,
            "Line 3 cannot be read as utf-16 text: byte 0x00 at offset 18.",
            id="half a character",
        ),
        pytest.param(
            b"a,b\n1,\x81\n",
            "cp1252",
            "Line 2 cannot be read as cp1252 text: byte 0x81 at offset 6.",
            id="not in the character set",
        ),
        pytest.param(
            b"a,b\n" + "Søren,Ærø\n".encode("cp1252") * 30_000 + b"\x81,1\n",
            None,
            "Line 30002 cannot be read as cp1252 text: byte 0x81 at offset 300004.",
            id="not in the character set that was found",
        ),
    ],
)
def test_a_bad_byte_is_named_with_line_and_offset(
    lab: Lab, content: bytes, wanted: str | None, start: str
) -> None:
    payload = RowCountPayload(file_id="f")
    if wanted is not None:
        payload["encoding"] = wanted
    assert refusal(lambda: lab.count(content, payload)).startswith(start)


def test_bytes_of_no_known_encoding_are_refused(lab: Lab) -> None:
    content = b"a,b\n" + bytes(range(0x80, 0x100)) + b"\n"
    assert refusal(lambda: lab.count(content)).startswith(f"Line 2 {NOT_UTF8}: byte 0x80 at offset 4.")


@settings(deadline=None)
@given(
    text=st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"])),
    noise=st.binary(min_size=1, max_size=6),
    encoding=st.sampled_from(["utf-8", "utf-16-le", "gb18030", "cp932", "cp1252", "ascii"]),
    chunk=st.integers(1, 9),
)
def test_the_offset_is_where_python_itself_stops(
    lab: Lab, text: str, noise: bytes, encoding: str, chunk: int
) -> None:
    """Whatever the encoding, and wherever the chunks of the reading end."""
    content = "a\n".encode(encoding) + text.encode(encoding, errors="ignore") + noise
    offset = offset_of_fault(content, encoding)
    assume(offset is not None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "_CHUNK_BYTES", chunk)
        sentence = refusal(lambda: lab.count(content, {"file_id": "f", "encoding": encoding}))
    # A zero byte before the fault is refused first, and rightly.
    assert f"at offset {offset}." in sentence or "zero bytes" in sentence


def offset_of_fault(content: bytes, encoding: str) -> int | None:
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        return error.start
    return None
