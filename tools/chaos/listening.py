"""A client of `GET /v1/events` that comes back with its last id after every kill of the API or of Redis."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypedDict

import httpx
from jobs_api.event_positions import NO_POSITION, read_positions
from platform_core.job_events import JobDomain, job_domain
from platform_core.json_values import decode_as
from platform_workers.log_gaps import id_parts

from chaos.log_reading import Logged

PAUSE_SECONDS: Final = 0.2
"""Before it connects again."""

SILENCE_SECONDS: Final = 25.0
"""After so long without a sign of life the connection counts as lost; one comes every ten seconds."""

GAP: Final = "gap"
"""Stands for events that the API has told to be gone."""

_KEPT: Final = frozenset({"started", "completed", "failed"})

# Bound to a name of its own: whatever ends the thread belongs into the report.
_ANYTHING: type[Exception] = Exception


class _Data(TypedDict):
    domain: str


class EventClient:
    """Hears the events of all domains, from the beginning of their logs on.

    Attributes:
        heard: what came of each domain's log: the entry's id, or `GAP`.
        connections: how often it has connected.
        broken: whatever no client may hear.
        fault: what ended it early; empty if nothing did.
    """

    def __init__(self, url: str, key: str) -> None:
        self.heard: defaultdict[JobDomain, list[str]] = defaultdict(list)
        self.connections = 0
        self.broken: list[str] = []
        self.fault = ""
        self._last_id = NO_POSITION
        self._stop = threading.Event()
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(SILENCE_SECONDS, connect=2.0),
            trust_env=False,
        )
        self._thread = threading.Thread(target=self._run, name="event-client", daemon=True)

    def start(self) -> None:
        """Begin, on a thread of its own."""
        self._thread.start()

    def has_heard(self, entries: Sequence[Logged]) -> bool:
        """Tell whether it has come to the end of a log."""
        return not entries or self._end_of(entries[-1]["domain"]) == entries[-1]["entry_id"]

    @property
    def count(self) -> int:
        """How many events it has heard that the logs keep."""
        return sum(entry_id != GAP for heard in self.heard.values() for entry_id in heard)

    def stop(self) -> None:
        """End it with the next thing that comes."""
        self._stop.set()

    def _end_of(self, domain: JobDomain) -> str:
        return next((entry_id for entry_id in reversed(self.heard[domain]) if entry_id != GAP), "")

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._listen()
                self._stop.wait(PAUSE_SECONDS)
        except _ANYTHING as error:
            self.fault = f"{type(error).__name__}: {error}"

    def _listen(self) -> None:
        try:
            with self._http.stream("GET", "/v1/events", headers={"Last-Event-ID": self._last_id}) as answer:
                if not answer.is_success:
                    return
                self.connections += 1
                for event_id, name, data in read_stream(answer.iter_lines()):
                    self._take(event_id, name, data)
                    if self._stop.is_set():
                        return
        except httpx.TransportError:
            return

    def _take(self, event_id: str, name: str, data: str) -> None:
        if event_id:
            self._last_id = event_id
        if name != "gap" and name not in _KEPT:
            return
        domain = job_domain(decode_as(data, _Data)["domain"])
        if name == "gap":
            self.heard[domain].append(GAP)
            return
        if not event_id:
            self.broken.append(f"an event that the log has was heard without an id: {data}")
            return
        entry_id = read_positions(event_id, "id")[domain]
        if self._end_of(domain) and id_parts(entry_id) <= id_parts(self._end_of(domain)):
            self.broken.append(f"entry {entry_id} of {domain} was heard after {self._end_of(domain)}")
        self.heard[domain].append(entry_id)


def read_stream(lines: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Give id, name and data of what comes, each empty where there is none; half of one is left out."""
    found = {"id": "", "event": "", "data": ""}
    for line in lines:
        if line:
            field, _, value = line.partition(": ")
            if field in found:
                found[field] = value
        else:
            yield found["id"], found["event"], found["data"]
            found = {"id": "", "event": "", "data": ""}


def unheard(heard: Sequence[str], kept: Sequence[Logged], trimmed: Sequence[Logged]) -> Iterator[str]:
    """Say which entries of a log were missed.

    Args:
        heard: what was heard of it.
        kept: what the log still has.
        trimmed: what it had; of this a gap may tell.
    """
    known = set(heard)
    for entry in kept:
        if entry["entry_id"] not in known:
            yield f"the client missed {_name(entry)}, which the log still has"
    gaps = list(_gaps(heard))
    for entry in trimmed:
        place = id_parts(entry["entry_id"])
        if entry["entry_id"] not in known and not any(low < place < high for low, high in gaps):
            yield f"the client missed {_name(entry)}, and was told of no gap there"


def _gaps(heard: Sequence[str]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Give the ids before and after each gap."""
    last, is_open = (0, 0), False
    for entry_id in heard:
        if entry_id == GAP:
            is_open = True
            continue
        if is_open:
            yield last, id_parts(entry_id)
        last, is_open = id_parts(entry_id), False
    if is_open:
        yield last, _END


_END: Final = (2**63, 0)


def _name(entry: Logged) -> str:
    return f"`{entry['word']}` of run {entry['run']} of {entry['job_id']} ({entry['entry_id']})"
