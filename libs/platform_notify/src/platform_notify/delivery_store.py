"""Deliveries in Redis: made once, claimed under a lease, settled by who holds the claim.

    notify:delivery:<id>            the record; expires some time after it was settled
    notify:due:<channel>            what waits, by when it is due (ms); what is claimed, by its lease's end
    notify:dead:<channel>           what was given up, by when (ms)
    notify:job:<domain>:<job id>    the deliveries of a job, by when they were made (ms)
    notify:digest:<id>              what was gathered into a digest, oldest first; expires with its record
    notify:storm:<hash>             how much a recipient gets at this moment; see `digests`
    notify:stray:<id>               what was found under a record's key and was no hash

The queue belongs to the channel and not to the provider: what waited while the provider was exchanged goes
out through the new one.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NotRequired, TypeAlias, TypedDict

from platform_core.clock import Clock, to_iso, to_millis
from platform_core.errors import DecodeError
from platform_core.job_events import JobDomain
from platform_core.json_values import JsonValue, encode_json
from platform_workers.errors import RedisCommandError
from platform_workers.lua_scripts import load_script
from platform_workers.redis import RedisClient

from platform_notify.circuit import PROBE_PAUSE, SCRIPTS, circuit_key, milliseconds, pause_key
from platform_notify.claims import MAX_WORK, Claim, read_claim
from platform_notify.decision import Layer, SkipReason
from platform_notify.deliveries import (
    AttemptNote,
    Delivery,
    NewDelivery,
    ReplayNote,
    decode_delivery,
    encode_attempts,
    encode_delivery,
    encode_replays,
)
from platform_notify.digests import (
    LIST_PREFIX,
    MAX_GATHERED,
    MAX_TOLD,
    STORM_MEMORY,
    GatheringRule,
    digest_id_of,
    digest_list_key,
    storm_key,
)
from platform_notify.opt_outs import LeftOut
from platform_notify.rate_limit import RateRule, rate_arguments

RETENTION: Final = timedelta(days=30)
"""How long a record stays after it was settled, and how long after its end an outcome is still mailed.

The second must not be longer than the first, or an outcome read once more could be mailed twice.
"""

RECORD_PREFIX: Final = "notify:delivery:"
_JOB_PREFIX: Final = "notify:job:"
_STRAY_PREFIX: Final = "notify:stray:"

_ADD = load_script(SCRIPTS, "storm_judgement", "delivery_add")
_CLAIM = load_script(SCRIPTS, "token_bucket", "deliveries_claim")
_SETTLE = load_script(SCRIPTS, "deliveries_settle")
_REPLAY = load_script(SCRIPTS, "delivery_replay")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


Added: TypeAlias = Literal["added", "gathered", "known"]
"""What came of a new delivery: it is recorded as given, it waits for others, or there was one already."""


class Settlement(TypedDict):
    """What became of one claimed delivery.

    Attributes:
        state: `waiting` to be tried again at `due_at`, `sent`, `dead`, or `skipped` after all.
        counts: whether the attempts so far count; False also forgets when the first one was.
        untried: there was no attempt after all; those before it count as they did.
        due_at: when to try again; needed for `waiting` alone.
        attempts: the notes of all attempts, this one last.
        detail: why it is dead; absent leaves what is there.
        reason: why it is skipped.
        layer: who decided that.
        unsure: the mail may have been delivered although it does not count as sent; see `Delivery`.
        left_out: of a digest that was sent: the users of whose jobs it did not tell, each one once.
    """

    delivery_id: str
    domain: str
    job_id: str
    state: Literal["waiting", "sent", "dead", "skipped"]
    counts: bool
    untried: NotRequired[bool]
    reason: NotRequired[SkipReason]
    layer: NotRequired[Layer]
    due_at: NotRequired[datetime]
    unsure: NotRequired[Literal["yes", "send_anyway"]]
    attempts: NotRequired[list[AttemptNote]]
    message_ids: NotRequired[list[str]]
    answer: NotRequired[str]
    detail: NotRequired[str]
    template_version: NotRequired[str]
    left_out: NotRequired[Sequence[LeftOut]]


class UnreadableRecord(TypedDict):
    """A delivery whose record cannot be read; `fault` says why, never with a value out of it."""

    delivery_id: str
    fault: str


class JobStory(TypedDict):
    """What is recorded about a job's mails.

    Attributes:
        deliveries: the job's, oldest first.
        digests: those that tell of some of them, by their ids; one that has expired is left out.
        unreadable: deliveries of the job, and digests, that cannot be read.
    """

    deliveries: list[Delivery]
    digests: dict[str, Delivery]
    unreadable: list[UnreadableRecord]


class QueueSizes(TypedDict):
    """How many deliveries of a channel wait, since when the first of them, and how many were given up."""

    waiting: int
    dead: int
    oldest_due_at: NotRequired[datetime]


class DeliveryStore:
    """The deliveries of all channels. Its methods raise `RedisUnavailableError` if Redis does not answer."""

    def __init__(self, redis: RedisClient, clock: Clock, *, retention: timedelta = RETENTION) -> None:
        self._redis = redis
        self._clock = clock
        self._retention = retention

    def add(self, delivery: NewDelivery, rule: GatheringRule | None = None) -> Added:
        """Make the record if there is none. A waiting one is due at once, unless it is gathered.

        Args:
            delivery: as the intake made it.
            rule: how mails like this one are gathered; None if each leaves by itself.
        """
        now = self._clock.now()
        fields = encode_delivery(delivery)
        if delivery["state"] == "waiting":
            due, fields["due_at"] = str(to_millis(now)), to_iso(now)
        else:
            due, fields["settled_at"] = "", to_iso(now)
        window, first = (timedelta(0), 1) if rule is None else (rule["window"], rule["first"])
        [word] = self._redis.run_script(
            {
                "script": _ADD,
                "keys": [
                    RECORD_PREFIX + delivery["delivery_id"],
                    due_key(delivery["channel"]),
                    job_deliveries_key(delivery["domain"], delivery["job_id"]),
                    storm_key(
                        delivery["channel"], delivery["domain"], delivery["event"], delivery["recipient"]
                    ),
                ],
                "args": [
                    delivery["delivery_id"], str(to_millis(now)), self._retention_ms(), due,
                    str(milliseconds(window)), str(first), to_iso(now + window),
                    digest_id_of(delivery["delivery_id"]), RECORD_PREFIX, LIST_PREFIX, str(MAX_GATHERED),
                    str(milliseconds(STORM_MEMORY)), *_flat(fields),
                ],
            }
        )  # fmt: skip
        return _added(word)

    def claim(
        self,
        channel: str,
        provider: str,
        *,
        limit: int,
        lease: timedelta,
        token: str,
        rate: RateRule | None = None,
    ) -> Claim:
        """Take due deliveries, so that nobody else gets them before the lease ends.

        Args:
            channel: whose deliveries.
            provider: through whom they will be sent; its circuit and its pause are kept to.
            limit: at most how many.
            lease: longer than sending them can take.
            token: a name for this claim that no other has.
            rate: the provider's limit; a claim that gets something has the permit for one request with it.
        """
        now = self._clock.now()
        rate_key, *pace = ["-", "0", "0"] if rate is None else [rate["key"], *rate_arguments(rate)]
        reply = self._redis.run_script(
            {
                "script": _CLAIM,
                "keys": [due_key(channel), circuit_key(provider), pause_key(provider), rate_key],
                "args": [
                    str(to_millis(now)), to_iso(now), str(milliseconds(lease)), str(limit), token, provider,
                    str(milliseconds(PROBE_PAUSE)), RECORD_PREFIX, *pace, LIST_PREFIX, str(MAX_TOLD),
                    to_iso(now + lease), str(MAX_WORK), _STRAY_PREFIX, self._retention_ms(),
                ],
            }
        )  # fmt: skip
        return read_claim(reply, token)

    def settle(self, channel: str, token: str, settlements: Sequence[Settlement]) -> list[bool]:
        """Record what became of claimed deliveries; False for each whose lease ended and was taken over."""
        now = self._clock.now()
        args = [str(to_millis(now)), self._retention_ms(), token, RECORD_PREFIX, LIST_PREFIX, _JOB_PREFIX]
        for settlement in settlements:
            fields = _flat(_settled_fields(settlement, now))
            args += [
                settlement["delivery_id"],
                job_deliveries_key(settlement["domain"], settlement["job_id"]),
                settlement["state"],
                str(to_millis(settlement["due_at"])) if "due_at" in settlement else "",
                _counting(settlement),
                str(len(fields)),
                *fields,
                str(len(settlement.get("left_out", []))),
            ]
            for one in settlement.get("left_out", []):
                args += [one["user"], one["reason"], one["layer"], one["detail"]]
        reply = self._redis.run_script(
            {"script": _SETTLE, "keys": [due_key(channel), dead_key(channel)], "args": args}
        )
        return [word == "ok" for word in reply]

    def dead_ids(self, channel: str) -> list[str]:
        """Return the deliveries of a channel that were given up, the longest dead first."""
        return self._redis.zrange(dead_key(channel), 0, -1)

    def replay(self, dead: Delivery) -> bool:
        """Make a dead delivery due at once, its attempts counted anew; False if it is not dead any more.

        Args:
            dead: as it was found.
        """
        now = self._clock.now()
        note: ReplayNote = {"at": now, "was": dead["detail"]}
        reply = self._redis.run_script(
            {
                "script": _REPLAY,
                "keys": [
                    RECORD_PREFIX + dead["delivery_id"],
                    due_key(dead["channel"]),
                    dead_key(dead["channel"]),
                    digest_list_key(dead["delivery_id"]),
                ],
                "args": [
                    dead["delivery_id"],
                    str(to_millis(now)),
                    to_iso(now),
                    to_iso(dead.get("settled_at", _EPOCH)),
                    encode_replays([*dead.get("replays", []), note]),
                    RECORD_PREFIX,
                    _JOB_PREFIX,
                    self._retention_ms(),
                ],
            }
        )
        return reply == ["replayed"]

    def find(self, delivery_id: str) -> Delivery | None:
        """Return a delivery, or None.

        Raises:
            DecodeError: its record is malformed.
        """
        try:
            fields = self._redis.hgetall(RECORD_PREFIX + delivery_id)
        except RedisCommandError as error:
            if "WRONGTYPE" not in str(error):
                raise
            raise DecodeError("delivery", "hash", "key of another type") from None
        return decode_delivery(fields) if fields else None

    def story_of_job(self, domain: JobDomain, job_id: str) -> JobStory:
        """Return all that is recorded about a job's mails; one record that cannot be read hides no other."""
        story: JobStory = {"deliveries": [], "digests": {}, "unreadable": []}
        names = self._redis.zrange(job_deliveries_key(domain, job_id), 0, -1)
        story["deliveries"] = [*self._readable(names, story["unreadable"])]
        of_digests = {delivery["digest"] for delivery in story["deliveries"] if "digest" in delivery}
        for digest in self._readable(sorted(of_digests), story["unreadable"]):
            story["digests"][digest["delivery_id"]] = digest
        return story

    def of_job(self, domain: JobDomain, job_id: str) -> list[Delivery]:
        """Return a job's deliveries, oldest first.

        Raises:
            DecodeError: a record is malformed.
        """
        found = [self.find(name) for name in self._redis.zrange(job_deliveries_key(domain, job_id), 0, -1)]
        return [delivery for delivery in found if delivery is not None]

    def digests_of(self, deliveries: Sequence[Delivery]) -> dict[str, Delivery]:
        """Return the digests that tell of these deliveries, by their ids; one that has expired is left out.

        Raises:
            DecodeError: a record is malformed.
        """
        names = {delivery["digest"] for delivery in deliveries if "digest" in delivery}
        found = {name: self.find(name) for name in sorted(names)}
        return {name: digest for name, digest in found.items() if digest is not None}

    def _readable(self, names: Sequence[str], unreadable: list[UnreadableRecord]) -> Iterator[Delivery]:
        for name in names:
            try:
                delivery = self.find(name)
            except DecodeError as error:
                unreadable.append({"delivery_id": name, "fault": str(error)})
            else:
                if delivery is not None:
                    yield delivery

    def sizes(self, channel: str) -> QueueSizes:
        """Return how many deliveries of a channel wait and how many were given up."""
        sizes: QueueSizes = {
            "waiting": self._redis.zcard(due_key(channel)),
            "dead": self._redis.zcard(dead_key(channel)),
        }
        first = self._redis.zrange(due_key(channel), 0, 0)
        scores = [self._redis.zscore(due_key(channel), delivery_id) for delivery_id in first]
        # Gone between the two questions: then another one is first, and the next look will see it.
        for score in [score for score in scores if score is not None]:
            sizes["oldest_due_at"] = _EPOCH + timedelta(milliseconds=score)
        return sizes

    def _retention_ms(self) -> str:
        return str(milliseconds(self._retention))


def due_key(channel: str) -> str:
    """Return the key of what waits to be sent on a channel."""
    return f"notify:due:{channel}"


def dead_key(channel: str) -> str:
    """Return the key of what was given up on a channel."""
    return f"notify:dead:{channel}"


def job_deliveries_key(domain: str, job_id: str) -> str:
    """Return the key of a job's deliveries."""
    return f"{_JOB_PREFIX}{domain}:{job_id}"


def _added(word: str) -> Added:
    match word:
        case "known" | "gathered":
            return word
        case _:
            return "added"


def _counting(settlement: Settlement) -> str:
    if settlement.get("untried"):
        return "untried"
    return "count" if settlement["counts"] else "uncount"


def _flat(fields: dict[str, str]) -> list[str]:
    return [part for pair in fields.items() for part in pair]


def _settled_fields(settlement: Settlement, now: datetime) -> dict[str, str]:
    fields: dict[str, str] = {}
    if "due_at" in settlement:
        fields["due_at"] = to_iso(settlement["due_at"])
    else:
        fields["settled_at"] = to_iso(now)
    if "attempts" in settlement:
        fields["attempts"] = encode_attempts(settlement["attempts"])
    if "message_ids" in settlement:
        ids: list[JsonValue] = [*settlement["message_ids"]]
        fields["message_ids"] = encode_json(ids)
    if "answer" in settlement:
        fields["answer"] = settlement["answer"]
    if "unsure" in settlement:
        fields["unsure"] = settlement["unsure"]
    if "detail" in settlement:
        fields["detail"] = settlement["detail"]
    if "template_version" in settlement:
        fields["template_version"] = settlement["template_version"]
    if "reason" in settlement:
        fields["reason"] = settlement["reason"]
    if "layer" in settlement:
        fields["layer"] = settlement["layer"]
    return fields
