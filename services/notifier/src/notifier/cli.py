"""`notifier run`, `doctor`, `explain DOMAIN/JOB_ID`, `replay`, `undecodable` and `preview`."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from platform_core.clock import SystemClock
from platform_core.errors import PlatformError, SettingsError
from platform_core.job_events import job_domain
from platform_core.logging import get_logger
from platform_notify.circuit import Circuit
from platform_notify.deliveries import EMAIL
from platform_notify.delivery_store import DeliveryStore
from platform_notify.intent import load_snapshot
from platform_notify.replay import find_dead, replay_dead
from platform_notify.sample_mails import write_samples
from platform_notify.undecodable_store import (
    UNDECODABLE_KEY,
    UNHANDLED_KEY,
    UNKNOWN_KEY,
    UndecodableStore,
)

from notifier.doctor import examine, tell_fault
from notifier.explain import explain_job
from notifier.kept_messages import tell_kept, tell_kept_as_json, tell_published
from notifier.replay import ReplayOptions, tell_dead, tell_replay, why_not_replayed, wish_of
from notifier.settings import (
    MAIL_PROVIDERS,
    NotifierSettings,
    OperatorSettings,
    read_operator_settings,
    read_settings,
)
from notifier.wiring import build_service, connect_redis, make_clock, make_provider, set_up_logging

EXIT_FAULT: Final = 1
EXIT_SETTINGS: Final = 2


def main() -> None:
    """Run the command."""
    sys.exit(run(sys.argv[1:], os.environ))


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command; return the exit code.

    Returns:
        0 if all is well (for `run`: after SIGTERM or Ctrl-C), 1 if something could not be done, 2 if the
        settings or the arguments are wrong.
    """
    options = _parse(arguments)
    try:
        return _carry_out(options, environ)
    except SettingsError as error:
        sys.stderr.write(f"notifier: the settings are wrong.\n{error}\n")
        return EXIT_SETTINGS
    except PlatformError as error:
        sys.stderr.write(f"notifier: {tell_fault(error)}\n")
        return EXIT_FAULT


class _Options(argparse.Namespace):
    command: str
    domain: str
    job_id: str
    folder: Path
    delivery: str | None = None
    of_domain: str | None = None
    provider: str | None = None
    refused: bool
    list_only: bool
    unknown: bool
    unhandled: bool
    publish: bool
    json: bool
    clear: bool


def _parse(arguments: Sequence[str]) -> _Options:
    parser = argparse.ArgumentParser(prog="notifier", description="Sends a mail when a job has ended.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", help="hear outcomes and send mails until SIGTERM or Ctrl-C")
    commands.add_parser("doctor", help="try settings, Redis and the mail provider; sends nothing")
    explain = commands.add_parser("explain", help="tell what became of the mails about a job")
    explain.add_argument("domain", metavar="DOMAIN/JOB_ID", help="the job; or DOMAIN and JOB_ID apart")
    explain.add_argument("job_id", metavar="JOB_ID", nargs="?", default="", help=argparse.SUPPRESS)
    replay = commands.add_parser("replay", help="send mails after all that were given up")
    replay.add_argument("delivery", metavar="DELIVERY_ID", nargs="?", help="this one; explain shows its id")
    replay.add_argument("--domain", dest="of_domain", help="all about jobs of this domain")
    replay.add_argument("--provider", choices=MAIL_PROVIDERS, help="all last given to this provider")
    replay.add_argument("--refused", action="store_true", help="also what it refused for a fault of the mail")
    replay.add_argument(
        "--list", action="store_true", dest="list_only", help="only show what was given up; sends nothing"
    )
    undecodable = commands.add_parser(
        "undecodable", help="show the last messages that were passed over because nobody could decode them"
    )
    kinds = undecodable.add_mutually_exclusive_group()
    kinds.add_argument("--unknown", action="store_true", help="those of a type that nobody here knows")
    kinds.add_argument("--unhandled", action="store_true", help="events that met a fault of the notifier")
    undecodable.add_argument("--json", action="store_true", help="one JSON object a line")
    undecodable.add_argument("--clear", action="store_true", help="forget them after they were shown")
    undecodable.add_argument(
        "--publish", action="store_true", help="publish the unhandled ones again and forget them"
    )
    preview = commands.add_parser("preview", help="write sample mails as text and HTML; needs no settings")
    preview.add_argument("folder", metavar="FOLDER", type=Path, help="where to")
    options = parser.parse_args(arguments, _Options())
    if options.command == "undecodable" and options.publish and not options.unhandled:
        undecodable.error("--publish goes with --unhandled")
    if options.command == "explain" and not options.job_id:
        options.domain, _, options.job_id = options.domain.partition("/")
        if not options.job_id:
            explain.error("say which job: DOMAIN/JOB_ID")
    return options


def _carry_out(options: _Options, environ: Mapping[str, str]) -> int:
    match options.command:
        case "preview":
            return _preview(options.folder)
        case "explain":
            return _explain(read_operator_settings(environ), options.domain, options.job_id)
        case "replay":
            return _replay_or_list(options, environ)
        case "undecodable":
            return _undecodable(read_operator_settings(environ), options)
        case "doctor":
            return _doctor(read_settings(environ))
        case _:
            return _run(read_settings(environ))


def _preview(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_samples(folder)
    except OSError as error:
        sys.stderr.write(f"notifier: {folder} cannot be written: {error.strerror}\n")
        return EXIT_FAULT
    for path in sorted(folder.glob("*.html")):
        sys.stdout.write(f"{path}\n")
    return 0


def _run(settings: NotifierSettings) -> int:
    set_up_logging(settings)
    for sentence in settings["without_effect"]:
        get_logger("notifier").warning("notifier.setting_without_effect", why=sentence)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    try:
        service = build_service(settings, stopping)
    except OSError as error:
        where = f"{settings['host']}:{settings['port']}"
        sys.stderr.write(f"notifier: the health page cannot listen on {where}: {error.strerror}\n")
        return EXIT_FAULT
    service.start()
    stopping.wait()
    service.stop()
    return 0


def _doctor(settings: NotifierSettings) -> int:
    redis = connect_redis(settings["redis_url"])
    findings = examine(settings, redis, make_provider(settings, redis, SystemClock()))
    code = 0
    for finding in findings:
        sys.stdout.write(f"{finding['grade']:5}  {finding['sentence']}\n")
        if finding["grade"] == "fault":
            code = EXIT_FAULT
    return code


def _explain(settings: OperatorSettings, name: str, job_id: str) -> int:
    domain = job_domain(name)
    redis, clock = connect_redis(settings["redis_url"]), SystemClock()
    store = DeliveryStore(redis, clock)
    story = store.story_of_job(domain, job_id)
    job = load_snapshot(redis, domain, job_id)
    circuit = Circuit(redis, settings["provider"], clock).state()
    for line in explain_job(domain, job_id, story, job, circuit):
        sys.stdout.write(f"{line}\n")
    return 0 if story["deliveries"] or story["unreadable"] or job is not None else EXIT_FAULT


def _replay_or_list(options: _Options, environ: Mapping[str, str]) -> int:
    chosen: ReplayOptions = {
        "delivery": options.delivery,
        "domain": options.of_domain,
        "provider": options.provider,
        "refused": options.refused,
    }
    if options.list_only:
        return _list_dead(read_operator_settings(environ), chosen)
    if (options.delivery, options.of_domain, options.provider) == (None, None, None):
        sys.stderr.write(
            "notifier: say which: DELIVERY_ID, --domain or --provider; --list shows what was given up\n"
        )
        return EXIT_SETTINGS
    return _replay(read_operator_settings(environ), chosen)


def _replay(settings: OperatorSettings, options: ReplayOptions) -> int:
    redis = connect_redis(settings["redis_url"])
    # What is due by this machine's clock alone might be due for the notifiers only much later.
    clock = make_clock(redis)
    circuit = Circuit(redis, settings["provider"], clock).state()
    store = DeliveryStore(redis, clock)
    report = replay_dead(store, EMAIL, wish_of(options))
    for line in tell_replay(report, settings["provider"], circuit):
        sys.stdout.write(f"{line}\n")
    if options["delivery"] is None or report["replayed"]:
        return 0
    if not report["unreadable"]:
        sys.stderr.write(f"notifier: {why_not_replayed(options['delivery'], store)}\n")
    return EXIT_FAULT


def _list_dead(settings: OperatorSettings, options: ReplayOptions) -> int:
    store = DeliveryStore(connect_redis(settings["redis_url"]), SystemClock())
    report = find_dead(store, EMAIL, wish_of(options))
    for line in tell_dead(report):
        sys.stdout.write(f"{line}\n")
    return 0


def _undecodable(settings: OperatorSettings, options: _Options) -> int:
    key = UNKNOWN_KEY if options.unknown else UNHANDLED_KEY if options.unhandled else UNDECODABLE_KEY
    store = UndecodableStore(connect_redis(settings["redis_url"]), SystemClock())
    kept = store.latest(key)
    for line in tell_kept_as_json(kept) if options.json else tell_kept(key, kept):
        sys.stdout.write(f"{line}\n")
    left = len(kept)
    if options.publish:
        published = len(store.publish_again())
        left -= published
        for line in tell_published(len(kept), published):
            sys.stderr.write(f"{line}\n")
    if options.clear:
        store.clear(key)
    return EXIT_FAULT if options.publish and left else 0
