"""Whether a full job store slows anything: `make bench-store`. Figures: `docs/performance.md`.

Two servers, one with a thousand finished jobs and one with a million, all written by the real code (record
store, job context and their scripts), only pipelined. A real notifier runs on each. Then both are measured
turn by turn, so that what else the machine does meets both alike, and the two are compared.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypedDict, get_args

from bench_kit import (
    MEBIBYTE,
    RunningNotifier,
    TimedServer,
    machine,
    notifier,
    single_mail,
    started_job,
    wait_until,
)
from platform_core.job_events import TURKIC, default_events_log
from platform_workers.handlers import HandlerRegistry, JobResult, JobRun
from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis import RedisClient
from platform_workers.submission import JobSubmitter, make_submitter
from platform_workers.testing import EmbeddedRedis, FakeClock
from typing_extensions import override

GROUP: Final = "notifier"
PIPELINED: Final = 500
FILL_DAYS: Final = 29
"""The finished jobs are spread over so many days, so that none of them is past its 30 days yet."""

USERS: Final = 1000
JOB_TYPES: Final = ("train", "csv.row_count", "csv.column_stats", "json.canonicalize", "files.digest")
BURST: Final = 200
LIMIT: Final = 1.2
"""What must not be exceeded: the full store's figure divided by the small one's."""

Figure: TypeAlias = Literal[
    "ready_seconds",
    "rss_mib",
    "published_ms",
    "mail_ms",
    "cpu_ms_a_mail",
    "life_ms",
    "submit_ms",
]

WORDS: Final[dict[Figure, str]] = {
    "ready_seconds": "start of the notifier until /readyz is green, s",
    "rss_mib": "memory of the notifier (RSS), MiB",
    "published_ms": "publish_completed alone, after a pause, ms",
    "mail_ms": "publish_completed to the request at the provider, ms",
    "cpu_ms_a_mail": "CPU of the notifier for one of many mails, ms",
    "life_ms": "a whole life (saved, started, completed), ms",
    "submit_ms": "submission, ms",
}


class _Options(argparse.Namespace):
    few: int
    jobs: int
    rounds: int
    singles: int


class Store(TypedDict):
    """One server with its jobs, and what was measured on it.

    Attributes:
        figures: what was measured, round by round.
    """

    name: str
    jobs: int
    redis: RedisClient
    server: EmbeddedRedis
    mailtrap: TimedServer
    submitter: JobSubmitter
    figures: dict[Figure, list[list[float]]]


class PipelinedRedis(RedisClient):
    """Gathers script calls and sends many at once; each is answered beforehand as if it had gone well.

    What the server really says is checked when they are sent.
    """

    def __init__(self, redis: RedisClient) -> None:
        super().__init__(redis.connection)
        self._calls: list[ScriptCall] = []

    @override
    def run_script(self, call: ScriptCall) -> list[str]:
        self._calls.append(call)
        if len(self._calls) >= PIPELINED:
            self.flush()
        return ["ok", "processing", "1", "1"]

    def flush(self) -> None:
        """Send what was gathered.

        Raises:
            ValueError: the server refused one.
        """
        pipeline = self.connection.pipeline(transaction=False)
        for script in {call["script"].sha: call["script"] for call in self._calls}.values():
            pipeline.script_load(script.text)
        loads = len(pipeline)
        for call in self._calls:
            pipeline.evalsha(call["script"].sha, len(call["keys"]), *call["keys"], *call["args"])
        replies: list[list[bytes]] = pipeline.execute()[loads:]
        self._calls.clear()
        for reply in replies:
            if reply[0] != b"ok":
                raise ValueError(f"a script was refused: {reply!r}")


class Payload(TypedDict):
    """Nothing at all."""


def main(arguments: list[str]) -> int:
    """Measure and print; return 1 if the full store is slower or needs more by more than a fifth."""
    parser = argparse.ArgumentParser(description="Compare a store with few and with many finished jobs.")
    parser.add_argument("--few", type=int, default=1_000, help="finished jobs of the small store")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="finished jobs of the full store")
    parser.add_argument("--rounds", type=int, default=10, help="how often each store is measured in turn")
    parser.add_argument("--singles", type=int, default=10, help="mails of the latency figure in each round")
    options = parser.parse_args(arguments, _Options())
    print(machine())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stores = [make_store(stack, folder, name, jobs) for name, jobs in
                  (("small", options.few), ("full", options.jobs))]  # fmt: skip
        for turn in range(options.rounds):
            # The one that is first in this round is last in the next.
            for store in stores if turn % 2 else reversed(stores):
                measure(store, folder, turn, options.singles)
        return report(*stores)


def make_store(stack: ExitStack, folder: Path, name: str, jobs: int) -> Store:
    """Start a server and fill it with finished jobs; what a notifier had to hear of them it has heard."""
    server = stack.enter_context(EmbeddedRedis())
    redis = server.client()
    stack.callback(redis.close)
    empty, begun = used_memory(redis), time.perf_counter()
    fill(redis, jobs)
    seconds, used = time.perf_counter() - begun, used_memory(redis) - empty
    print(
        f"{name}: {jobs} finished jobs in {seconds:.0f} s; Redis needs {used / MEBIBYTE:.0f} MiB for them,"
        f" {used / jobs:.0f} bytes a job",
        flush=True,
    )
    log = default_events_log(TURKIC)
    redis.xgroup_create(log, GROUP, start="$")
    registry = HandlerRegistry(domain=TURKIC)
    registry.register("train", Payload, do_nothing)
    return {
        "name": name,
        "jobs": jobs,
        "redis": redis,
        "server": server,
        "mailtrap": stack.enter_context(TimedServer(folder / f"{name}.pem", delay=0.0)),
        "submitter": make_submitter(redis=redis, queue_name="default", registry=registry),
        "figures": {figure: [] for figure in get_args(Figure)},
    }


def do_nothing(_payload: Payload, _job: JobRun) -> JobResult:
    """Stand for the handler of jobs that nobody runs."""
    return {"result_id": "", "result_bytes": 0}


def fill(redis: RedisClient, jobs: int) -> None:
    """Let so many jobs of many users and some types end, one after the other over the last weeks."""
    gathered = PipelinedRedis(redis)
    clock = FakeClock(redis.now() - timedelta(days=FILL_DAYS))
    for number in range(jobs):
        started_job(
            gathered,
            f"job-{number:08}",
            user_id=number % USERS,
            job_type=JOB_TYPES[number % len(JOB_TYPES)],
            clock=clock,
        )()
        clock.advance(FILL_DAYS * 24 * 3600 / jobs)
    gathered.flush()


def measure(store: Store, folder: Path, turn: int, singles: int) -> None:
    """Take every figure of one store once, with a notifier that was just started."""
    figures, redis, mailtrap = store["figures"], store["redis"], store["mailtrap"]
    begun = time.perf_counter()
    name = f"{store['name']}-{turn}"
    with notifier(store["server"].url, mailtrap, folder, name=name) as running:
        wait_until(running.is_ready)
        figures["ready_seconds"].append([time.perf_counter() - begun])
        # The first one pays for the connection and the caches.
        single_mail(redis, mailtrap, f"{name}-warm")
        waits = [single_mail(redis, mailtrap, f"{name}-{number}") for number in range(singles)]
        figures["published_ms"].append([wait["published"] * 1000 for wait in waits])
        figures["mail_ms"].append([wait["arrived"] * 1000 for wait in waits])
        figures["cpu_ms_a_mail"].append([burst(store, running, name)])
        figures["rss_mib"].append([running.usage()["rss"]])
    # Without a notifier, which would take its share of the two cores.
    figures["life_ms"].append(list(timed_steps(redis, name)))
    figures["submit_ms"].append(list(timed_submissions(store["submitter"])))
    # As if a notifier had heard the jobs above that nobody waits for.
    redis.connection.xgroup_setid(default_events_log(TURKIC), GROUP, "$")


def burst(store: Store, running: RunningNotifier, name: str) -> float:
    """Let many jobs end at once; return the milliseconds of CPU that the notifier took for each mail."""
    completions = [started_job(store["redis"], f"{name}-burst-{number}") for number in range(BURST)]
    before, mails = running.usage()["cpu"], len(store["mailtrap"].mails)
    for complete in completions:
        complete()
    wait_until(lambda: len(store["mailtrap"].mails) >= mails + BURST)
    return (running.usage()["cpu"] - before) * 1000 / BURST


def timed_steps(redis: RedisClient, name: str) -> Iterator[float]:
    """Yield the milliseconds of a whole life, for each of many jobs: saved, started and completed."""
    for number in range(BURST):
        begun = time.perf_counter()
        started_job(redis, f"{name}-timed-{number}", on=())()
        yield (time.perf_counter() - begun) * 1000


def timed_submissions(submitter: JobSubmitter) -> Iterator[float]:
    """Yield the milliseconds of many submissions."""
    for _ in range(BURST):
        begun = time.perf_counter()
        submitter.submit({"job_type": "train", "payload": {}, "user_id": 7})
        yield (time.perf_counter() - begun) * 1000


def report(small: Store, full: Store) -> int:
    """Print the figures side by side; return 1 if one of them is beyond the limit.

    The two are compared within each round, when the machine was about as busy for both, and the median of
    these ratios counts.
    """
    print(f"{'median over all rounds':58} {small['jobs']:>9} {full['jobs']:>9}  ratio (that of each round)")
    beyond = 0
    for figure, words in WORDS.items():
        few, many = small["figures"][figure], full["figures"][figure]
        ratios = [
            statistics.median(there) / statistics.median(here) for here, there in zip(few, many, strict=True)
        ]
        ratio = statistics.median(ratios)
        beyond += ratio > LIMIT
        one, other = (
            statistics.median(value for values in found for value in values) for found in (few, many)
        )
        told = " ".join(f"{ratio:.2f}" for ratio in sorted(ratios))
        print(f"{words:58} {one:9.2f} {other:9.2f}  {ratio:5.2f}{' !' if ratio > LIMIT else ''} ({told})")
    print(f"{beyond} of {len(WORDS)} figures beyond {LIMIT:g}")
    return 1 if beyond else 0


def used_memory(redis: RedisClient) -> int:
    """Return the bytes that the server's data needs."""
    facts: dict[str, object] = redis.connection.info("memory")
    used = facts["used_memory"]
    assert isinstance(used, int)
    return used


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
