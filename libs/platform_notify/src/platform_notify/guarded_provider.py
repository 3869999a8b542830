"""A fence around a provider: whatever it does, the sender gets one result for each mail, in time.

A provider promises not to raise and to come back. This holds it to that: an exception becomes `unexpected`, a
call that takes too long becomes `timeout` and is left to itself, on a thread that no one waits for.
"""

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Final, Generic, Literal, Protocol, TypedDict, TypeVar

from platform_core.logging import Logger
from typing_extensions import override

from platform_notify.messages import MailMessage
from platform_notify.providers.base import SENDING_SECONDS, ErrorClass, MailProvider, SendResult, failed
from platform_notify.providers.sent_log import LogAnswer, LogQuestion, SentLog, silent

MAX_STUCK: Final = 3
"""How many calls may hang at once. Then nothing is given to the provider until one of them comes back."""

# Bound to a name of its own: this is the one place where any exception at all is caught and turned into data.
_ANYTHING: type[Exception] = Exception

_T = TypeVar("_T")


class _Fault(TypedDict):
    """Why a call gave nothing: what it was, and in words."""

    kind: Literal["stuck", "late", "broken"]
    words: str


class _Runnable(Protocol):
    def run(self) -> None:
        """Do it."""


class _Call(Generic[_T]):
    """One call on its way: what to do, and what came of it."""

    def __init__(self, work: Callable[[], list[_T]], wanted: int) -> None:
        self._work = work
        self._wanted = wanted
        self.results: list[_T] = []
        self.fault = ""
        self.done = threading.Event()

    def run(self) -> None:
        """Do it, and note what became of it."""
        try:
            self.results = self._work()
        except _ANYTHING as error:
            # Only its type: the text of an unknown exception may hold anything, also a key.
            self.fault = f"the provider raised {type(error).__name__}"
        else:
            if len(self.results) != self._wanted:
                self.fault = f"the provider gave {len(self.results)} results for {self._wanted} mails"
        self.done.set()


class _Fence:
    """Runs calls on one thread as long as they come back, and on another one after that."""

    def __init__(self, name: str, logger: Logger) -> None:
        self._name = name
        self._logger = logger
        self._calls: SimpleQueue[_Runnable | None] | None = None
        self._stuck: list[threading.Event] = []

    def run(
        self, work: Callable[[], list[_T]], wanted: int, seconds: float, instead: Callable[[_Fault], _T]
    ) -> list[_T]:
        """Run a call that gives so many results; if it does not, give what `instead` makes of the fault."""
        self._stuck = [done for done in self._stuck if not done.is_set()]
        if len(self._stuck) >= MAX_STUCK:
            stuck: _Fault = {"kind": "stuck", "words": "earlier mails hang in the provider"}
            return [instead(stuck) for _ in range(wanted)]
        call = _Call(work, wanted)
        if self._calls is None:
            self._calls = self._start_thread()
        self._calls.put(call)
        if not call.done.wait(seconds):
            self._logger.error("notifier.provider_hangs", provider=self._name, seconds=seconds)
            # The thread ends by itself should the call come back one day.
            self.close()
            self._stuck.append(call.done)
            late: _Fault = {
                "kind": "late",
                "words": f"the provider did not come back within {seconds:g} s",
            }
            return [instead(late) for _ in range(wanted)]
        if call.fault:
            self._logger.error("notifier.provider_broken", provider=self._name, fault=call.fault)
            broken: _Fault = {"kind": "broken", "words": call.fault}
            return [instead(broken) for _ in range(wanted)]
        return call.results

    def close(self) -> None:
        """Let the thread end once it has come back."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None

    def _start_thread(self) -> "SimpleQueue[_Runnable | None]":
        calls: SimpleQueue[_Runnable | None] = SimpleQueue()
        # A daemon: a call that hangs must not keep the process from ending.
        threading.Thread(target=_work, args=(calls,), name=f"send-{self._name}", daemon=True).start()
        return calls


class GuardedProvider:
    """A `MailProvider` that keeps its promises, made of one that may not.

    All calls run on one thread as long as they come back, because a provider may hold a connection for each
    thread. One sender uses it, a batch at a time.

    Args:
        provider: the one that does the work.
        deadline_seconds: how long a call may take.
        logger: hears what the provider did wrong.
    """

    def __init__(self, provider: MailProvider, *, deadline_seconds: float, logger: Logger) -> None:
        self._provider = provider
        self._deadline = deadline_seconds
        self._fence = _Fence(provider.name, logger)

    @property
    def name(self) -> str:
        """The provider's name in records and metrics."""
        return self._provider.name

    def send(self, messages: Sequence[MailMessage], seconds: float = SENDING_SECONDS) -> list[SendResult]:
        """Send the mails; one result each, in order, at the latest when the deadline is over."""
        return self._fence.run(
            lambda: self._provider.send(messages, seconds), len(messages), self._deadline, _unsent
        )

    def check(self) -> str:
        """Try the provider's set-up; see `MailProvider.check`."""
        return self._provider.check()

    def close(self) -> None:
        """Let the thread end and close the provider."""
        self._fence.close()
        self._provider.close()

    def guard_log(self, log: SentLog, *, deadline_seconds: float) -> SentLog:
        """Return the provider's log, kept to its promises on the same thread."""
        return _GuardedLog(log, self._fence, deadline_seconds)


class _GuardedLog(SentLog):
    def __init__(self, log: SentLog, fence: _Fence, deadline_seconds: float) -> None:
        self._log = log
        self._fence = fence
        self._deadline = deadline_seconds

    @override
    def look_up(self, questions: Sequence[LogQuestion]) -> list[LogAnswer]:
        return self._fence.run(lambda: self._log.look_up(questions), len(questions), self._deadline, _unread)


def _work(calls: "SimpleQueue[_Runnable | None]") -> None:
    while (call := calls.get()) is not None:
        call.run()


def _unsent(fault: _Fault) -> SendResult:
    error_class: ErrorClass = "unexpected" if fault["kind"] == "broken" else "timeout"
    # What was not given to the provider cannot have been delivered.
    return failed(error_class, fault["words"], ambiguous=fault["kind"] != "stuck")


def _unread(fault: _Fault) -> LogAnswer:
    return silent(fault["words"])
