"""Hands in jobs over HTTP under idempotency keys, whatever happens to the API and to Redis meanwhile."""

from collections.abc import Mapping, Sequence
from typing import Final

from platform_core.json_values import JsonObject
from typing_extensions import override

from chaos.api_calls import Answer, ApiCaller
from chaos.handing_in import HandsIn
from chaos.jobs import FILES, USER_ID, PlannedJob, context_of, notifications_of

PAUSE_SECONDS: Final = 0.2
"""Before a request is repeated."""

REPEATED: Final = 4
"""One in so many is asked for once more although its answer has come."""

CHANGED: Final = 10
"""One in so many is asked for once more with another body."""

NEW: Final = 201
AGAIN: Final = 200
"""How a submission is answered: the job is new, or was handed in before under this key."""

_SMALL: Final = b"name,age\nAda,36\nGrace,85\n"
_LARGE: Final = b"name,age\n" + b"".join(b"person %d,%d\n" % (n, n % 90) for n in range(150_000))


class HttpSubmitter(HandsIn):
    """Hands in every job of the domain `files` at its time; a request that got no answer is repeated.

    Attributes:
        acknowledged: the jobs that the API has acknowledged.
        repeated: how many requests were repeated.
        broken: every answer that a first request or a repeat must not get.
        fault: what ended it early; empty if nothing did.
    """

    def __init__(self, api: ApiCaller, jobs: Sequence[PlannedJob]) -> None:
        super().__init__("submitter", [job for job in jobs if job["way"] == "http"])
        self.repeated = 0
        self.broken: list[str] = []
        self._api = api
        self._files: Mapping[str, str] = {}

    def upload(self) -> None:
        """Upload the files that the jobs are about; before anything is killed."""
        if self._jobs:
            self._files = {name: self._api.upload(name, text) for name, text in _FILES.items()}

    @override
    def _hand_in(self, number: int, job: PlannedJob) -> None:
        body = self._body(job)
        answer, lost = self._insist(job, body)
        if self._is_right(job, answer, {NEW, AGAIN} if lost else {NEW}):
            self.acknowledged.add(job["job_id"])
        if number % REPEATED == 0:
            self.repeated += 1
            self._is_right(job, self._insist(job, body)[0], {AGAIN})
        if number % CHANGED == 0:
            other, _ = self._insist(job, {**body, "user_id": USER_ID + 1})
            if not other["problem"].startswith("idempotency-conflict"):
                self.broken.append(f"{job['key']} with another body was answered {other['status']}")

    def _insist(self, job: PlannedJob, body: JsonObject) -> tuple[Answer, int]:
        """Ask until there is an answer; return it, and how many requests before it were lost."""
        lost = 0
        while True:
            answer = self._api.post("/v1/jobs", body, {"Idempotency-Key": job["key"]})
            if answer["fate"] == "answered" or self._stop.is_set():
                return answer, lost
            if answer["fate"] == "lost":
                lost += 1
                self.repeated += 1
            self._stop.wait(PAUSE_SECONDS)

    def _is_right(self, job: PlannedJob, answer: Answer, may_be: set[int]) -> bool:
        """Tell whether the answer is the key's job, told as new or as found; what is not is broken."""
        is_job = answer.get("job", {}).get("job_id") == job["job_id"]
        is_told = answer["status"] in may_be and answer["is_replay"] is (answer["status"] == AGAIN)
        if not (is_job and is_told):
            self.broken.append(f"{job['key']} stands for job {job['job_id']}, and was answered {answer}")
        return is_job and is_told

    def _body(self, job: PlannedJob) -> JsonObject:
        job_type, file = "csv.row_count", "small.csv"
        if job["ending"] == "user_error":
            job_type = "json.canonicalize"
        elif job["work_seconds"]:
            job_type, file = "csv.column_stats", "large.csv"
        return {
            "domain": FILES,
            "job_type": job_type,
            "payload": {"file_id": self._files[file]},
            "user_id": USER_ID,
            "priority": job["priority"],
            "context": context_of(job),
            "notifications": notifications_of(job),
        }


_FILES: Final = {"small.csv": _SMALL, "large.csv": _LARGE}
