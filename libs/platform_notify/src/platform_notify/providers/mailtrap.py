"""Mails through Mailtrap, sandbox or production, with its official SDK. The only module that imports it.

What the SDK leaves open is closed here: it makes a new session for each call (one is held per thread), it
drops the headers of a refusal (the answer is noted on its way), it follows redirects and obeys `.netrc` (both
off), and it lets other libraries' exceptions through (each becomes a result).
"""

import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypedDict, TypeVar

from mailtrap.api.sending import SendingApi
from mailtrap.client import MailtrapClient
from mailtrap.config import GENERAL_HOST, SANDBOX_HOST, SENDING_HOST
from mailtrap.exceptions import APIError
from mailtrap.http import HttpClient
from mailtrap.models.mail.address import Address
from mailtrap.models.mail.batch_mail import (
    BatchEmailRequest,
    BatchMail,
    BatchSendEmailParams,
    BatchSendResponse,
)
from mailtrap.models.mail.mail import Mail, SendingMailResponse
from platform_core.clock import Clock
from platform_core.errors import DecodeError

from platform_notify.messages import MAX_SENDER_NAME, MailMessage, clean_line
from platform_notify.providers.base import (
    SENDING_SECONDS,
    ErrorClass,
    Failed,
    ProviderCheckError,
    SenderAddress,
    SendResult,
    extra_headers,
    failed,
    not_tried,
    refusal,
    safe_body,
    safe_category,
    safe_subject,
    sent,
    wire_address,
)
from platform_notify.providers.http_notes import NotingAdapter
from platform_notify.providers.mailtrap_faults import (
    fault_of_answer,
    fault_of_unread,
    fault_without_answer,
    is_success,
)
from platform_notify.providers.mailtrap_log import (
    MAX_PAGES,
    LogPage,
    in_parts,
    log_parameters,
    log_path,
    read_page,
    taken,
)
from platform_notify.providers.secret import Secret
from platform_notify.providers.sent_log import (
    LogAnswer,
    LoggedSent,
    LogQuestion,
    LogSilent,
    NotLogged,
    SentLog,
    silent,
)
from platform_notify.rate_limit import Permits

MAX_BATCH = 500

# A batch refused as a whole is halved to find the mail it is refused for: for one bad mail in 500, about
# 18 requests. The limit keeps a batch of only bad mails from eating the rate limit (150 requests in 10 s).
_MAX_SPLITS = 32
# A connection idle for longer may be dead without either side knowing (a firewall forgot it), and a mail sent
# into it would end as "nobody knows".
_MAX_IDLE_SECONDS = 60.0
# After one of these the rest of the mails would meet the same fate.
_OUTAGES: frozenset[ErrorClass] = frozenset({"connect", "timeout", "rate_limited", "auth"})
# A log that answers so will do so until somebody changes the key's rights or the account id.
_LASTING: frozenset[ErrorClass] = frozenset({"auth", "refused"})
_HELD_BACK: Final = "held back to keep within Mailtrap's rate limit"
_ABSENT: Final[NotLogged] = {"found": "absent"}

_T = TypeVar("_T")


class MailtrapConfig(TypedDict):
    """How to send.

    Attributes:
        api_key: the token of the project or the account.
        sandbox_inbox_id: the inbox that catches the mails; None to send them for real.
        account_id: whose email log to ask; None if it is not to be asked. The sandbox has no such log.
        api_host: another host (`host` or `host:port`), for tests and proxies; None for Mailtrap's own.
        ca_bundle: the CA to trust there (PEM); None for the usual ones.
        sender: who the mails come from; to send for real, its domain must be verified at Mailtrap.
        timeout: seconds to wait for a connection, and for each part of the answer; a request may take twice
            as long in all.
    """

    api_key: Secret
    sandbox_inbox_id: str | None
    account_id: str | None
    api_host: str | None
    ca_bundle: Path | None
    sender: SenderAddress
    timeout: int


class MailtrapProvider:
    """Sends one mail by itself and several as a batch, over a held HTTPS session for each thread.

    Args:
        config: see `MailtrapConfig`.
        clock: the present time.
        permits: asked before each request but the first of a `send`: that one's permit came with the claim of
            its mails, so that a claim is not made in vain.
        log_permits: asked too, before a question to the email log.

    Raises:
        ValueError: the sandbox inbox id or the account id is not a number.
    """

    def __init__(self, config: MailtrapConfig, clock: Clock, permits: Permits, log_permits: Permits) -> None:
        _check_number("sandbox inbox", config["sandbox_inbox_id"])
        _check_number("account", config["account_id"])
        self._config = config
        self._clock = clock
        self._permits = permits
        self._log_permits = log_permits
        self._held = _Held()
        self._lock = threading.Lock()
        self._lines: weakref.WeakSet[_Line] = weakref.WeakSet()

    @property
    def name(self) -> str:
        """The provider's name in records and metrics."""
        return "mailtrap"

    @property
    def sent_log(self) -> SentLog | None:
        """The account's email log; None in the sandbox, and without an account id."""
        has_log = self._config["sandbox_inbox_id"] is None and self._config["account_id"] is not None
        return self if has_log else None

    def send(self, messages: Sequence[MailMessage], seconds: float = SENDING_SECONDS) -> list[SendResult]:
        """Send the mails, up to 500 in a request; one result each, in order."""
        refusals = [refusal(message) for message in messages]
        good = [message for message, refused in zip(messages, refusals, strict=True) if refused is None]
        answers = iter(self._send_good(good, self._clock.monotonic() + seconds))
        return [next(answers) if refused is None else refused for refused in refusals]

    def check(self) -> str:
        """Ask Mailtrap to send an empty mail: whoever has a good key is told what is missing.

        Raises:
            ProviderCheckError: no connection, or the key or the inbox was refused.
        """
        line = self._line()
        # One request by a person's hand: it counts, and it is not worth a wait.
        self._permits.take()
        fault = self._ask(line.http, line.send_nothing)
        # "Refused" is the good answer: the key was taken and the empty mail was not.
        if not isinstance(fault, list) and fault["error_class"] != "refused":
            raise ProviderCheckError(f"Mailtrap cannot be used: {fault['detail']}.")
        inbox = self._config["sandbox_inbox_id"]
        mode = "production" if inbox is None else f"sandbox inbox {inbox}"
        return f"Mailtrap at {_host(self._config)} answers and takes the key ({mode})."

    def close(self) -> None:
        """Close the sessions of all threads."""
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.http.drop_connections()
            line.log_http.drop_connections()

    def look_up(self, questions: Sequence[LogQuestion]) -> list[LogAnswer]:
        """Ask the email log about mails; see `SentLog.look_up`."""
        found: dict[str, LoggedSent] = {}
        missing: dict[str, LogSilent | NotLogged] = {}
        fault: LogSilent | None = None
        for part in in_parts(questions):
            if fault is None:
                fault = self._read_log(part, found)
            missing |= {question["delivery_id"]: fault or _ABSENT for question in part}
        return [found.get(one["delivery_id"]) or missing[one["delivery_id"]] for one in questions]

    def _read_log(self, part: Sequence[LogQuestion], found: dict[str, LoggedSent]) -> LogSilent | None:
        """Read as much of the log as is needed; add to `found`, and return why it is not complete if so."""
        wanted = {question["delivery_id"] for question in part}
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            if self._log_permits.take() or self._permits.take():
                return silent(_HELD_BACK)
            page = self._read_log_page(log_parameters(part, cursor))
            if not isinstance(page, list):
                return silent(page["detail"], lasting=page["error_class"] in _LASTING)
            found |= taken(page[0]["messages"])
            cursor = page[0].get("next_page_cursor")
            if cursor is None or wanted <= found.keys():
                return None
        return silent(f"the log has more than {MAX_PAGES} pages of mails to the recipients")

    def _read_log_page(self, parameters: dict[str, object]) -> list[LogPage] | Failed:
        http = self._line().log_http

        def read() -> list[LogPage] | Failed:
            _answer: object = http.get(log_path(self._config["account_id"] or ""), params=parameters)
            note = http.adapter.note
            try:
                return [read_page(b"" if note is None else note["body"])]
            except DecodeError as error:
                return failed("server", f"the log cannot be read: {error}", secrets=[self._config["api_key"]])

        return self._ask(http, read)

    def _send_good(self, messages: Sequence[MailMessage], until: float) -> list[SendResult]:
        results: list[SendResult] = []
        parts = deque(messages[start : start + MAX_BATCH] for start in range(0, len(messages), MAX_BATCH))
        splits_left = _MAX_SPLITS
        outage: Failed | None = None
        is_first = True
        while parts:
            part = parts.popleft()
            if outage is None and not is_first:
                is_late = self._clock.monotonic() >= until
                if is_late and not results:
                    # Only refusals of many so far: find out about one mail, or the next call ends here too.
                    parts.extendleft([part[1:]] if len(part) > 1 else [])
                    part = part[:1]
                outage = not_tried() if is_late and results else self._held_back()
            is_first = False
            answer = self._send_part(part) if outage is None else outage
            if isinstance(answer, list):
                results += answer
            elif answer["error_class"] == "refused" and len(part) > 1 and splits_left > 0:
                splits_left -= 1
                middle = len(part) // 2
                parts.extendleft((part[middle:], part[:middle]))
            else:
                results += [_share(answer, len(part))] * len(part)
                if answer["error_class"] in _OUTAGES:
                    outage = {**answer, "ambiguous": False}
        return results

    def _held_back(self) -> Failed | None:
        wait = self._permits.take()
        return failed("rate_limited", _HELD_BACK, retry_after=wait) if wait else None

    def _send_part(self, part: Sequence[MailMessage]) -> list[SendResult] | Failed:
        """Send one request; give a result for each mail, or the one fault of them all."""
        line = self._line()
        if len(part) == 1:
            return self._ask(line.http, lambda: self._single(line, part[0]))
        return self._ask(line.http, lambda: self._batch(line, part))

    def _ask(self, http: "_Http", request: Callable[[], list[_T] | Failed]) -> list[_T] | Failed:
        """Run one request and turn every way it can end into results."""
        http.freshen(self._clock.monotonic())
        failure: Exception
        try:
            return request()
        # OSError is the root of all that `requests` raises, and of a CA file that is not there.
        # The last three: the SDK stumbles over any body it does not expect, be it a success or a refusal.
        except (APIError, OSError, TypeError, ValueError, RecursionError) as error:
            failure = error
        note = http.adapter.note
        secrets = [self._config["api_key"]]
        if note is None:
            return fault_without_answer(failure, in_handshake=http.adapter.in_handshake)
        if is_success(note):
            return fault_of_unread(note, secrets)
        words = failure.errors if isinstance(failure, APIError) else []
        return fault_of_answer(note, words, self._clock.now(), secrets)

    def _single(self, line: "_Line", message: MailMessage) -> list[SendResult] | Failed:
        answer: SendingMailResponse = line.api.send(
            Mail(
                sender=self._sender(),
                to=[Address(email=wire_address(message["to"]))],
                subject=safe_subject(message),
                text=safe_body(message["text"]),
                html=safe_body(message["html"]),
                category=safe_category(message) or None,
                headers=extra_headers(message),
                custom_variables=_variables(message),
            )
        )
        return [self._item(answer.success, answer.message_ids, None)]

    def _batch(self, line: "_Line", part: Sequence[MailMessage]) -> list[SendResult] | Failed:
        # Every request below says everything itself; the SDK wants a base with a subject all the same.
        base = BatchMail(sender=self._sender(), subject=safe_subject(part[0]))
        requests = [self._request(message) for message in part]
        answer: BatchSendResponse = line.api.batch_send(BatchSendEmailParams(base=base, requests=requests))
        if not answer.success and not answer.responses:
            return self._refused(answer.errors)
        if len(answer.responses) != len(part):
            counts = f"{len(answer.responses)} answers for {len(part)} mails"
            return failed("server", counts, ambiguous=True)
        return [self._item(item.success, item.message_ids, item.errors) for item in answer.responses]

    def _request(self, message: MailMessage) -> BatchEmailRequest:
        return BatchEmailRequest(
            sender=self._sender(),
            attachments=None,
            to=[Address(email=wire_address(message["to"]))],
            subject=safe_subject(message),
            text=safe_body(message["text"]),
            html=safe_body(message["html"]),
            category=safe_category(message) or None,
            headers=extra_headers(message),
            custom_variables=_variables(message),
        )

    def _item(self, success: bool, message_ids: list[str] | None, errors: list[str] | None) -> SendResult:
        if success:
            return sent(message_ids or [], "accepted")
        return self._refused(errors)

    def _refused(self, errors: list[str] | None) -> Failed:
        words = "; ".join(errors or []) or "no reason given"
        return failed("refused", f"success false: {words}", secrets=[self._config["api_key"]])

    def _sender(self) -> Address:
        sender = self._config["sender"]
        name = clean_line(sender["name"], MAX_SENDER_NAME)
        return Address(email=wire_address(sender["email"]), name=name or None)

    def _line(self) -> "_Line":
        if self._held.line is None:
            self._held.line = _Line(self._config, self._clock)
            with self._lock:
                self._lines.add(self._held.line)
        return self._held.line


class _Http(HttpClient):
    """The SDK's HTTP client with a session that notes answers, stays on one host and reads no `.netrc`."""

    def __init__(self, host: str, config: MailtrapConfig, headers: dict[str, str], clock: Clock) -> None:
        super().__init__(host=host, headers=headers, timeout=config["timeout"])
        self._used_at: float | None = None
        # A connection and the beginning of an answer may each take the timeout.
        self.adapter = NotingAdapter(clock, 2.0 * config["timeout"])
        self._session.mount("https://", self.adapter)
        self._session.trust_env = False
        self._session.max_redirects = 0
        if config["ca_bundle"] is not None:
            self._session.verify = str(config["ca_bundle"])

    def freshen(self, now: float) -> None:
        """Make ready for a request: let go of a connection that was idle for long."""
        if self._used_at is not None and now - self._used_at > _MAX_IDLE_SECONDS:
            self.drop_connections()
        self._used_at = now

    def drop_connections(self) -> None:
        """Close what is open; the next request connects anew."""
        self._session.close()


class _Line:
    """One thread's sessions and the SDK's sending API on top of one of them."""

    def __init__(self, config: MailtrapConfig, clock: Clock) -> None:
        inbox = config["sandbox_inbox_id"]
        client = MailtrapClient(token=config["api_key"].reveal(), sandbox=inbox is not None, inbox_id=inbox)
        self.http = _Http(_host(config), config, client.headers, clock)
        self.log_http = _Http(config["api_host"] or GENERAL_HOST, config, client.headers, clock)
        self.api = SendingApi(client=self.http, inbox_id=inbox)
        self._send_path = "/api/send" if inbox is None else f"/api/send/{inbox}"

    def send_nothing(self) -> list[SendResult]:
        """Post an empty mail, which Mailtrap refuses."""
        empty: dict[str, str] = {}
        _answer: object = self.http.post(self._send_path, json=empty)
        return []


class _Held(threading.local):
    """What each thread holds for itself: a `requests` session must not be shared."""

    line: _Line | None = None


def _check_number(name: str, value: str | None) -> None:
    if value is not None and not (value.isascii() and value.isdigit()):
        raise ValueError(f"the {name} id must be a number")


def _host(config: MailtrapConfig) -> str:
    return config["api_host"] or (SENDING_HOST if config["sandbox_inbox_id"] is None else SANDBOX_HOST)


def _variables(message: MailMessage) -> dict[str, str]:
    # Mailtrap shows it in its log and sends it back in its events, so a delivery can be found again.
    return {"delivery_id": message["delivery_id"]}


def _share(fault: Failed, mails: int) -> Failed:
    """Turn the fault of a whole request into that of each mail in it."""
    if fault["error_class"] == "refused" and mails > 1:
        return failed("server", f"in a batch that was refused; not tried alone yet: {fault['detail']}")
    return fault
