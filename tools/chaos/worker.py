"""A worker of the chaos domain as a process: `python -m chaos.worker REDIS_URL FOLDER`.

The folder is there so that the process, and whatever it forks, can be told from others by its command line.
"""

import sys

from platform_core.job_events import default_events_channel
from platform_core.logging import configure_logging
from platform_workers.rq_harness import run_rq_worker

from chaos.jobs import CHAOS, QUEUE, make_registry

if __name__ == "__main__":
    configure_logging(service="chaos-worker", json=False)
    run_rq_worker(
        {
            "redis_url": sys.argv[1],
            "queue_name": QUEUE,
            "events_channel": default_events_channel(CHAOS),
            "registry": make_registry(),
        }
    )
