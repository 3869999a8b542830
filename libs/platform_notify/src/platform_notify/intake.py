"""From an outcome that was heard to a delivery record: once, however often and from wherever it is heard.

The live channel and the durable log bring each outcome twice by design. The delivery's id is derived from the
outcome, and its record is made only if there is none, so the second one changes nothing.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal, NotRequired, TypeAlias, TypedDict
from urllib.parse import quote

from platform_core.clock import Clock
from platform_core.errors import DecodeError
from platform_core.job_events import JobCompletedV1, JobFailedV1, is_completed
from platform_core.logging import Logger
from platform_workers.event_messages import Heard
from platform_workers.job_store import parse_datetime_field
from platform_workers.redis import RedisClient

from platform_notify.decision import Decision, Layer, SkipReason, decide, skip
from platform_notify.deliveries import NewDelivery, delivery_id_of
from platform_notify.delivery_store import DeliveryStore
from platform_notify.digests import NO_DIGESTS, DigestPolicy, gathering_rule
from platform_notify.intent import (
    IntentError,
    JobSnapshot,
    is_user_id,
    load_preferences,
    load_snapshot,
    read_intent,
    subscriber_of,
)
from platform_notify.job_event import is_outcome, job_event_of
from platform_notify.rendering import MailFacts

Outcome: TypeAlias = JobCompletedV1 | JobFailedV1

MAX_KEPT: Final = 2000
"""How many characters of what a publisher says are kept with a delivery; a mail shows half of them.

An event may hold a megabyte, its delivery stays for 30 days, and a claim loads hundreds at once.
"""

_MAX_DIGITS: Final = 10


class IntakeConfig(TypedDict):
    """How deliveries are made.

    Attributes:
        channel: on which they go out.
        provider_configured: whether there is a provider for that channel.
        public_url: where people see their jobs; the mail links to `<public_url>/jobs/<domain>/<job id>`.
            None for no link.
        max_age: no mail is sent about an outcome that is older when it is heard; `RETENTION` at most, for
            after that time it is not known any more whether one was sent.
        digests: when mails to one recipient are gathered; absent if each leaves by itself.
    """

    channel: str
    provider_configured: bool
    public_url: str | None
    max_age: timedelta
    digests: NotRequired[DigestPolicy]


class Taken(TypedDict):
    """What came of one event.

    Attributes:
        result: `queued`, `gathered` (it waits for others to the same recipient) and `skipped` are new
            deliveries, `known` one that was made before.
            `left_to_log`: the record does not show this outcome, so the durable log will say which run it
            belongs to. `ignored`: the event is no outcome.
        reason: why it was skipped.
    """

    result: Literal["queued", "gathered", "skipped", "known", "left_to_log", "ignored"]
    reason: NotRequired[SkipReason]


class Intake:
    """Makes delivery records. Thread-safe; raises `RedisUnavailableError` if Redis does not answer.

    Args:
        redis: where the jobs and the preferences are.
        store: where the deliveries go.
        clock: the present time.
        logger: hears of what a person should look at.
        config: see `IntakeConfig`.
        wake: called after a delivery was queued, so that a lone mail leaves at once.
    """

    def __init__(
        self,
        *,
        redis: RedisClient,
        store: DeliveryStore,
        clock: Clock,
        logger: Logger,
        config: IntakeConfig,
        wake: Callable[[], object],
    ) -> None:
        self._redis = redis
        self._store = store
        self._clock = clock
        self._logger = logger
        self._config = config
        self._wake = wake

    def take_live(self, heard: Heard) -> Taken:
        """Take an event that was heard on a channel just now.

        A live event does not say which run of the job it belongs to. The record says it, if it shows this
        outcome. A foreign record has one run only, and nothing else will tell of its outcome.
        """
        event = heard["event"]
        if not is_outcome(event):
            return {"result": "ignored"}
        snapshot = load_snapshot(self._redis, heard["domain"], event["job_id"])
        if snapshot is not None and snapshot["ours"] and not _shows(snapshot, event):
            return {"result": "left_to_log"}
        run = 1 if snapshot is None else snapshot["run"]
        return self._take(event, run=run, ended_at=self._clock.now(), snapshot=snapshot)

    def take_logged(self, heard: Heard, *, run: int, ended_at: datetime, cancelled: bool = False) -> Taken:
        """Take an event from the durable log.

        Args:
            heard: the event.
            run: the run of the job that it belongs to, from 1.
            ended_at: when it was appended.
            cancelled: whether that run was cancelled. Its record says it, too, until the job is run again.
        """
        event = heard["event"]
        if not is_outcome(event):
            return {"result": "ignored"}
        snapshot = load_snapshot(self._redis, heard["domain"], event["job_id"])
        if snapshot is not None and snapshot["run"] != run:
            # The record has gone on: the status it shows is not that of this run.
            snapshot["status"] = "cancelled" if cancelled else ""
        return self._take(event, run=run, ended_at=ended_at, snapshot=snapshot)

    def _take(self, event: Outcome, *, run: int, ended_at: datetime, snapshot: JobSnapshot | None) -> Taken:
        decision, subscriber = self._decide(event, ended_at, snapshot)
        delivery = self._delivery(event, run, ended_at, snapshot, decision)
        if subscriber is not None:
            delivery["subscriber"] = subscriber
        rule = gathering_rule(self._config.get("digests", NO_DIGESTS), event["domain"], delivery["event"])
        added = self._store.add(delivery, rule)
        if added != "added":
            return {"result": added}
        if decision["decision"] == "send":
            self._wake()
            return {"result": "queued"}
        self._logger.info(
            "notifier.delivery_skipped",
            domain=event["domain"],
            job_id=event["job_id"],
            delivery_id=delivery["delivery_id"],
            reason=decision["reason"],
            layer=decision["layer"],
            detail=decision["detail"],
        )
        return {"result": "skipped", "reason": decision["reason"]}

    def _decide(
        self, event: Outcome, ended_at: datetime, snapshot: JobSnapshot | None
    ) -> tuple[Decision, str | None]:
        """Decide, and say whose preferences counted; None where nobody could tell, or nobody can have any."""
        subscriber: str | None = None
        if self._clock.now() - ended_at > self._config["max_age"]:
            return skip("too_old", "platform"), None
        if snapshot is None:
            return skip("job_not_found", "job"), None
        try:
            intent = read_intent(snapshot)
            user_id = subscriber_of(intent, event["user_id"])
            subscriber = user_id if is_user_id(user_id) else None
            preferences = load_preferences(self._redis, user_id)
        except IntentError as error:
            layer: Layer = "preferences" if error.reason == "invalid_preferences" else "job"
            return skip(error.reason, layer, detail=error.detail), subscriber
        decision = decide(
            job_event_of(event),
            domain=event["domain"],
            intent=intent,
            preferences=preferences,
            provider_configured=self._config["provider_configured"],
        )
        return decision, subscriber

    def _delivery(
        self, event: Outcome, run: int, ended_at: datetime, snapshot: JobSnapshot | None, decision: Decision
    ) -> NewDelivery:
        domain, job_id, word = event["domain"], event["job_id"], job_event_of(event).word
        channel, recipient = self._config["channel"], decision["recipient"]
        # A record that has gone on to another run tells nothing about this one.
        fields: Mapping[str, str] = {}
        if snapshot is not None and snapshot["run"] == run:
            fields = snapshot["fields"]
        delivery: NewDelivery = {
            "delivery_id": delivery_id_of(domain, job_id, run, word, channel, recipient),
            "domain": domain,
            "job_id": job_id,
            "run": run,
            "event": word,
            "channel": channel,
            "recipient": recipient,
            "user_id": event["user_id"],
            "state": "waiting" if decision["decision"] == "send" else "skipped",
            "layer": decision["layer"],
            "detail": "",
            "created_at": self._clock.now(),
            "facts": self._facts(event, ended_at, fields),
        }
        if decision["decision"] == "skip":
            delivery["reason"] = decision["reason"]
            delivery["detail"] = decision["detail"]
        return delivery

    def _facts(self, event: Outcome, ended_at: datetime, fields: Mapping[str, str]) -> MailFacts:
        facts: MailFacts = {
            "domain": event["domain"],
            "job_id": event["job_id"],
            "job_type": _kept(fields.get("job_type")),
            "event": job_event_of(event).word,
            "error_kind": None,
            "message": _kept(fields.get("message")),
            "attempts": _count(fields.get("attempt_count", "")),
            "created_at": _moment(fields.get("created_at")),
            "started_at": _moment(fields.get("started_at")),
            "finished_at": _moment(fields.get("finished_at")) or ended_at,
            "result_id": None,
            "result_bytes": None,
            "link": self._link(event),
        }
        if is_completed(event):
            facts["result_id"], facts["result_bytes"] = event["result_id"][:MAX_KEPT], event["result_bytes"]
        else:
            facts["error_kind"], facts["message"] = event["error_kind"], event["message"][:MAX_KEPT]
        return facts

    def _link(self, event: Outcome) -> str | None:
        base = self._config["public_url"]
        if base is None:
            return None
        return f"{base.rstrip('/')}/jobs/{event['domain']}/{quote(event['job_id'], safe='')}"


def _shows(snapshot: JobSnapshot, event: Outcome) -> bool:
    """Tell whether a record's status is the outcome of the event; a cancelled job ends with `failed`."""
    return snapshot["status"] in ({"completed"} if is_completed(event) else {"failed", "cancelled"})


def _moment(text: str | None) -> datetime | None:
    """Read an ISO 8601 moment; None where there is none, or none that can be told from others."""
    try:
        return parse_datetime_field({"moment": text or ""}, "moment")
    except DecodeError:
        return None


def _kept(text: str | None) -> str | None:
    return None if text is None else text[:MAX_KEPT]


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < _MAX_DIGITS else None
