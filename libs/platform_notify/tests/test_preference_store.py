"""A user's preferences: replaced as a whole, or changed by a click, and neither loses the other."""

import pytest
from platform_core.job_events import QR, TURKIC, JobDomain
from platform_core.json_values import decode_json
from platform_core.notifications import NotificationPreferences
from platform_workers.lua_scripts import ScriptCall
from platform_workers.redis import RedisClient
from typing_extensions import override

from platform_notify.intent import IntentError
from platform_notify.preference_store import PreferenceStore

KEY = "user:u-1:notification_preferences"
WISHES: NotificationPreferences = {
    "email": {"enabled": True, "on": ["FAILURE"]},
    "domains": {"turkic": {"email": {"enabled": True, "on": []}}},
}


@pytest.fixture
def store(redis: RedisClient) -> PreferenceStore:
    return PreferenceStore(redis)


def test_what_is_saved_is_loaded_and_stays(store: PreferenceStore, redis: RedisClient) -> None:
    assert store.load("u-1") == {}
    store.save("u-1", WISHES)
    assert store.load("u-1") == WISHES
    assert redis.ttl(KEY) == -1
    store.save("u-1", {})
    assert store.load("u-1") == {}


@pytest.mark.parametrize("domain", [TURKIC, QR])
def test_an_opt_out_of_a_domain_leaves_all_else(store: PreferenceStore, domain: JobDomain) -> None:
    """Also an empty list, which Redis' own JSON would write as an object."""
    store.save("u-1", WISHES)
    store.opt_out("u-1", domain)
    store.opt_out("u-1", domain)
    expected: NotificationPreferences = {**WISHES, "domains": {**WISHES["domains"]}}
    expected["domains"][domain] = {**expected["domains"].get(domain, {}), "opt_out": True}
    assert store.load("u-1") == expected


def test_an_opt_out_of_all_mail(store: PreferenceStore) -> None:
    store.opt_out("u-1", None)
    assert store.load("u-1") == {"opt_out": True}
    store.save("u-1", WISHES)
    store.opt_out("u-1", None)
    assert store.load("u-1") == {**WISHES, "opt_out": True}


def test_what_nobody_here_knows_stays_too(store: PreferenceStore, redis: RedisClient) -> None:
    redis.set(KEY, '{"language":"tr","domains":{"turkic":{"tone":"soft"}}}')
    store.opt_out("u-1", TURKIC)
    assert decode_json(redis.get(KEY) or "") == {
        "language": "tr",
        "domains": {"turkic": {"tone": "soft", "opt_out": True}},
    }


@pytest.mark.parametrize("stored", ["no json", "[]", '{"opt_out":"yes"}'])
def test_what_cannot_be_read_may_have_been_an_opt_out_of_all(
    store: PreferenceStore, redis: RedisClient, stored: str
) -> None:
    redis.set(KEY, stored)
    with pytest.raises(IntentError):
        store.load("u-1")
    store.opt_out("u-1", TURKIC)
    assert store.load("u-1") == {"opt_out": True}


class Interrupted(RedisClient):
    """A client on which somebody else is faster, once."""

    def __init__(self, redis: RedisClient) -> None:
        super().__init__(redis.connection)
        self._other = PreferenceStore(redis)
        self.first = True

    @override
    def run_script(self, call: ScriptCall) -> list[str]:
        if self.first:
            self.first = False
            self._other.save("u-1", WISHES)
        return super().run_script(call)


def test_two_changes_at_once_lose_neither(store: PreferenceStore, redis: RedisClient) -> None:
    PreferenceStore(Interrupted(redis)).opt_out("u-1", QR)
    assert store.load("u-1") == {**WISHES, "domains": {**WISHES["domains"], "qr": {"opt_out": True}}}


def test_what_came_meanwhile_is_not_overwritten(store: PreferenceStore, redis: RedisClient) -> None:
    """Whoever read, changed and writes must not undo an opt-out that was clicked in between."""
    read = store.load_version("u-1")
    store.opt_out("u-1", None)
    assert store.save_over("u-1", WISHES, [read["version"]]) is None
    assert store.load("u-1") == {"opt_out": True}
    # Also between the look at the version and the write.
    read = store.load_version("u-1")
    assert PreferenceStore(Interrupted(redis)).save_over("u-1", {}, [read["version"]]) is None
    assert store.load("u-1") == WISHES
    read = store.load_version("u-1")
    version = store.save_over("u-1", {}, ["other", read["version"]])
    assert version == store.load_version("u-1")["version"] != read["version"]
    assert version == store.save("u-1", {})
