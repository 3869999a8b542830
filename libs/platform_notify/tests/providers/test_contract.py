"""What every provider promises: the same exercises on a Maildir, an SMTP server and Mailtrap."""

import shutil
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Protocol, TypedDict

import pytest
from platform_workers.testing import FakeClock

from platform_notify.messages import MailMessage
from platform_notify.providers.base import MailProvider, ProviderCheckError, SenderAddress
from platform_notify.providers.maildir import MaildirProvider
from platform_notify.providers.mailtrap import MailtrapProvider
from platform_notify.providers.secret import Secret
from platform_notify.providers.smtp import SmtpProvider
from platform_notify.providers.smtp_url import parse_smtp_url
from platform_notify.rate_limit import Unlimited
from platform_notify.testing import MailtrapServer, SmtpServer
from platform_notify.testing.mailtrap_answers import error
from platform_notify.testing.sample_messages import sample_message

UNSUBSCRIBE = ("List-Unsubscribe", "List-Unsubscribe-Post")
SENDER: SenderAddress = {"email": "jobs@example.com", "name": "Jöbs & Co"}


class Arrived(TypedDict):
    sender: str
    to: list[str]
    subject: str
    text: str
    html: str
    delivery_id: str
    auto_submitted: str
    unsubscribe: list[str]


class Harness(Protocol):
    """A provider, and a look at the other end."""

    @property
    def provider(self) -> MailProvider: ...

    def arrived(self) -> list[Arrived]: ...

    def break_backend(self) -> None: ...


def read_mail(content: bytes) -> Arrived:
    mail = message_from_bytes(content, _class=EmailMessage, policy=default)
    parts = {part.get_content_type(): str(part.get_content()) for part in mail.iter_parts()}
    return {
        "sender": str(mail["From"]),
        "to": [str(address) for address in mail.get_all("To", [])],
        "subject": str(mail["Subject"]),
        "text": parts["text/plain"].replace("\r\n", "\n"),
        "html": parts["text/html"].replace("\r\n", "\n"),
        "delivery_id": str(mail["X-Delivery-Id"]),
        "auto_submitted": str(mail["Auto-Submitted"]),
        "unsubscribe": [str(mail[name]) for name in UNSUBSCRIBE if name in mail],
    }


class MaildirHarness:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.provider = MaildirProvider({"path": folder, "sender": SENDER}, FakeClock())

    def arrived(self) -> list[Arrived]:
        files = sorted((self.folder / "new").iterdir(), key=lambda file: file.name)
        return [read_mail(file.read_bytes()) for file in files]

    def break_backend(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.parent.mkdir(exist_ok=True)
        self.folder.write_text("a file where the folder should be")


class SmtpHarness:
    def __init__(self, server: SmtpServer) -> None:
        self.server = server
        url = f"smtp://127.0.0.1:{server.port}"
        self.provider = SmtpProvider(
            {"server": parse_smtp_url(url), "sender": SENDER, "timeout": 5.0}, FakeClock()
        )

    def arrived(self) -> list[Arrived]:
        return [read_mail(mail["content"]) for mail in self.server.mails]

    def break_backend(self) -> None:
        self.server.script("CONNECT", *["reset"] * 10)


class MailtrapHarness:
    def __init__(self, server: MailtrapServer) -> None:
        self.server = server
        self.provider = MailtrapProvider(
            {
                "api_key": Secret("key"),
                "sandbox_inbox_id": "42",
                "account_id": None,
                "api_host": server.host,
                "ca_bundle": server.ca_bundle,
                "sender": SENDER,
                "timeout": 5,
            },
            FakeClock(),
            permits=Unlimited(),
            log_permits=Unlimited(),
        )

    def arrived(self) -> list[Arrived]:
        return [
            {
                "sender": f"{taken['mail']['from'].get('name')} <{taken['mail']['from']['email']}>",
                "to": [address["email"] for address in taken["mail"]["to"]],
                "subject": taken["mail"]["subject"],
                "text": taken["mail"].get("text", ""),
                "html": taken["mail"].get("html", ""),
                "delivery_id": taken["mail"].get("headers", {})["X-Delivery-Id"],
                "auto_submitted": taken["mail"].get("headers", {})["Auto-Submitted"],
                "unsubscribe": [
                    text for name, text in taken["mail"].get("headers", {}).items() if name in UNSUBSCRIBE
                ],
            }
            for taken in self.server.mails
        ]

    def break_backend(self) -> None:
        self.server.answer_always(error(500))


@pytest.fixture(params=["maildir", "smtp", "mailtrap"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    name: str = request.param
    match name:
        case "maildir":
            yield MaildirHarness(tmp_path / "deep" / "maildir")
        case "smtp":
            with SmtpServer(tmp_path / "ca.pem") as smtp:
                yield SmtpHarness(smtp)
        case _:
            with MailtrapServer(tmp_path / "ca.pem") as mailtrap:
                yield MailtrapHarness(mailtrap)


def test_a_mail_arrives_with_both_parts(harness: Harness) -> None:
    [result] = harness.provider.send([sample_message(7)])
    assert result["outcome"] == "sent"
    assert len(result["message_ids"]) == 1
    assert harness.arrived() == [
        {
            "sender": "Jöbs & Co <jobs@example.com>",
            "to": ["person7@example.com"],
            "subject": "Mail number 7",
            "text": "Text of mail 7\n",
            "html": "<p>HTML of mail 7</p>\n",
            "delivery_id": "delivery-7",
            "auto_submitted": "auto-generated",
            "unsubscribe": [],
        }
    ]


@pytest.mark.parametrize("mails", [1, 3])
def test_a_mail_says_where_to_stop_such_mails(harness: Harness, mails: int) -> None:
    """Alone and in a batch; the address is long, and must arrive as it is or no program finds it."""
    url = "https://jobs.example.com/unsubscribe?token=v1." + "Wy-_" * 180 + ".x"
    messages: list[MailMessage] = [
        {**sample_message(number), "unsubscribe_url": url} for number in range(mails)
    ]
    assert [result["outcome"] for result in harness.provider.send(messages)] == ["sent"] * mails
    for arrived in harness.arrived():
        assert arrived["unsubscribe"] == [f"<{url}>", "List-Unsubscribe=One-Click"]
        assert arrived["auto_submitted"] == "auto-generated"


@pytest.mark.parametrize("trick", ["\r\nBcc: all@example.com", ">, <mailto:x@example.com>", " ü"])
def test_no_address_to_unsubscribe_at_becomes_another_header(harness: Harness, trick: str) -> None:
    url = f"https://jobs.example.com/{trick}"
    harness.provider.send([{**sample_message(), "unsubscribe_url": url}])
    [arrived] = harness.arrived()
    assert arrived["to"] == ["person0@example.com"]
    address = arrived["unsubscribe"][0]
    assert address.isascii()
    assert not set(address[1:-1]) & set("<> \r\n")


def test_every_script_and_long_lines_arrive_as_they_are(harness: Harness) -> None:
    words = "İş bitti: öğüş 日本語 🚀 … " * 30
    message: MailMessage = {
        **sample_message(),
        "subject": "İş bitti 日本語 🚀",
        "text": f"{words}\n.\n..dots\nFrom here\n",
        "html": f"<p>{words}</p>\n" + "x" * 2000 + "\n",
    }
    harness.provider.send([message])
    [arrived] = harness.arrived()
    assert arrived["subject"] == message["subject"]
    assert arrived["text"] == message["text"]
    assert arrived["html"] == message["html"]


@pytest.mark.parametrize(
    "trick", ["\r\nBcc: all@example.com", "\nBcc: all@example.com\n\nbody", "\r\n\r\n", "\x00"]
)
def test_no_text_of_a_job_becomes_a_header(harness: Harness, trick: str) -> None:
    harness.provider.send([{**sample_message(), "subject": f"a{trick}b", "category": f"a{trick}b"}])
    [arrived] = harness.arrived()
    assert arrived["subject"] == " ".join(f"a{trick}b".replace("\x00", " ").split())
    assert arrived["to"] == ["person0@example.com"]
    assert arrived["text"] == "Text of mail 0\n"


@pytest.mark.parametrize(
    "recipient",
    [
        "a@example.com, b@example.com",
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com\n",
        "nobody",
        "",
        "Name <a@example.com>",
    ],
)
def test_what_is_not_one_address_gets_no_mail(harness: Harness, recipient: str) -> None:
    results = harness.provider.send([{**sample_message(0), "to": recipient}, sample_message(1)])
    assert [result["outcome"] for result in results] == ["failed", "sent"]
    refused = results[0]
    assert refused["outcome"] == "failed"
    assert refused["error_class"] == "refused"
    assert [arrived["to"] for arrived in harness.arrived()] == [["person1@example.com"]]


@pytest.mark.parametrize("delivery_id", ["", "with space", "line\nbreak", "ü", "x" * 201])
def test_a_delivery_id_that_fits_no_header_is_refused(harness: Harness, delivery_id: str) -> None:
    [result] = harness.provider.send([{**sample_message(), "delivery_id": delivery_id}])
    assert result["outcome"] == "failed"
    assert result["error_class"] == "refused"


def test_an_address_of_another_script_gets_its_mail(harness: Harness) -> None:
    [result] = harness.provider.send([{**sample_message(), "to": "jürgen@bücher.example.com"}])
    assert result["outcome"] == "sent"
    assert harness.arrived()[0]["to"] == ["jürgen@xn--bcher-kva.example.com"]


def test_a_batch_answers_for_each_mail_in_order(harness: Harness) -> None:
    messages = [sample_message(number) for number in range(20)]
    bad: MailMessage = {**sample_message(99), "to": "nobody"}
    results = harness.provider.send([*messages[:5], bad, *messages[5:]])
    assert [result["outcome"] for result in results] == ["sent"] * 5 + ["failed"] + ["sent"] * 15
    assert sorted(arrived["delivery_id"] for arrived in harness.arrived()) == sorted(
        message["delivery_id"] for message in messages
    )


def test_when_the_time_is_up_the_rest_is_not_tried_and_what_was_sent_is_told(harness: Harness) -> None:
    """A slow server made a batch outlast its deadline: every mail of it was called unsure, and sent again."""
    results = harness.provider.send([sample_message(number) for number in range(501)], 0.0)
    outcomes = [result["outcome"] for result in results]
    taken = len(harness.arrived())
    assert taken in {1, 500}, "the first request is made in any case"
    assert outcomes == ["sent"] * taken + ["failed"] * (501 - taken)
    for result in results[taken:]:
        assert result["outcome"] == "failed"
        assert (result["error_class"], result["ambiguous"]) == ("no_time", False)
        assert "not tried" in result["detail"]


def test_no_mails_are_no_work(harness: Harness) -> None:
    assert harness.provider.send([]) == []


def test_a_broken_backend_is_a_result_and_not_an_exception(harness: Harness) -> None:
    harness.break_backend()
    results = harness.provider.send([sample_message(0), sample_message(1)])
    for result in results:
        assert result["outcome"] == "failed"
        assert result["error_class"] == "server"
        assert 0 < len(result["detail"]) <= 500
    assert len(results) == 2


def test_lone_surrogates_and_nul_do_not_stop_a_mail(harness: Harness) -> None:
    message: MailMessage = {
        **sample_message(),
        "text": "a\ud800b\x00c\n",
        "html": "<p>\udfff</p>\n",
        "subject": "\ud800",
    }
    [result] = harness.provider.send([message])
    assert result["outcome"] == "sent"
    [arrived] = harness.arrived()
    assert (arrived["subject"], arrived["text"]) == ("(no subject)", "a?bc\n")


def test_check_says_that_all_is_well(harness: Harness) -> None:
    sentence = harness.provider.check()
    assert sentence.endswith(".")
    harness.provider.send([sample_message()])
    assert len(harness.arrived()) == 1


def test_check_says_what_is_wrong(harness: Harness) -> None:
    harness.break_backend()
    with pytest.raises(ProviderCheckError) as caught:
        harness.provider.check()
    assert str(caught.value).endswith(".")


def test_close_may_be_called_twice_and_sending_goes_on(harness: Harness) -> None:
    harness.provider.send([sample_message(0)])
    harness.provider.close()
    harness.provider.close()
    [result] = harness.provider.send([sample_message(1)])
    assert result["outcome"] == "sent"


def test_each_has_a_name_of_its_own(harness: Harness) -> None:
    assert harness.provider.name in {"maildir", "smtp", "mailtrap"}
