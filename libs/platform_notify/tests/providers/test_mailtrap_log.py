"""Mailtrap's email log: mails whose answer was lost are found in it, over TLS, through the held session."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from platform_core.errors import DecodeError
from platform_workers.testing import FakeClock

from platform_notify.providers.mailtrap import MailtrapConfig, MailtrapProvider
from platform_notify.providers.mailtrap_log import (
    MAX_PAGES,
    in_parts,
    log_parameters,
    read_page,
    taken,
)
from platform_notify.providers.secret import Secret
from platform_notify.providers.sent_log import LogAnswer, LogQuestion
from platform_notify.rate_limit import Permits, Unlimited
from platform_notify.testing import MailtrapServer
from platform_notify.testing.mailtrap_answers import (
    Answer,
    bad_gateway,
    error,
    rate_limited,
    reply,
    reset,
    taken_but,
)
from platform_notify.testing.mailtrap_api import LOG_PAGE
from platform_notify.testing.sample_messages import sample_message

KEY = "k3y-of-the-project"
SINCE = datetime(2026, 1, 2, 12, tzinfo=UTC)


class Counted:
    """So many permits and no more."""

    def __init__(self, permits: int) -> None:
        self.left = permits

    def take(self) -> float:
        self.left -= 1
        return 0.0 if self.left >= 0 else 0.5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailtrapServer]:
    with MailtrapServer(tmp_path / "ca.pem", token=KEY) as running:
        yield running


def provider(
    server: MailtrapServer,
    *,
    inbox: str | None = None,
    account: str | None = "7",
    permits: Permits | None = None,
    log_permits: Permits | None = None,
) -> MailtrapProvider:
    config: MailtrapConfig = {
        "api_key": Secret(KEY),
        "sandbox_inbox_id": inbox,
        "account_id": account,
        "api_host": server.host,
        "ca_bundle": server.ca_bundle,
        "sender": {"email": "jobs@example.com", "name": "Jobs"},
        "timeout": 5,
    }
    return MailtrapProvider(config, FakeClock(), permits or Unlimited(), log_permits or Unlimited())


def question(number: int = 0, recipient: str | None = None) -> LogQuestion:
    return {
        "delivery_id": f"delivery-{number}",
        "recipient": recipient or f"person{number}@example.com",
        "since": SINCE,
    }


def found(answers: list[LogAnswer]) -> list[str]:
    return [answer["found"] for answer in answers]


@pytest.mark.parametrize("lost", [reset(), error(500), reply(200, "")])
def test_mails_that_were_taken_without_an_answer_are_found(server: MailtrapServer, lost: Answer) -> None:
    mailtrap = provider(server)
    server.answer_next(taken_but(lost))
    results = mailtrap.send([sample_message(0), sample_message(1)])
    assert [result["outcome"] == "failed" and result["ambiguous"] for result in results] == [True, True]
    assert mailtrap.look_up([question(2), question(1)]) == [
        {"found": "absent"},
        {"found": "sent", "message_ids": ["message-1-0"], "answer": "found in Mailtrap's log: delivered"},
    ]
    asked = server.requests[-1]
    assert asked["path"].startswith("/api/accounts/7/email_logs?")
    assert asked["headers"]["authorization"] == f"Bearer {KEY}"


def test_a_mail_to_the_same_person_is_not_taken_for_another(server: MailtrapServer) -> None:
    mailtrap = provider(server)
    mailtrap.send([sample_message(0)])
    assert found(mailtrap.look_up([{**question(9), "recipient": "person0@example.com"}])) == ["absent"]


def test_the_session_to_the_log_is_held_and_closed(server: MailtrapServer) -> None:
    mailtrap = provider(server)
    mailtrap.look_up([question()])
    mailtrap.look_up([question()])
    assert server.connections == 1
    mailtrap.close()
    mailtrap.look_up([question()])
    assert server.connections == 2


def test_pages_are_read_until_the_mail_is_found(server: MailtrapServer) -> None:
    mailtrap = provider(server)
    same = "anna@example.com"
    mailtrap.send([{**sample_message(number), "to": same} for number in range(LOG_PAGE + 1)])
    sent = len(server.requests)
    # The newest comes first, so the oldest is on the second page.
    assert found(mailtrap.look_up([question(LOG_PAGE, same)])) == ["sent"]
    assert len(server.requests) == sent + 1
    assert found(mailtrap.look_up([question(0, same)])) == ["sent"]
    assert len(server.requests) == sent + 3


def test_a_log_without_end_is_not_read_to_the_end(server: MailtrapServer) -> None:
    mailtrap = provider(server)
    endless = reply(200, '{"messages":[],"next_page_cursor":"more"}')
    server.answer_log_next(*[endless] * (MAX_PAGES + 5))
    [answer] = mailtrap.look_up([question()])
    assert answer == {
        "found": "silent",
        "detail": "the log has more than 10 pages of mails to the recipients",
        "lasting": False,
    }
    assert len(server.requests) == MAX_PAGES


@pytest.mark.parametrize(
    ("answer", "detail", "lasting"),
    [
        (error(401), "HTTP 401: Unauthorized", True),
        (error(403), "HTTP 403: Forbidden", True),
        (error(404, "Not Found"), "HTTP 404: Not Found", True),
        (error(422), "HTTP 422: Unprocessable", True),
        (rate_limited("7"), "HTTP 429: Too many requests", False),
        (error(500), "HTTP 500: Internal server error", False),
        (bad_gateway(), "HTTP 502: Invalid JSON", False),
        (reply(200, ""), "the log cannot be read: $: expected JSON, found str", False),
        (reply(200, '{"messages":7}'), "the log cannot be read: $.messages: expected list, found int", False),
    ],
)
def test_a_log_that_cannot_be_read_says_why(
    server: MailtrapServer, answer: Answer, detail: str, lasting: bool
) -> None:
    server.answer_log_next(answer)
    [said] = provider(server).look_up([question()])
    assert said["found"] == "silent"
    assert said["lasting"] is lasting
    assert said["detail"].startswith(detail.partition("$")[0])


def test_what_was_found_before_the_log_fell_silent_counts(server: MailtrapServer) -> None:
    mailtrap = provider(server)
    recipients = [f"{'x' * 60}{number}@example.com" for number in range(100)]
    mailtrap.send([{**sample_message(number), "to": to} for number, to in enumerate(recipients)])
    server.answer_log_next(
        reply(200, '{"messages":[{"message_id":"m","custom_variables":{"delivery_id":"delivery-0"}}]}'),
        error(500),
    )
    answers = found(mailtrap.look_up([question(number, to) for number, to in enumerate(recipients)]))
    assert answers[:2] == ["sent", "absent"]
    assert answers[-1] == "silent"
    # Once it is silent it is not asked on.
    assert len([request for request in server.requests if "email_logs" in request["path"]]) == 2


@pytest.mark.parametrize(("permits", "log_permits"), [(Counted(0), Unlimited()), (Unlimited(), Counted(0))])
def test_questions_keep_within_both_limits(
    server: MailtrapServer, permits: Permits, log_permits: Permits
) -> None:
    [answer] = provider(server, permits=permits, log_permits=log_permits).look_up([question()])
    assert answer == {
        "found": "silent",
        "detail": "held back to keep within Mailtrap's rate limit",
        "lasting": False,
    }
    assert server.requests == []


@pytest.mark.parametrize(
    ("inbox", "account", "has_log"), [(None, "7", True), (None, None, False), ("42", "7", False)]
)
def test_there_is_a_log_where_mails_are_sent_for_real_and_the_account_is_known(
    server: MailtrapServer, inbox: str | None, account: str | None, has_log: bool
) -> None:
    mailtrap = provider(server, inbox=inbox, account=account)
    assert (mailtrap.sent_log is mailtrap) is has_log


@pytest.mark.parametrize("account", ["", "12a", "../7", "٣"])
def test_an_account_is_a_number(server: MailtrapServer, account: str) -> None:
    with pytest.raises(ValueError, match="the account id must be a number"):
        provider(server, account=account)


def test_the_log_is_at_mailtraps_general_address(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look_up(name: str, *_rest: object, **_more: object) -> list[object]:
        asked.append(name)
        raise OSError("no network in tests")

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    config: MailtrapConfig = {
        "api_key": Secret(KEY),
        "sandbox_inbox_id": None,
        "account_id": "7",
        "api_host": None,
        "ca_bundle": None,
        "sender": {"email": "jobs@example.com", "name": ""},
        "timeout": 5,
    }
    assert found(MailtrapProvider(config, FakeClock(), Unlimited(), Unlimited()).look_up([question()])) == [
        "silent"
    ]
    assert asked == ["mailtrap.io"]


def test_further_requests_of_one_sending_need_permits_of_their_own(server: MailtrapServer) -> None:
    """The first request was paid with the claim; of the halves one more may go."""
    server.answer_next(error(400))
    mailtrap = provider(server, permits=Counted(1))
    results = mailtrap.send([sample_message(number) for number in range(4)])
    assert [result["outcome"] for result in results] == ["sent", "sent", "failed", "failed"]
    assert len(server.requests) == 2
    held = results[2]
    assert held["outcome"] == "failed"
    assert (held["error_class"], held["retry_after"], held["ambiguous"]) == ("rate_limited", 0.5, False)


def test_a_check_is_counted(server: MailtrapServer) -> None:
    permits = Counted(0)
    assert "takes the key" in provider(server, permits=permits).check()
    assert permits.left == -1


def test_the_query_asks_for_the_recipients_since_a_little_before() -> None:
    later = {**question(1), "recipient": "Anna@Exämple.com", "since": SINCE + timedelta(days=1)}
    first: LogQuestion = question(0)
    second: LogQuestion = {
        "delivery_id": "d",
        "recipient": "Anna@Exämple.com",
        "since": SINCE + timedelta(days=1),
    }
    assert later["recipient"] == second["recipient"]
    assert log_parameters([second, first, first], None) == {
        "filters[sent_after]": "2026-01-02T11:55:00Z",
        "filters[to][operator]": "ci_equal",
        "filters[to][value][]": ["Anna@xn--exmple-cua.com", "person0@example.com"],
    }
    assert log_parameters([first], "c")["search_after"] == "c"


def test_no_request_is_too_long() -> None:
    questions = [question(number, f"{'x' * 240}{number}@example.com") for number in range(50)]
    parts = list(in_parts(questions))
    assert [one for part in parts for one in part] == questions
    assert all(sum(len(one["recipient"]) + 40 for one in part) <= 3000 for part in parts)
    huge = question(0, "x" * 5000)
    assert list(in_parts([huge, huge])) == [[huge], [huge]]
    assert list(in_parts([])) == []


def test_entries_of_others_are_passed_over() -> None:
    page = read_page(
        b'{"messages":[{"message_id":"1"},{"message_id":"2","custom_variables":null},'
        b'{"message_id":"3","custom_variables":{"delivery_id":7}},'
        b'{"message_id":"4","status":"enqueued","custom_variables":{"delivery_id":"a"}},'
        b'{"message_id":"5","custom_variables":{"delivery_id":"a"}}],"total_count":5}'
    )
    assert taken(page["messages"]) == {
        "a": {"found": "sent", "message_ids": ["4", "5"], "answer": "found in Mailtrap's log: no status"}
    }


@pytest.mark.parametrize("body", [b"", b"[]", b'{"messages":[{}]}', b'{"messages":[],"next_page_cursor":1}'])
def test_what_is_no_page_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError):
        read_page(body)
