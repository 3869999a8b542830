"""A whole service: one domain, one handler, a worker, and a job that asks for a mail.

python service.py worker                      # works until Ctrl-C
python service.py submit Ada me@example.com   # hands in one job
"""

import os
import sys
from typing import TypedDict

from platform_core.errors import JobUserError
from platform_core.job_events import default_events_channel, job_domain
from platform_workers.handlers import HandlerRegistry, JobResult, JobRun
from platform_workers.redis import connect
from platform_workers.rq_harness import run_rq_worker
from platform_workers.submission import JobRequest, make_submitter

GREETINGS = job_domain("greetings")
CHANNEL = default_events_channel(GREETINGS)
QUEUE = "greetings"
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")


class GreetPayload(TypedDict):
    """What a greeting needs; a job with another payload is refused when it is handed in."""

    name: str


def greet(payload: GreetPayload, job: JobRun) -> JobResult:
    """Greet one person; a name with digits in it is the user's mistake, so it is not tried again."""
    if any(letter.isdigit() for letter in payload["name"]):
        raise JobUserError("a name has no digits in it")
    text = f"Hello, {payload['name']}!"
    job.publish_progress(99, text)
    return {"result_id": text, "result_bytes": len(text)}


registry = HandlerRegistry(domain=GREETINGS)
registry.register("greetings.greet", GreetPayload, greet, max_attempts=3, timeout_seconds=30)

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["worker"]:
            run_rq_worker(
                {"redis_url": REDIS_URL, "queue_name": QUEUE, "events_channel": CHANNEL, "registry": registry}
            )
        case ["submit", name, email]:
            request: JobRequest = {
                "job_type": "greetings.greet",
                "payload": {"name": name},
                "user_id": 1,
                "context": {"user_id": "user-1", "email": email},
                "notifications": {"email": {"enabled": True, "on": ["SUCCESS", "FAILURE"]}},
            }
            submitter = make_submitter(redis=connect(REDIS_URL), queue_name=QUEUE, registry=registry)
            print(submitter.submit(request)["job_id"])
        case _:
            sys.exit("usage: service.py worker | service.py submit NAME EMAIL")
