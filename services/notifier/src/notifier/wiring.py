"""Builds the concrete objects of the notifier from its settings; the only place that does."""

import os
import random
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final, NotRequired, TypedDict
from uuid import uuid4

from platform_core.clock import Clock, SystemClock
from platform_core.json_values import JsonValue, encode_json
from platform_core.logging import configure_logging, get_logger
from platform_notify.circuit import Circuit
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import DeliveryStore
from platform_notify.guarded_provider import GuardedProvider
from platform_notify.intake import Intake
from platform_notify.providers.base import MailProvider
from platform_notify.providers.maildir import MaildirProvider
from platform_notify.providers.mailtrap import MAX_BATCH, MailtrapProvider
from platform_notify.providers.secret import Secret
from platform_notify.providers.sent_log import SentLog
from platform_notify.providers.smtp import SmtpConfig, SmtpProvider
from platform_notify.rate_limit import RateLimit, RateRule, mailtrap_log_rate, mailtrap_rate
from platform_notify.recording import Recorder
from platform_notify.sender import Sender, SenderConfig
from platform_notify.undecodable_store import UndecodableStore
from platform_notify.unsubscribe import UnsubscribeLinks, UnsubscribeTokens
from platform_notify.writing import MailWriter
from platform_workers.event_log import EventLog
from platform_workers.live_events import LiveEvents
from platform_workers.redis import RedisClient, connect
from platform_workers.server_clock import ServerClock

from notifier.canary import Canary, CanaryRedis
from notifier.feeds import LiveFeed, LogFeed
from notifier.figures import FigureReader
from notifier.health_server import HealthServer, Page
from notifier.loops import Loop, Outage
from notifier.metrics import METRICS_CONTENT_TYPE, Metrics
from notifier.readiness import Readiness
from notifier.sending import SendingLoop
from notifier.service import LoopThreads, Service
from notifier.settings import MailProviderName, NotifierSettings
from notifier.tally import Tally
from notifier.watch import Watch

GROUP: Final = "notifier"
"""The consumer group in which all replicas of the notifier share the durable log."""

SEND_SECONDS: Final = 60.0
"""How long one call of a provider may take: after `SENDING_SECONDS` it begins with no further mail, and
whatever it has begun waits for two answers once the mail is on its way."""

LOOK_UP_SECONDS: Final = 20.0
"""How long a look into the provider's log may take."""

LEASE: Final = timedelta(seconds=SEND_SECONDS + LOOK_UP_SECONDS + 15)
"""How long a claim holds: longer than a look-up and a call may take, with time to record their results."""

SENDERS: Final = 2
"""How many batches are under way at once: one is written while the other waits for the provider."""

PATIENCE: Final = LEASE.total_seconds() + 25
"""Seconds after which a part that has not come back counts as hung: longer than any sending takes."""

PROVIDER_TIMEOUT: Final = 15
"""Seconds a provider waits for a connection or for an answer."""

BATCH: Final[dict[MailProviderName, int]] = {"mailtrap": MAX_BATCH, "smtp": 20, "maildir": 100}
"""How many mails go into one call: as many as are done well within its deadline."""


_TEXT: Final = "text/plain; charset=utf-8"


def set_up_logging(settings: NotifierSettings) -> None:
    """Set up the logs of this process."""
    configure_logging(service="notifier", json=settings["log_json"], level=settings["log_level"])


def connect_redis(url: Secret) -> RedisClient:
    """Return the connection; nothing is sent before the first command."""
    return connect(url.reveal())


def make_clock(redis: RedisClient) -> ServerClock:
    """Return the time all replicas go by: a lease that one takes ends for the others at the same moment."""
    return ServerClock(redis, SystemClock())


class Outlet(TypedDict):
    """Where mails leave.

    Attributes:
        provider: what sends.
        log: the provider's own log; None if it has none.
        rate: how often the provider may be called; absent for no limit.
    """

    provider: MailProvider
    log: SentLog | None
    rate: NotRequired[RateRule]


def make_outlet(settings: NotifierSettings, redis: RedisClient, clock: Clock) -> Outlet:
    """Return the mail provider of the settings with all it has; nothing is sent before the first mail."""
    mail, sender = settings["mail"], settings["sender"]
    if mail["provider"] == "mailtrap":
        rate = mailtrap_rate(mail["api_key"])
        mailtrap = MailtrapProvider(
            {
                "api_key": mail["api_key"],
                "sandbox_inbox_id": mail["sandbox_inbox_id"],
                "account_id": mail["account_id"],
                "api_host": mail["api_host"],
                "ca_bundle": mail["ca_bundle"],
                "sender": sender,
                "timeout": PROVIDER_TIMEOUT,
            },
            clock,
            permits=RateLimit(redis, clock, rate),
            log_permits=RateLimit(redis, clock, mailtrap_log_rate(mail["api_key"])),
        )
        return {"provider": mailtrap, "log": mailtrap.sent_log, "rate": rate}
    if mail["provider"] == "smtp":
        config: SmtpConfig = {"server": mail["server"], "sender": sender, "timeout": PROVIDER_TIMEOUT}
        return {"provider": SmtpProvider(config, clock), "log": None}
    return {"provider": MaildirProvider({"path": mail["path"], "sender": sender}, clock), "log": None}


def make_provider(settings: NotifierSettings, redis: RedisClient, clock: Clock) -> MailProvider:
    """Return the mail provider of the settings alone."""
    return make_outlet(settings, redis, clock)["provider"]


def make_intake(
    redis: RedisClient, store: DeliveryStore, settings: NotifierSettings, clock: Clock, wake: threading.Event
) -> Intake:
    """Return what turns outcomes into deliveries."""
    return Intake(
        redis=redis,
        store=store,
        clock=clock,
        logger=get_logger("notifier.intake"),
        # There always is a provider: without one the settings are refused.
        config={
            "channel": EMAIL,
            "provider_configured": True,
            "public_url": settings["public_url"],
            "max_age": settings["max_age"],
            "digests": settings["digests"],
        },
        wake=wake.set,
    )


def build_service(settings: NotifierSettings, stopping: threading.Event) -> Service:
    """Build the notifier. Nothing connects before it is started; the port of the health page is taken.

    Args:
        settings: see `read_settings`.
        stopping: what the loops wait on; `Service.stop` sets it.

    Raises:
        OSError: the port cannot be taken.
    """
    wake, look = threading.Event(), threading.Event()
    redis = connect_redis(settings["redis_url"])
    clock = make_clock(redis)
    store = DeliveryStore(redis, clock)
    # Nothing in the middle of a sending may wait for a silent Redis to say what time it is.
    outlet = make_outlet(settings, redis, clock.unasked)
    provider = outlet["provider"]
    circuit = Circuit(redis, provider.name, clock)
    domains, replica = settings["domains"], _replica_name()
    log = EventLog(redis, group=GROUP, consumer=replica, idle=stopping.wait, domains=domains)
    figures = FigureReader(
        store=store, circuit=circuit, log=log, clock=clock, channel=EMAIL, provider=provider.name
    )
    metrics = Metrics()
    canary = Canary(redis=redis, replica=replica, clock=clock, observer=metrics, to_send=look.set)
    watch = Watch(canary=canary, read_figures=figures.read, clock=clock, wake=look)
    intake = make_intake(redis, store, settings, clock, wake)
    tally = Tally(metrics=metrics, undecodable=UndecodableStore(redis, clock))
    live_events = LiveEvents(CanaryRedis(redis, canary, clock), domains=domains)
    live_feed = LiveFeed(
        events=live_events, intake=intake, tally=tally, logger=get_logger("notifier.live_feed")
    )
    log_feed = LogFeed(
        log=log, intake=intake, tally=tally, clock=clock, logger=get_logger("notifier.log_feed")
    )
    recorder = Recorder(
        channel=EMAIL,
        provider=provider.name,
        store=store,
        circuit=circuit,
        clock=clock.unasked,
        logger=get_logger("notifier.sender"),
        observer=metrics,
    )
    senders = [
        make_sender(settings, outlet, store=store, recorder=recorder, clock=clock.unasked, metrics=metrics)
        for _ in range(SENDERS)
    ]
    outage = Outage(get_logger("notifier"), clock)
    steps = {"live": live_feed.step, "log": log_feed.step, "watch": watch.step}
    for number, sender in enumerate(senders, start=1):
        steps[f"send-{number}"] = SendingLoop(sender=sender, clock=clock, wake=wake).step
    threads = LoopThreads(
        [
            Loop(
                name=name,
                step=step,
                stopping=stopping,
                outage=outage,
                logger=get_logger("notifier"),
                clock=clock,
                patience=PATIENCE,
            )
            for name, step in steps.items()
        ]
    )
    readiness = Readiness(
        live=live_feed,
        log=log_feed,
        canary=canary,
        watch=watch,
        troubles=lambda: [*threads.troubles(), *outage.troubles()],
        clock=clock,
    )
    metrics.show(
        read_figures=watch.figures,
        is_ready=lambda: readiness.check()["status"] == "ready",
        canary_unanswered=canary.unanswered_seconds,
    )
    return Service(
        threads=threads,
        health=HealthServer(
            host=settings["host"], port=settings["port"], pages=make_pages(threads, readiness, metrics)
        ),
        stopping=stopping,
        wakes=[wake, look],
        clean_up=[live_feed.close, log_feed.close, provider.close, redis.close],
        clock=clock,
        logger=get_logger("notifier"),
    )


def make_sender(
    settings: NotifierSettings,
    outlet: Outlet,
    *,
    store: DeliveryStore,
    recorder: Recorder,
    clock: Clock,
    metrics: Metrics,
) -> Sender:
    """Return one sender of the mail channel, with a fence of its own around the provider."""
    guarded = GuardedProvider(
        outlet["provider"], deadline_seconds=SEND_SECONDS, logger=get_logger("notifier.provider")
    )
    log = outlet["log"]
    config: SenderConfig = {
        "channel": EMAIL,
        "batch": BATCH[settings["mail"]["provider"]],
        "lease": LEASE,
        "call": timedelta(seconds=SEND_SECONDS),
        "when_unsure": settings["when_unsure"],
    }
    if "rate" in outlet:
        config["rate"] = outlet["rate"]
    return Sender(
        store=store,
        recorder=recorder,
        provider=guarded,
        log=None if log is None else guarded.guard_log(log, deadline_seconds=LOOK_UP_SECONDS),
        write=make_writer(settings, clock).write,
        clock=clock,
        logger=get_logger("notifier.sender"),
        observer=metrics,
        config=config,
        jitter=partial(random.SystemRandom().uniform, -1.0, 1.0),
        new_token=lambda: uuid4().hex,
    )


def make_writer(settings: NotifierSettings, clock: Clock) -> MailWriter:
    """Return what writes the mails, with links to stop them if the settings allow for these."""
    return MailWriter(clock, make_links(settings))


def make_links(settings: NotifierSettings) -> UnsubscribeLinks | None:
    """Return what makes links to stop mails; None if the settings do not allow for these."""
    secret, public_url = settings["unsubscribe_secret"], settings["public_url"]
    if secret is None or public_url is None:
        return None
    return UnsubscribeLinks(UnsubscribeTokens(secret), public_url)


def make_pages(threads: LoopThreads, readiness: Readiness, metrics: Metrics) -> dict[str, Callable[[], Page]]:
    """Return what the health server serves, by path."""

    def healthz() -> Page:
        if threads.is_alive():
            return Page(200, _TEXT, b"The notifier runs.\n")
        return Page(503, _TEXT, b"A part of the notifier has ended.\n")

    def readyz() -> Page:
        report = readiness.check()
        reasons: list[JsonValue] = [*report["reasons"]]
        content = encode_json({"status": report["status"], "reasons": reasons})
        return Page(200 if report["status"] == "ready" else 503, "application/json", content.encode())

    return {
        "/healthz": healthz,
        "/readyz": readyz,
        "/metrics": lambda: Page(200, METRICS_CONTENT_TYPE, metrics.exposition()),
    }


def _replica_name() -> str:
    """Return a name that no other replica has, and that says where to look for this one."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
