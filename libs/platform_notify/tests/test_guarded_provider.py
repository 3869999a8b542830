"""Whatever a provider does, each mail gets one result, in time."""

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from pipeline_kit import NOON, ScriptedProvider
from platform_workers.testing import FakeLogger
from typing_extensions import override

from platform_notify.guarded_provider import MAX_STUCK, GuardedProvider
from platform_notify.messages import MailMessage
from platform_notify.providers.base import SENDING_SECONDS, Failed, SendResult, failed, sent
from platform_notify.providers.sent_log import LogAnswer, LogQuestion, NotLogged

SOON = 0.05
LONG = 30.0


def mails(count: int) -> list[MailMessage]:
    return [
        {
            "delivery_id": f"d{number}",
            "to": "anna@example.com",
            "subject": "s",
            "text": "t",
            "html": "h",
            "category": "c",
            "domain": "turkic",
            "job_id": f"j{number}",
        }
        for number in range(count)
    ]


def failures(results: list[SendResult]) -> list[Failed]:
    found = [result for result in results if result["outcome"] == "failed"]
    assert len(found) == len(results)
    return found


class Hanging(ScriptedProvider):
    """Comes back when the test lets it."""

    def __init__(self) -> None:
        super().__init__(self._wait)
        self.release = threading.Event()
        self.threads: list[int] = []

    def _wait(self, message: MailMessage) -> SendResult:
        self.threads.append(threading.get_ident())
        assert self.release.wait(LONG)
        return sent([], "at last")


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    provider = Hanging()
    yield provider
    provider.release.set()


def test_what_a_sound_provider_says_is_passed_on(logger: FakeLogger) -> None:
    provider = ScriptedProvider(lambda mail: sent([], mail["job_id"]))
    guarded = GuardedProvider(provider, deadline_seconds=LONG, logger=logger)
    assert guarded.name == "fake"
    assert guarded.check() == "The fake is fine."
    assert guarded.send(mails(2)) == [sent([], "j0"), sent([], "j1")]
    assert [len(batch) for batch in provider.batches] == [2]
    guarded.close()
    guarded.close()
    assert provider.closed
    assert logger.lines == []


def test_closing_before_anything_was_sent_closes_the_provider(logger: FakeLogger) -> None:
    provider = ScriptedProvider()
    GuardedProvider(provider, deadline_seconds=LONG, logger=logger).close()
    assert provider.closed


def test_every_call_runs_on_the_same_thread(logger: FakeLogger) -> None:
    threads: set[int] = set()

    def note(mail: MailMessage) -> SendResult:
        threads.add(threading.get_ident())
        return sent([], "")

    guarded = GuardedProvider(ScriptedProvider(note), deadline_seconds=LONG, logger=logger)
    for _ in range(3):
        guarded.send(mails(1))
    guarded.close()
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


def test_an_exception_is_a_result_and_its_text_stays_inside(logger: FakeLogger) -> None:
    def explode(mail: MailMessage) -> SendResult:
        raise ZeroDivisionError("key=secret")

    guarded = GuardedProvider(ScriptedProvider(explode), deadline_seconds=LONG, logger=logger)
    results = failures(guarded.send(mails(2)))
    assert [result["error_class"] for result in results] == ["unexpected", "unexpected"]
    assert [result["detail"] for result in results] == ["the provider raised ZeroDivisionError"] * 2
    assert all(result["ambiguous"] for result in results)
    assert logger.events("error") == ["notifier.provider_broken"]
    assert "secret" not in str(logger.lines)
    guarded.close()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_or_too_many_results_are_none(logger: FakeLogger, count: int) -> None:
    class Miscounting(ScriptedProvider):
        @override
        def send(self, messages: Sequence[MailMessage], seconds: float = SENDING_SECONDS) -> list[SendResult]:
            return [failed("server", "x")] * count

    guarded = GuardedProvider(Miscounting(), deadline_seconds=LONG, logger=logger)
    results = failures(guarded.send(mails(2)))
    assert {result["detail"] for result in results} == {f"the provider gave {count} results for 2 mails"}
    guarded.close()


def test_a_call_that_hangs_is_left_behind(hanging: Hanging, logger: FakeLogger) -> None:
    guarded = GuardedProvider(hanging, deadline_seconds=SOON, logger=logger)
    (result,) = failures(guarded.send(mails(1)))
    assert (result["error_class"], result["ambiguous"]) == ("timeout", True)
    assert result["detail"] == "the provider did not come back within 0.05 s"
    assert logger.events("error") == ["notifier.provider_hangs"]
    guarded.close()


def test_the_next_call_has_a_thread_of_its_own(hanging: Hanging, logger: FakeLogger) -> None:
    guarded = GuardedProvider(hanging, deadline_seconds=SOON, logger=logger)
    guarded.send(mails(1))
    guarded.send(mails(1))
    assert len(set(hanging.threads)) == 2
    guarded.close()


def test_only_so_many_calls_hang_at_once(hanging: Hanging, logger: FakeLogger) -> None:
    guarded = GuardedProvider(hanging, deadline_seconds=SOON, logger=logger)
    for _ in range(MAX_STUCK):
        guarded.send(mails(1))
    (result,) = failures(guarded.send(mails(1)))
    assert (result["error_class"], result["ambiguous"]) == ("timeout", False)
    assert len(hanging.batches) == MAX_STUCK
    stuck = list(guarded._fence._stuck)
    hanging.release.set()
    assert all(done.wait(LONG) for done in stuck)
    assert guarded.send(mails(1)) == [sent([], "at last")]
    guarded.close()


class Log:
    """A log that answers, raises, gives too little or hangs."""

    def __init__(self, answer: Callable[[], list[LogAnswer]]) -> None:
        self.answer = answer
        self.threads: list[str] = []

    def look_up(self, questions: Sequence[LogQuestion]) -> list[LogAnswer]:
        self.threads.append(threading.current_thread().name)
        return self.answer()


QUESTION: LogQuestion = {"delivery_id": "d", "recipient": "anna@example.com", "since": NOON}
ABSENT: NotLogged = {"found": "absent"}


def test_the_log_is_asked_on_the_providers_thread(logger: FakeLogger) -> None:
    guarded = GuardedProvider(ScriptedProvider(), deadline_seconds=LONG, logger=logger)
    log = Log(lambda: [ABSENT])
    assert guarded.guard_log(log, deadline_seconds=LONG).look_up([QUESTION]) == [ABSENT]
    assert log.threads == ["send-fake"]
    guarded.close()


@pytest.mark.parametrize("fault", ["raises", "too few", "hangs"])
def test_a_log_that_breaks_its_promise_is_silent(logger: FakeLogger, fault: str) -> None:
    release = threading.Event()

    def answer() -> list[LogAnswer]:
        if fault == "raises":
            raise RuntimeError("a key may be in here")
        if fault == "hangs":
            release.wait(LONG)
        return []

    guarded = GuardedProvider(ScriptedProvider(), deadline_seconds=LONG, logger=logger)
    log = guarded.guard_log(Log(answer), deadline_seconds=SOON if fault == "hangs" else LONG)
    [said] = log.look_up([QUESTION])
    release.set()
    words = {
        "raises": "the provider raised RuntimeError",
        "too few": "the provider gave 0 results for 1 mails",
        "hangs": "the provider did not come back within 0.05 s",
    }
    assert said == {"found": "silent", "detail": words[fault], "lasting": False}
    guarded.close()
