"""Whatever is in a mail, what goes out is a message that every reader takes apart the same way."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import given
from hypothesis.strategies import SearchStrategy, characters, text

from platform_notify.messages import MailMessage
from platform_notify.providers.base import SenderAddress, safe_body, safe_subject
from platform_notify.providers.mime import compose, is_international, message_id
from platform_notify.testing.sample_messages import sample_message

SENDER: SenderAddress = {"email": "jobs@example.com", "name": "Jobs"}
DATE = datetime(2026, 3, 9, 8, 17, 11, tzinfo=UTC)
ANY_TEXT: SearchStrategy[str] = text(characters(), max_size=300)
HEADERS = [
    "Message-ID",
    "Date",
    "From",
    "To",
    "Subject",
    "X-Delivery-Id",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
]


def parsed(content: bytes) -> "EmailMessage[str, str]":
    mail: EmailMessage[str, str] = message_from_bytes(content, _class=EmailMessage, policy=default)
    return mail


def test_the_headers_are_those_of_a_real_mail() -> None:
    mail = parsed(compose(sample_message(3), SENDER, DATE, "\r\n"))
    assert mail.keys() == HEADERS
    assert mail["Message-ID"] == "<delivery-3@example.com>"
    assert mail["Date"] == "Mon, 09 Mar 2026 08:17:11 +0000"
    assert mail["From"] == "Jobs <jobs@example.com>"
    assert mail["To"] == "person3@example.com"
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


def test_the_address_to_unsubscribe_at_stands_on_one_line_as_it_is() -> None:
    """Taken for text it would be cut into encoded words, in which no mail program finds an address."""
    url = "https://jobs.example.com/unsubscribe?token=v1." + "Wy-_" * 180 + ".x"
    content = compose({**sample_message(), "unsubscribe_url": url}, SENDER, DATE, "\r\n")
    assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in content
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in content


@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
def test_lines_end_as_asked_and_stay_within_the_limit(line_end: str) -> None:
    message: MailMessage = {**sample_message(), "text": "x" * 5000, "html": "é" * 5000}
    content = compose(message, SENDER, DATE, line_end)
    assert content.isascii()
    assert (b"\r\n" in content) == (line_end == "\r\n")
    assert max(len(line) for line in content.splitlines()) <= 998


def test_a_mail_is_seven_bits_wide_as_every_server_can_carry() -> None:
    message: MailMessage = {**sample_message(), "subject": "é", "text": "é\n", "html": "<p>é</p>\n"}
    assert compose(message, SENDER, DATE, "\n").isascii()


def test_an_international_address_stands_in_the_header_as_it_is() -> None:
    """An encoded word in an address is no address (RFC 2047 section 5)."""
    content = compose({**sample_message(), "to": "jürgen@example.com"}, SENDER, DATE, "\n")
    assert "\nTo: jürgen@example.com\n".encode() in content


def test_a_sender_without_a_name_is_the_bare_address() -> None:
    mail = parsed(compose(sample_message(), {"email": "jobs@example.com", "name": ""}, DATE, "\n"))
    assert mail["From"] == "jobs@example.com"


def test_a_sender_name_cannot_add_a_header() -> None:
    tricky: SenderAddress = {"email": "jobs@example.com", "name": "Jobs\r\nBcc: all@example.com"}
    mail = parsed(compose(sample_message(), tricky, DATE, "\n"))
    assert mail.keys() == HEADERS


@pytest.mark.parametrize(
    "subject",
    [
        ":üa.--ß. büßß✓üzé✓züü✓ ,zü ✓ß.a-a.ß ü é-",
        "=?utf-8?q?not_an_encoded_word?=",
        "a plain subject that is long enough to be folded at one of its spaces " + "x" * 60,
    ],
)
def test_a_folded_subject_arrives_to_the_letter(subject: str) -> None:
    content = compose({**sample_message(), "subject": subject}, SENDER, DATE, "\n")
    assert str(parsed(content)["Subject"]) == subject


def test_the_message_id_depends_on_the_delivery_alone() -> None:
    odd: MailMessage = {**sample_message(), "delivery_id": "files:job@1"}
    assert message_id(odd, SENDER) == message_id({**odd, "subject": "another"}, SENDER)
    assert message_id(odd, SENDER) != message_id({**odd, "delivery_id": "files:job@2"}, SENDER)
    assert message_id(odd, SENDER).count("@") == 1
    assert message_id(sample_message(), {"email": "jobs@bücher.example", "name": ""}).isascii()


def test_only_an_address_needs_the_international_form() -> None:
    assert not is_international({**sample_message(), "subject": "ü"}, SENDER)
    assert not is_international({**sample_message(), "to": "a@bücher.example"}, SENDER)
    assert is_international({**sample_message(), "to": "ü@example.com"}, SENDER)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_any_texts_arrive_and_add_nothing(subject: str, body: str, name: str) -> None:
    message: MailMessage = {**sample_message(), "subject": subject, "text": body, "html": body}
    mail = parsed(compose(message, {"email": "jobs@example.com", "name": name}, DATE, "\r\n"))
    assert mail.keys() == HEADERS
    assert mail["To"] == "person0@example.com"
    assert " ".join(str(mail["Subject"]).split()) == safe_subject(message)
    texts = [str(part.get_content()) for part in mail.iter_parts()]
    for arrived in texts:
        assert arrived.split() == safe_body(body).split()
