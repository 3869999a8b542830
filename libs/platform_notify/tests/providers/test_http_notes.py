"""The transport tells how far a request came; what it makes of answers is tested with Mailtrap's."""

from pathlib import Path

import pytest
import requests
from platform_workers.testing import FakeClock

from platform_notify.providers.http_notes import NotingAdapter
from platform_notify.testing import MailtrapServer


def test_what_is_known_of_one_request_says_nothing_about_the_next(tmp_path: Path) -> None:
    with MailtrapServer(tmp_path / "ca.pem") as server, requests.Session() as session:
        adapter, url = NotingAdapter(FakeClock(), 10.0), f"https://{server.host}/api/send"
        session.mount("https://", adapter)
        told: list[bool] = []
        with pytest.raises(requests.exceptions.SSLError):
            session.post(url, timeout=5)
        told.append(adapter.in_handshake)
        with pytest.raises(OSError, match=r"gone\.pem"):
            session.post(url, timeout=5, verify=str(tmp_path / "gone.pem"))
        told.append(adapter.in_handshake)
        answer = session.post(url, timeout=5, json={}, verify=str(server.ca_bundle))
        told.append(adapter.in_handshake)
        assert told == [True, False, False]
        assert adapter.note is not None
        assert answer.content == adapter.note["body"]
