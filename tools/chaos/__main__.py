"""`python -m chaos`: see docs/chaos.md."""

import argparse
import random
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from chaos.report import REPEATS, list_repeats, report_on
from chaos.run import run
from chaos.stage import FILE_WORKERS, Options

ROOT = Path(__file__).parent.parent.parent
MAX_JOBS = 40_000


class _Words(argparse.Namespace):
    seed: int | None
    seconds: float
    jobs: int
    rq_jobs: int | None
    http_jobs: int | None
    cancels: int | None
    retries: int | None
    notifiers: int
    workers: int
    notifier_kills: int | None
    worker_kills: int | None
    api_kills: int | None
    redis_kills: int | None
    pauses: int | None
    trims: int | None
    well: bool
    email_log: bool
    digest: bool
    patient: bool
    folder: Path


def main(arguments: Sequence[str]) -> int:
    """Run; 0 if every promise was kept, 1 if not."""
    options = read_options(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    print(f"seed {options['seed']} (SEED={options['seed']} repeats the plan)", flush=True)
    try:
        result = run(options, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print("interrupted; everything is stopped")
        return 130
    repeats = "".join(f"{line}\n" for line in list_repeats(result))
    (options["folder"] / REPEATS).write_text(repeats, "utf-8")
    for line in report_on(options, result):
        print(line)
    if result["broken"] or any(result["left"].values()):
        print(f"The logs and the data are in {result['folder']}.")
        return 1
    shutil.rmtree(result["folder"])
    return 0


def read_options(arguments: Sequence[str]) -> Options:
    """Read the command line; what is not given follows from the length of the run."""
    parser = argparse.ArgumentParser(prog="make chaos", description="The platform under kills and pauses.")
    parser.add_argument("--seed", type=int, help="decides everything; a random one is printed")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the blows fall (default 60)")
    parser.add_argument("--jobs", type=int, default=2000, help=f"at most {MAX_JOBS} (default 2000)")
    parser.add_argument("--rq-jobs", type=int, help="submitted with the library (default 1 in 40)")
    parser.add_argument("--http-jobs", type=int, help="submitted to the API (default 1 in 40)")
    parser.add_argument("--cancels", type=int, help="of how many jobs (default 1 in 20)")
    parser.add_argument("--retries", type=int, help="by hand, of how many jobs (default 1 in 40)")
    parser.add_argument("--notifiers", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="besides the one for what the API takes")
    parser.add_argument("--notifier-kills", type=int, help="default: one in 4 seconds")
    parser.add_argument("--worker-kills", type=int, help="default: one in 10 seconds")
    parser.add_argument("--api-kills", type=int, help="default: one in 10 seconds")
    parser.add_argument("--redis-kills", type=int, help="default: one in 20 seconds")
    parser.add_argument("--pauses", type=int, help="default: one in 8 seconds")
    parser.add_argument("--trims", type=int, help="of the log, while no notifier runs (default: one in 30)")
    parser.add_argument("--well", action="store_true", help="a mail service that never misbehaves")
    parser.add_argument(
        "--email-log", action="store_true", help="send for real, where a log settles what is in doubt"
    )
    parser.add_argument("--digest", action="store_true", help="few people, whose mails are gathered")
    parser.add_argument("--patient", action="store_true", help="cut no lease and no retry short")
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "chaos", help="for logs and data")
    words = parser.parse_args(arguments, namespace=_Words())
    if not 0 < words.jobs <= MAX_JOBS:
        # The durable log keeps 100,000 entries, and the count reads it from its beginning.
        parser.error(f"--jobs must be 1 to {MAX_JOBS}")

    def share(wish: int | None, every: float) -> int:
        return int(words.seconds / every) if wish is None else wish

    def of_jobs(wish: int | None, one_in: int) -> int:
        return min(words.jobs // one_in if wish is None else wish, words.jobs)

    rq_jobs = of_jobs(words.rq_jobs, 40)
    return {
        "seed": random.SystemRandom().randrange(1_000_000) if words.seed is None else words.seed,
        "jobs": words.jobs,
        "rq_jobs": rq_jobs,
        "http_jobs": min(of_jobs(words.http_jobs, 40), words.jobs - rq_jobs),
        "cancels": of_jobs(words.cancels, 20),
        "retries": of_jobs(words.retries, 40),
        "wishes": {
            "seconds": words.seconds,
            "notifiers": words.notifiers,
            "workers": words.workers + FILE_WORKERS,
            "notifier_kills": share(words.notifier_kills, 4),
            "worker_kills": share(words.worker_kills, 10),
            "api_kills": share(words.api_kills, 10),
            "redis_kills": share(words.redis_kills, 20),
            "pauses": share(words.pauses, 8),
            "trims": share(words.trims, 30),
        },
        "well": words.well,
        "email_log": words.email_log,
        "digest": words.digest,
        "patient": words.patient,
        "folder": words.folder.absolute(),
    }


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
