"""Requests to the API under a key, and what came of each: answered, lost, or surely not done."""

from collections.abc import Mapping
from typing import Final, Literal, NotRequired, TypeAlias, TypedDict

import httpx
from platform_core.errors import DecodeError
from platform_core.json_values import JsonObject, decode_as, encode_json

ANSWER_SECONDS: Final = 6.0
CONNECT_SECONDS: Final = 2.0

Fate: TypeAlias = Literal["answered", "lost", "not_done"]
"""`lost`: it may have been done, and if so perhaps only later. `not_done`: the API could not be reached, or
it promises that nothing was changed."""

UNKNOWN: Final = frozenset({"submission-unknown", "change-unknown"})
"""The problems by which the API says that it does not know."""

_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_LATER: Final = frozenset({429, 503})
_SERVER_ERROR: Final = 500


class JobFacts(TypedDict):
    """What counts of a job in an answer."""

    job_id: str
    status: str
    run: int


class _Problem(TypedDict):
    type: str
    detail: str


class Answer(TypedDict):
    """What came of a request.

    Attributes:
        status: the HTTP status; 0 without an answer.
        problem: the word that names the problem, and what is said of it; empty for none.
        is_replay: whether the API says that it has answered this request before.
        job: the job, where the answer is one.
    """

    fate: Fate
    status: int
    problem: str
    is_replay: bool
    job: NotRequired[JobFacts]


class ApiCaller:
    """Asks the API. Thread-safe.

    Args:
        url: where it is.
        key: who asks.
        transport: answers in place of the network.

    Attributes:
        faults: every answer that no request may get.
        lost: how many requests got no answer, or one that leaves open whether they were carried out.
    """

    def __init__(self, url: str, key: str, transport: httpx.BaseTransport | None = None) -> None:
        self.faults: list[str] = []
        self.lost = 0
        self._http = httpx.Client(
            base_url=url,
            transport=transport,
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            trust_env=False,
        )

    def upload(self, name: str, content: bytes) -> str:
        """Upload a file; return its id."""
        answer = self._http.post("/v1/files", params={"name": name}, content=content).raise_for_status()
        return decode_as(answer.content, _Uploaded)["file_id"]

    def post(
        self, path: str, body: JsonObject | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request that changes something."""
        content = b"" if body is None else encode_json(body).encode()
        answer: Answer = {"fate": "not_done", "status": 0, "problem": "", "is_replay": False}
        try:
            response = self._http.post(path, content=content, headers=headers)
        except _NEVER_SENT:
            return answer
        except httpx.TransportError:
            self.lost += 1
            return {**answer, "fate": "lost"}
        answer = self._read(path, response, answer)
        self.lost += answer["fate"] == "lost"
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _read(self, path: str, response: httpx.Response, answer: Answer) -> Answer:
        answer["status"] = response.status_code
        answer["is_replay"] = "Idempotency-Replayed" in response.headers
        try:
            if response.is_success:
                return {**answer, "fate": "answered", "job": decode_as(response.content, JobFacts)}
            problem = decode_as(response.content, _Problem)
        except DecodeError as error:
            self.faults.append(f"POST {path} was answered {response.status_code} with no document: {error}")
            return {**answer, "fate": "lost"}
        word = problem["type"].rpartition(":")[2]
        answer["problem"] = f"{word}: {problem['detail']}"
        if word in UNKNOWN:
            return {**answer, "fate": "lost"}
        if response.status_code in _LATER:
            return answer
        if response.status_code >= _SERVER_ERROR or response.status_code in {401, 403}:
            self.faults.append(f"POST {path} was answered {response.status_code}, {answer['problem']}")
            return {**answer, "fate": "lost"}
        return {**answer, "fate": "answered"}


class _Uploaded(TypedDict):
    file_id: str
