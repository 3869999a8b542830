"""`jobs preferences`: in words, changed, replaced."""

import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import httpx
import pytest
from client_kit import FakeApi, json_answer, problem
from platform_core.json_values import JsonObject, JsonValue, decode_json
from typing_extensions import override

Captured = pytest.CaptureFixture[str]
PATH = "/v1/users/user-7/notification-preferences"


class Stored(FakeApi):
    """An API that keeps one user's preferences."""

    def __init__(self, document: JsonObject) -> None:
        super().__init__({f"GET {PATH}": self._get, f"PUT {PATH}": self._put})
        self.document = document

    def _get(self, _request: httpx.Request) -> httpx.Response:
        return json_answer(self.document)

    def _put(self, request: httpx.Request) -> httpx.Response:
        document = decode_json(request.content)
        assert isinstance(document, dict)
        self.document = document
        return json_answer(document)


def email(*on: str, enabled: bool = True) -> JsonValue:
    return {"enabled": enabled, "on": [*on]}


BOTH = email("SUCCESS", "FAILURE")


@pytest.mark.parametrize(
    ("document", "lines"),
    [
        ({"email": BOTH}, ["all jobs  a mail when a job completes or fails"]),
        ({"email": email("FAILURE")}, ["all jobs  a mail when a job fails"]),
        ({"email": email("SUCCESS", enabled=False)}, ["all jobs  no mail"]),
        ({"email": email()}, ["all jobs  no mail, unless the job asks for it"]),
        (
            {"opt_out": True, "email": BOTH, "domains": {"qr": {"email": BOTH}}},
            ["all jobs  no mail at all (opted out)"],
        ),
        (
            {"opt_out": False, "domains": {"qr": {}, "digits": {"opt_out": True}, "t": {"email": BOTH}}},
            [
                "all jobs  no mail, unless the job asks for it",
                "digits    no mail at all (opted out)",
                "qr        as for all jobs",
                "t         a mail when a job completes or fails",
            ],
        ),
    ],
)
def test_preferences_are_told_in_words(capsys: Captured, document: JsonObject, lines: list[str]) -> None:
    api = Stored(document)
    assert api.run("preferences", "user-7") == 0
    assert capsys.readouterr() == ("\n".join(lines) + "\n", "")
    assert [request.method for request in api.requests] == ["GET"]


def test_a_user_without_preferences_is_told_so(capsys: Captured) -> None:
    assert Stored({}).run("preferences", "user-7") == 0
    assert capsys.readouterr().err == "user-7 has no preferences yet.\n"


@pytest.mark.parametrize(
    ("words", "after"),
    [
        (["--opt-out"], {"opt_out": True}),
        (["--opt-in"], {"opt_out": False}),
        (["--email", "on"], {"email": BOTH}),
        (["--email", "off"], {"email": email("SUCCESS", "FAILURE", enabled=False)}),
        (["--on", "failure"], {"email": email("FAILURE")}),
        (["--email", "off", "--on", "success"], {"email": email("SUCCESS", enabled=False)}),
        (["--opt-in", "--email", "on"], {"opt_out": False, "email": BOTH}),
        (["--domain", "qr", "--opt-out"], {"domains": {"qr": {"opt_out": True}}}),
        (["--domain", "qr", "--on", "failure"], {"domains": {"qr": {"email": email("FAILURE")}}}),
    ],
)
def test_a_change_is_one_put_of_the_whole_document(
    capsys: Captured, words: list[str], after: JsonObject
) -> None:
    api = Stored({})
    assert api.run("preferences", "user-7", *words) == 0
    assert [request.method for request in api.requests] == ["GET", "PUT"]
    assert api.document == after
    assert capsys.readouterr().err == ""


def test_a_change_leaves_the_rest_as_it_was() -> None:
    """The route replaces the whole document: what the client did not carry over would be gone."""
    before: JsonObject = {
        "opt_out": True,
        "email": {"enabled": True, "on": ["FAILURE"], "later": 1},
        "domains": {"qr": {"opt_out": True, "new": 2}, "t": {}},
        "sms": {"enabled": True},
    }
    api = Stored(before)
    api.run("preferences", "user-7", "--opt-in")
    api.run("preferences", "user-7", "--email", "off")
    api.run("preferences", "user-7", "--domain", "qr", "--email", "on")
    assert api.document == {
        "opt_out": False,
        "email": {"enabled": False, "on": ["FAILURE"], "later": 1},
        "domains": {"qr": {"opt_out": True, "new": 2, "email": BOTH}, "t": {}},
        "sms": {"enabled": True},
    }


class Contended(Stored):
    """An API whose user changes the same meanwhile, some times."""

    def __init__(self, times: int) -> None:
        super().__init__({})
        self._times = times
        self._version = 0

    @override
    def _get(self, request: httpx.Request) -> httpx.Response:
        answer = super()._get(request)
        answer.headers["ETag"] = f'"{self._version}"'
        if self._times:
            self._times -= 1
            self._version += 1
            self.document = {"opt_out": True}
        return answer

    @override
    def _put(self, request: httpx.Request) -> httpx.Response:
        if request.headers["if-match"] != f'"{self._version}"':
            return problem(412, "changed-meanwhile", "something else is stored by now")
        return super()._put(request)


def test_a_change_does_not_undo_what_came_meanwhile(capsys: Captured) -> None:
    api = Contended(1)
    assert api.run("preferences", "user-7", "--email", "on") == 0
    assert api.document == {"opt_out": True, "email": BOTH}
    assert capsys.readouterr().err == ""


def test_a_change_that_never_gets_its_turn_is_told(capsys: Captured) -> None:
    api = Contended(1000)
    assert api.run("preferences", "user-7", "--email", "on") == 2
    assert api.document == {"opt_out": True}
    assert capsys.readouterr().err == "jobs: something else is stored by now\n"
    assert len(api.requests) == 10


def test_a_change_that_is_refused_is_told_at_once(capsys: Captured) -> None:
    api = FakeApi({f"GET {PATH}": json_answer({}), f"PUT {PATH}": problem(403, "scope-missing", "no")})
    assert api.run("preferences", "user-7", "--email", "on") == 2
    assert capsys.readouterr().err.startswith("jobs: no\n")


def test_a_file_replaces_them_all(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "preferences.json"
    file.write_text('{"email": {"enabled": true, "on": ["FAILURE"]}}')
    api = Stored({"opt_out": True})
    assert api.run("preferences", "user-7", "--set", str(file), "--json") == 0
    assert api.document == {"email": email("FAILURE")}
    assert decode_json(capsys.readouterr().out) == api.document
    assert [request.method for request in api.requests] == ["PUT"]


def test_a_dash_reads_from_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b'{"opt_out": true}')))
    api = Stored({})
    assert api.run("preferences", "user-7", "--set", "-") == 0
    assert api.document == {"opt_out": True}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "--set FILE: $: expected JSON text"),
        ("[]", "--set FILE: $: expected object, found array"),
        ('{"opt_out": 1}', "--set FILE: $.opt_out: expected bool, found int"),
        ('{"email": {"enabled": true, "on": ["NEVER"]}}', "--set FILE: $.email.on[0]"),
    ],
)
def test_a_file_that_can_not_be_is_told_by_its_fault(
    tmp_path: Path, capsys: Captured, content: str, told: str
) -> None:
    file = tmp_path / "preferences.json"
    file.write_text(content)
    api = Stored({})
    assert api.run("preferences", "user-7", "--set", str(file)) == 2
    assert told.replace("FILE", str(file)) in capsys.readouterr().err
    assert api.requests == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["u", "--set", "gone.json"], "gone.json: No such file"),
        (["u", "--set", "x", "--email", "on"], "--set replaces the whole document"),
        (["u", "--set", "x", "--opt-out"], "not allowed with"),
        (["u", "--opt-in", "--opt-out"], "not allowed with"),
        (["u", "--domain", "qr"], "--domain needs what to change there"),
        (["u", "--email", "yes"], "expected on or off"),
        (["u", "--on", "never"], "expected success, failure"),
        ([".."], "USER is a user's id"),
        ([], "USER"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(capsys: Captured, words: list[str], told: str) -> None:
    assert FakeApi().run("preferences", *words) == 2
    assert told in capsys.readouterr().err


def test_a_user_id_stays_within_its_part_of_the_path() -> None:
    api = FakeApi()
    api.run("preferences", "a/../b c")
    assert api.requests[0].url.raw_path == b"/v1/users/a%2F..%2Fb%20c/notification-preferences"


def test_another_answer_is_no_jobs_api(capsys: Captured) -> None:
    assert FakeApi({f"GET {PATH}": {"opt_out": "no"}}).run("preferences", "user-7") == 3
    assert "no jobs API" in capsys.readouterr().err
