"""Every outcome becomes one delivery, however often and from wherever it is heard."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from pipeline_kit import (
    ANNA,
    BOTH,
    NOON,
    completed,
    deliveries_of,
    failed_event,
    foreign_job,
    heard,
    keys_without_ttl,
)
from platform_core.job_events import (
    TURKIC,
    JobDomain,
    JobFailedV1,
    default_events_channel,
    make_progress_event,
)
from platform_core.json_values import JsonValue, encode_json
from platform_workers.event_log import EventLog
from platform_workers.event_messages import Heard
from platform_workers.job_context import JobContext, make_job_context
from platform_workers.job_record_store import JobRecordStore
from platform_workers.redis import RedisClient
from platform_workers.testing import FakeClock, FakeLogger

from platform_notify.deliveries import EMAIL, decode_delivery
from platform_notify.delivery_store import RETENTION, DeliveryStore
from platform_notify.intake import MAX_KEPT, Intake, IntakeConfig, Taken
from platform_notify.rendering import MAX_MESSAGE

CONFIG: IntakeConfig = {
    "channel": EMAIL,
    "provider_configured": True,
    "max_age": RETENTION,
    "public_url": "https://jobs.example.com/",
}
PREFERENCES = "user:7:notification_preferences"


class Bell:
    """Counts how often the sender was woken."""

    def __init__(self) -> None:
        self.rung = 0

    def __call__(self) -> None:
        self.rung += 1


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def intake(redis: RedisClient, clock: FakeClock, logger: FakeLogger, bell: Bell) -> Intake:
    return make_intake(redis, clock, logger, bell)


def make_intake(
    redis: RedisClient, clock: FakeClock, logger: FakeLogger, bell: Bell, config: IntakeConfig = CONFIG
) -> Intake:
    store = DeliveryStore(redis, clock)
    return Intake(redis=redis, store=store, clock=clock, logger=logger, config=config, wake=bell)


def our_job(
    redis: RedisClient, clock: FakeClock, job_id: str = "j1", *, notifications: JsonValue = None, run: int = 1
) -> JobContext:
    """Store a job as the platform does, and return the context that publishes its life."""
    wanted: JsonValue = dict(BOTH) if notifications is None else notifications
    JobRecordStore(redis=redis, domain=TURKIC, clock=clock).save(
        {
            "job_id": job_id,
            "user_id": 7,
            "status": "queued",
            "progress": 0,
            "message": None,
            "error": None,
            "created_at": clock.now(),
            "updated_at": clock.now(),
            "job_type": "train",
            "payload": {},
            "priority": "normal",
            "queue": "default",
            "attempt_count": 0,
            "max_attempts": 3,
            "run": run,
            "context": {"user_id": "7", "email": ANNA},
            "notifications": wanted,
        }
    )
    return make_job_context(
        redis=redis,
        domain=TURKIC,
        events_channel=default_events_channel(TURKIC),
        job_id=job_id,
        user_id=7,
        queue_name="default",
        clock=clock,
    )


def read_log(redis: RedisClient, intake: Intake, group: str = "notifier") -> list[Taken]:
    log = EventLog(redis, group=group, consumer="one", idle=lambda seconds: seconds)
    taken = []
    for entry in log.next(0):
        message = entry["message"]
        assert message["kind"] == "event"
        taken.append(
            intake.take_logged(message, run=entry["run"], ended_at=NOON, cancelled=entry["cancelled"])
        )
    return taken


# -- cancelled, and run again by hand --------------------------------------------------------------------


def cancel(job: JobContext) -> None:
    job.apply("cancelled", job.builder.cancelled(transition_id="c"))


def rerun(job: JobContext, run: int) -> None:
    job.apply("rerun", job.builder.rerun(run=run))


CANCELLED: JobFailedV1 = {**failed_event(), "message": "cancelled"}
SKIPPED: Taken = {"result": "skipped", "reason": "job_cancelled"}


@pytest.mark.parametrize("feed", ["live", "log"])
def test_no_mail_about_a_cancelled_job(
    redis: RedisClient, clock: FakeClock, intake: Intake, bell: Bell, feed: str
) -> None:
    cancel(our_job(redis, clock))
    if feed == "live":
        assert intake.take_live(heard(CANCELLED)) == SKIPPED
    else:
        assert read_log(redis, intake) == [SKIPPED]
    assert bell.rung == 0


def test_no_mail_either_if_it_was_run_again_before_anybody_read_the_log(
    redis: RedisClient, clock: FakeClock, intake: Intake, bell: Bell
) -> None:
    """By then the record says nothing of the cancelled run: the log has to."""
    job = our_job(redis, clock)
    cancel(job)
    rerun(job, 2)
    assert intake.take_live(heard(CANCELLED)) == {"result": "left_to_log"}
    assert read_log(redis, intake) == [SKIPPED]
    assert bell.rung == 0


def test_a_failure_is_told_although_the_next_run_was_cancelled(
    redis: RedisClient, clock: FakeClock, intake: Intake
) -> None:
    job = our_job(redis, clock)
    job.publish_failed("system", "broken")
    rerun(job, 2)
    cancel(job)
    assert read_log(redis, intake) == [{"result": "queued"}, SKIPPED]


def test_each_run_of_a_job_is_notified_anew(
    redis: RedisClient, clock: FakeClock, intake: Intake, bell: Bell
) -> None:
    """Failed, run again by hand, failed again, run again, done: three mails, each with an id of its own."""
    job = our_job(redis, clock)
    for run in (1, 2):
        job.publish_started()
        job.publish_failed("system", "broken")
        assert intake.take_live(heard(failed_event())) == {"result": "queued"}
        rerun(job, run + 1)
    job.publish_started()
    job.publish_completed(result_id="r-1", result_bytes=1)
    assert read_log(redis, intake) == [
        {"result": "ignored"}, {"result": "known"}, {"result": "ignored"}, {"result": "known"},
        {"result": "ignored"}, {"result": "queued"},
    ]  # fmt: skip
    deliveries = deliveries_of(redis)
    assert sorted((delivery["run"], delivery["event"]) for delivery in deliveries) == [
        ("1", "FAILURE"), ("2", "FAILURE"), ("3", "SUCCESS"),
    ]  # fmt: skip
    assert bell.rung == 3


# -- once, from both feeds ----------------------------------------------------------------------------


def test_both_feeds_of_one_outcome_make_one_delivery(
    redis: RedisClient, clock: FakeClock, intake: Intake, bell: Bell
) -> None:
    job = our_job(redis, clock)
    job.publish_started()
    job.publish_completed(result_id="r-1", result_bytes=2048)
    assert intake.take_live(heard(completed())) == {"result": "queued"}
    assert intake.take_live(heard(completed())) == {"result": "known"}
    assert read_log(redis, intake) == [{"result": "ignored"}, {"result": "known"}]
    assert read_log(redis, intake, "another group") == [{"result": "ignored"}, {"result": "known"}]
    assert len(deliveries_of(redis)) == 1
    assert bell.rung == 1


def test_the_log_alone_is_enough_and_the_live_event_then_changes_nothing(
    redis: RedisClient, clock: FakeClock, intake: Intake, bell: Bell
) -> None:
    job = our_job(redis, clock)
    job.publish_started()
    job.publish_failed("user", "bad row 3")
    assert read_log(redis, intake) == [{"result": "ignored"}, {"result": "queued"}]
    assert intake.take_live(heard(failed_event())) == {"result": "known"}
    assert bell.rung == 1


def test_a_live_event_that_the_record_does_not_show_is_left_to_the_log(
    redis: RedisClient, clock: FakeClock, intake: Intake, bell: Bell
) -> None:
    """The job has been started again since: only the log says which run has ended."""
    job = our_job(redis, clock, run=2)
    job.publish_started()
    assert intake.take_live(heard(completed())) == {"result": "left_to_log"}
    assert intake.take_live(heard(failed_event())) == {"result": "left_to_log"}
    assert deliveries_of(redis) == []
    job.publish_failed("system", "worker lost")
    assert intake.take_live(heard(completed())) == {"result": "left_to_log"}
    assert intake.take_live(heard(failed_event())) == {"result": "queued"}


def test_each_run_of_a_job_is_told_of(redis: RedisClient, clock: FakeClock, intake: Intake) -> None:
    for run in (1, 2):
        job = our_job(redis, clock, run=run)
        job.publish_started()
        job.publish_completed(result_id="r", result_bytes=1)
    assert [taken["result"] for taken in read_log(redis, intake)] == ["ignored", "queued"] * 2
    assert intake.take_live(heard(completed())) == {"result": "known"}
    assert sorted(fields["run"] for fields in deliveries_of(redis)) == ["1", "2"]


def test_a_foreign_job_with_a_field_run_of_its_own_is_mailed(redis: RedisClient, intake: Intake) -> None:
    foreign_job(redis, status="running")
    redis.hset("turkic:job:j1", {"run": "wandb-7"})
    assert intake.take_live(heard(completed())) == {"result": "queued"}
    (delivery,) = deliveries_of(redis)
    assert delivery["run"] == "1"


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_at_the_edge_of_the_calendar_loses_no_mail(
    redis: RedisClient, intake: Intake, moment: str
) -> None:
    foreign_job(redis)
    redis.hset("turkic:job:j1", {"created_at": moment, "finished_at": moment})
    assert intake.take_live(heard(completed())) == {"result": "queued"}


@pytest.mark.parametrize("user_id", ["u" * 1_000_000, "a:b", ""])
def test_the_name_of_a_user_who_can_have_no_preferences_is_not_kept(
    redis: RedisClient, intake: Intake, user_id: str
) -> None:
    """A megabyte stayed with each delivery for 30 days, and each claim loaded hundreds of them."""
    foreign_job(redis)
    redis.hset("turkic:job:j1", {"context": encode_json({"email": ANNA, "user_id": user_id})})
    assert intake.take_live(heard(completed())) == {"result": "queued"}
    (delivery,) = deliveries_of(redis)
    assert "subscriber" not in delivery
    assert sum(map(len, delivery.values())) < 2000


def test_an_outcome_that_is_read_again_when_it_is_too_old_has_one_story(
    redis: RedisClient, clock: FakeClock, logger: FakeLogger, bell: Bell
) -> None:
    """Beside the mail that was sent stood "skipped, too old, to nobody"."""
    intake = make_intake(redis, clock, logger, bell, {**CONFIG, "max_age": timedelta(hours=1)})
    foreign_job(redis)
    assert intake.take_logged(heard(completed()), run=1, ended_at=NOON) == {"result": "queued"}
    clock.advance(3700)
    assert intake.take_logged(heard(completed()), run=1, ended_at=NOON) == {"result": "known"}
    assert [delivery["state"] for delivery in deliveries_of(redis)] == ["waiting"]
    assert intake.take_logged(heard(completed()), run=2, ended_at=NOON)["result"] == "skipped"
    assert intake.take_logged(heard(failed_event()), run=1, ended_at=NOON)["result"] == "skipped"
    assert intake.take_logged(heard(failed_event()), run=1, ended_at=NOON) == {"result": "known"}


def test_a_record_broken_by_hand_does_not_keep_a_skipped_one_out(redis: RedisClient, intake: Intake) -> None:
    redis.zadd("notify:job:turkic:j1", {"d1": 1.0})
    redis.set("notify:delivery:d1", "x")
    assert intake.take_live(heard(completed()))["result"] == "skipped"


def test_a_foreign_publisher_is_heard_once(redis: RedisClient, intake: Intake, bell: Bell) -> None:
    foreign_job(redis)
    assert intake.take_live(heard(completed())) == {"result": "queued"}
    assert intake.take_live(heard(completed())) == {"result": "known"}
    assert bell.rung == 1


def test_a_foreign_publisher_need_not_have_updated_its_status(redis: RedisClient, intake: Intake) -> None:
    foreign_job(redis, status="processing")
    assert intake.take_live(heard(completed())) == {"result": "queued"}


def test_what_is_no_outcome_is_ignored(redis: RedisClient, intake: Intake) -> None:
    foreign_job(redis)
    event = make_progress_event(domain=TURKIC, job_id="j1", user_id=7, progress=100)
    progress: Heard = {"kind": "event", "channel": "turkic:events", "domain": TURKIC, "event": event}
    assert intake.take_live(progress) == {"result": "ignored"}
    assert intake.take_logged(progress, run=1, ended_at=NOON) == {"result": "ignored"}
    assert redis.keys("notify:*") == []


# -- skipped, with the reason -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "preferences", "reason", "layer", "detail"),
    [
        ({}, None, "not_requested", "default", ""),
        ({"context": "[]"}, None, "invalid_context", "job", "$.context: expected object, found array"),
        (
            {"notifications": "1"},
            None,
            "invalid_notifications",
            "job",
            "$.notifications: expected object, found int",
        ),
        ({}, "[]", "invalid_preferences", "preferences", "$: expected object, found array"),
        ({}, '{"opt_out":true}', "opted_out", "preferences", ""),
        ({"status": "cancelled"}, None, "job_cancelled", "job", ""),
        ({"notifications": encode_json(dict(BOTH))}, None, "no_recipient", "job", ""),
    ],
)
def test_a_mail_that_is_not_sent_leaves_the_reason(
    redis: RedisClient,
    intake: Intake,
    logger: FakeLogger,
    bell: Bell,
    fields: Mapping[str, str],
    preferences: str | None,
    reason: str,
    layer: str,
    detail: str,
) -> None:
    redis.hset("turkic:job:j1", {"status": "completed", **fields})
    if preferences is not None:
        redis.set(PREFERENCES, preferences)
    taken = intake.take_live(heard(completed()))
    assert (taken["result"], taken.get("reason")) == ("skipped", reason)
    (record,) = deliveries_of(redis)
    assert (record["state"], record["reason"], record["layer"], record["detail"]) == (
        "skipped", reason, layer, detail,
    )  # fmt: skip
    assert intake.take_live(heard(completed())) == {"result": "known"}
    assert logger.events() == ["notifier.delivery_skipped"]
    assert bell.rung == 0
    assert keys_without_ttl(redis) == []


def test_a_job_that_is_not_found_can_still_be_told_of_once_it_is(redis: RedisClient, intake: Intake) -> None:
    assert intake.take_live(heard(completed())) == {"result": "skipped", "reason": "job_not_found"}
    foreign_job(redis)
    assert intake.take_live(heard(completed())) == {"result": "queued"}


def test_preferences_are_those_of_the_contexts_user_and_else_of_the_events(
    redis: RedisClient, intake: Intake
) -> None:
    redis.set("user:u-9:notification_preferences", '{"opt_out":true}')
    foreign_job(redis, "j1")
    foreign_job(redis, "j2")
    redis.hset("turkic:job:j2", {"context": encode_json({"user_id": "u-9", "email": ANNA})})
    assert intake.take_live(heard(completed("j1"))) == {"result": "queued"}
    assert intake.take_live(heard(completed("j2"))) == {"result": "skipped", "reason": "opted_out"}
    redis.set(PREFERENCES, '{"opt_out":true}')
    foreign_job(redis, "j3")
    assert intake.take_live(heard(completed("j3"))) == {"result": "skipped", "reason": "opted_out"}


def test_without_a_provider_nothing_is_queued(
    redis: RedisClient, clock: FakeClock, logger: FakeLogger, bell: Bell
) -> None:
    foreign_job(redis)
    intake = make_intake(redis, clock, logger, bell, {**CONFIG, "provider_configured": False})
    taken = intake.take_live(heard(completed()))
    assert taken == {"result": "skipped", "reason": "provider_not_configured"}


def test_an_outcome_older_than_any_record_is_not_mailed_again(
    redis: RedisClient, clock: FakeClock, intake: Intake
) -> None:
    """Its delivery may have been made, sent and forgotten."""
    foreign_job(redis)
    clock.advance(RETENTION.total_seconds())
    in_time = intake.take_logged(heard(completed()), run=1, ended_at=NOON)
    assert in_time == {"result": "queued"}
    clock.advance(1)
    late = intake.take_logged(heard(failed_event()), run=1, ended_at=NOON)
    assert late == {"result": "skipped", "reason": "too_old"}


def test_an_outcome_older_than_the_operator_wants_is_not_mailed(
    redis: RedisClient, clock: FakeClock, logger: FakeLogger, bell: Bell
) -> None:
    """Else a first notifier on an old store mails a month of old news at once."""
    foreign_job(redis)
    intake = make_intake(redis, clock, logger, bell, {**CONFIG, "max_age": timedelta(hours=1)})
    clock.advance(3600)
    assert intake.take_logged(heard(completed()), run=1, ended_at=NOON) == {"result": "queued"}
    clock.advance(1)
    late = intake.take_logged(heard(failed_event()), run=1, ended_at=NOON)
    assert late == {"result": "skipped", "reason": "too_old"}


# -- the facts of the mail ----------------------------------------------------------------------------


def test_the_facts_come_from_the_event_and_from_the_record(
    redis: RedisClient, clock: FakeClock, intake: Intake
) -> None:
    job = our_job(redis, clock)
    clock.advance(10)
    job.publish_started()
    job.publish_progress(50, "half of it")
    clock.advance(60)
    job.publish_completed(result_id="r-1", result_bytes=2048)
    clock.advance(1)
    intake.take_live(heard(completed()))
    (record,) = deliveries_of(redis)
    assert decode_delivery(record)["facts"] == {
        "domain": "turkic",
        "job_id": "j1",
        "job_type": "train",
        "event": "SUCCESS",
        "error_kind": None,
        "message": "half of it",
        "attempts": 1,
        "created_at": NOON,
        "started_at": NOON + timedelta(seconds=10),
        "finished_at": NOON + timedelta(seconds=70),
        "result_id": "r-1",
        "result_bytes": 2048,
        "link": "https://jobs.example.com/jobs/turkic/j1",
    }
    assert (record["recipient"], record["user_id"], record["layer"]) == (ANNA, "7", "job")


def test_of_a_long_message_only_as_much_is_kept_as_a_mail_can_show(
    redis: RedisClient, clock: FakeClock, intake: Intake
) -> None:
    """Any publisher may write a megabyte into each event, and deliveries stay for 30 days."""
    foreign_job(redis, "j1", status="failed")
    foreign_job(redis, "j2")
    redis.hset("turkic:job:j2", {"job_type": "t" * 5000, "message": "m" * 5000})
    intake.take_live(heard({**failed_event(), "message": "x" * 1_000_000}))
    intake.take_live(heard({**completed("j2"), "result_id": "r" * 1_000_000}))
    failed, done = (decode_delivery(deliveries_of(redis, name)[0])["facts"] for name in ("j1", "j2"))
    assert failed["message"] == "x" * MAX_KEPT
    assert (done["result_id"], done["job_type"], done["message"]) == (
        "r" * MAX_KEPT, "t" * MAX_KEPT, "m" * MAX_KEPT,
    )  # fmt: skip
    assert MAX_KEPT > MAX_MESSAGE


def test_a_foreign_job_has_few_facts(redis: RedisClient, clock: FakeClock, intake: Intake) -> None:
    foreign_job(redis)
    redis.hset(
        "turkic:job:j1",
        {"attempt_count": "many", "created_at": "yesterday", "started_at": "2026-01-02T11:00:00"},
    )
    clock.advance(5)
    intake.take_live(heard(failed_event(kind="system")))
    (record,) = deliveries_of(redis)
    assert decode_delivery(record)["facts"] == {
        "domain": "turkic",
        "job_id": "j1",
        "job_type": None,
        "event": "FAILURE",
        "error_kind": "system",
        "message": "bad row 3",
        "attempts": None,
        "created_at": None,
        "started_at": None,
        "finished_at": NOON + timedelta(seconds=5),
        "result_id": None,
        "result_bytes": None,
        "link": "https://jobs.example.com/jobs/turkic/j1",
    }


def test_a_record_of_a_later_run_tells_nothing_about_an_earlier_one(
    redis: RedisClient, clock: FakeClock, intake: Intake
) -> None:
    our_job(redis, clock, run=2)
    clock.advance(100)
    intake.take_logged(heard(completed()), run=1, ended_at=NOON + timedelta(seconds=30))
    (record,) = deliveries_of(redis)
    facts = decode_delivery(record)["facts"]
    assert (facts["job_type"], facts["created_at"]) == (None, None)
    assert facts["finished_at"] == NOON + timedelta(seconds=30)


def test_without_a_public_address_there_is_no_link(
    redis: RedisClient, clock: FakeClock, logger: FakeLogger, bell: Bell
) -> None:
    foreign_job(redis)
    make_intake(redis, clock, logger, bell, {**CONFIG, "public_url": None}).take_live(heard(completed()))
    (record,) = deliveries_of(redis)
    assert decode_delivery(record)["facts"]["link"] is None


def test_a_job_id_is_quoted_in_the_link(redis: RedisClient, intake: Intake) -> None:
    foreign_job(redis, "a/b?c")
    intake.take_live(heard(completed("a/b?c")))
    (record,) = deliveries_of(redis, "a/b?c")
    assert decode_delivery(record)["facts"]["link"] == "https://jobs.example.com/jobs/turkic/a%2Fb%3Fc"


# -- the job itself -----------------------------------------------------------------------------------


def job_keys(redis: RedisClient, domain: JobDomain = TURKIC) -> dict[str, object]:
    """Return everything about the domain's jobs, with its time to live."""
    keys = [key for key in redis.keys(f"{domain}:job*") if not key.endswith(":events:log")]
    return {key: (redis.connection.dump(key), redis.ttl(key) > 0) for key in keys}


def test_the_intake_never_touches_a_job(
    real_redis: RedisClient, clock: FakeClock, logger: FakeLogger
) -> None:
    job = our_job(real_redis, clock)
    job.publish_started()
    job.publish_completed(result_id="r", result_bytes=1)
    foreign_job(real_redis, "j2", notifications=[])
    before = job_keys(real_redis)
    intake = make_intake(real_redis, clock, logger, Bell())
    intake.take_live(heard(completed("j1")))
    intake.take_live(heard(completed("j2")))
    read_log(real_redis, intake)
    assert job_keys(real_redis) == before
    assert len(before) > 5
