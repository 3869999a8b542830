"""A mail is one whole file in a Maildir that any reader opens, however often it is delivered."""

import mailbox
import os
import threading
from pathlib import Path

import pytest
from platform_workers.testing import FakeClock

from platform_notify.messages import MailMessage
from platform_notify.providers.base import SendResult
from platform_notify.providers.maildir import MaildirProvider
from platform_notify.testing.sample_messages import sample_message


def provider(folder: Path) -> MaildirProvider:
    return MaildirProvider(
        {"path": folder, "sender": {"email": "jobs@example.com", "name": "Jobs"}}, FakeClock()
    )


def answer(result: SendResult) -> str:
    assert result["outcome"] == "sent"
    return result["answer"]


def test_the_standard_library_reads_it(tmp_path: Path) -> None:
    provider(tmp_path / "box").send([sample_message(0), sample_message(1)])
    box = mailbox.Maildir(tmp_path / "box", create=False)
    assert sorted(str(mail["Subject"]) for mail in box) == ["Mail number 0", "Mail number 1"]
    assert list((tmp_path / "box" / "tmp").iterdir()) == []


def test_delivered_twice_it_is_there_once(tmp_path: Path) -> None:
    [first] = provider(tmp_path).send([sample_message()])
    [second] = provider(tmp_path).send([sample_message()])
    assert answer(first) == "new/delivery-0 written"
    assert answer(second) == "new/delivery-0 was there already"
    assert first["outcome"] == second["outcome"]
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["delivery-0"]


def test_delivered_again_after_it_was_read_it_does_not_come_back(tmp_path: Path) -> None:
    provider(tmp_path).send([sample_message()])
    (tmp_path / "new" / "delivery-0").rename(tmp_path / "cur" / "delivery-0:2,S")
    [result] = provider(tmp_path).send([sample_message()])
    assert answer(result) == "cur/delivery-0 was there already"
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("delivery_id", ["../../escape", "a:2,S", ".hidden", "a/b", "x" * 150])
def test_an_odd_delivery_id_stays_in_the_folder(tmp_path: Path, delivery_id: str) -> None:
    message: MailMessage = {**sample_message(), "delivery_id": delivery_id}
    provider(tmp_path / "box").send([message, message])
    [file] = (tmp_path / "box" / "new").iterdir()
    assert len(file.name) == 64
    assert {entry.name for entry in tmp_path.iterdir()} == {"box"}


def test_a_mail_that_cannot_be_written_does_not_stop_the_others(tmp_path: Path) -> None:
    draft = tmp_path / "tmp" / f"delivery-0.{os.getpid()}.{threading.get_ident()}"
    draft.mkdir(parents=True)
    first, second = provider(tmp_path).send([sample_message(0), sample_message(1)])
    assert first["outcome"] == "failed"
    assert first["error_class"] == "server"
    assert second["outcome"] == "sent"


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    maildir = provider(tmp_path)
    maildir.check()
    (tmp_path / "new").rmdir()
    (tmp_path / "new").write_text("in the way")
    [result] = maildir.send([sample_message()])
    assert result["outcome"] == "failed"
    assert result["error_class"] == "server"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_check_counts_what_is_unread(tmp_path: Path) -> None:
    maildir = provider(tmp_path)
    maildir.send([sample_message(0), sample_message(1)])
    assert maildir.check() == f"Maildir {tmp_path} can be written; 2 unread."
