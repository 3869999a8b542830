"""Whether an outcome becomes a mail: every combination, against a second telling of the rule."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from platform_core.job_events import DIGITS, TURKIC
from platform_core.notifications import DomainPreferences, EmailIntent, NotificationPreferences

from platform_notify.decision import SKIP_WORDS, Decision, SkipReason, decide
from platform_notify.intent import JobIntent
from platform_notify.job_event import JobEvent

ANNA = "anna@example.com"

ON_SUCCESS: EmailIntent = {"enabled": True, "on": ["SUCCESS"]}
ON_FAILURE: EmailIntent = {"enabled": True, "on": ["FAILURE"]}
SWITCHED_OFF: EmailIntent = {"enabled": False, "on": ["SUCCESS", "FAILURE"]}
NEVER: EmailIntent = {"enabled": True, "on": []}
WISHES: tuple[EmailIntent | None, ...] = (None, ON_SUCCESS, ON_FAILURE, SWITCHED_OFF, NEVER)


def job(wish: EmailIntent | None = None, *, status: str = "completed", email: str | None = ANNA) -> JobIntent:
    intent: JobIntent = {"status": status, "context": {}}
    if wish is not None:
        intent["notifications"] = {"email": wish}
    if email is not None:
        intent["context"]["email"] = email
    return intent


def answer(
    intent: JobIntent,
    preferences: NotificationPreferences | None = None,
    *,
    outcome: JobEvent = JobEvent.SUCCESS,
    provider_configured: bool = True,
) -> Decision:
    return decide(
        outcome,
        domain=TURKIC,
        intent=intent,
        preferences={} if preferences is None else preferences,
        provider_configured=provider_configured,
    )


def said(decision: Decision) -> tuple[str, str]:
    return ("send" if decision["decision"] == "send" else decision["reason"], decision["layer"])


def preferences_of(
    general: EmailIntent | None,
    of_domain: EmailIntent | None,
    *,
    opt_out: bool | None,
    domain_opt_out: bool | None,
) -> NotificationPreferences:
    preferences: NotificationPreferences = {}
    entry: DomainPreferences = {}
    if general is not None:
        preferences["email"] = general
    if opt_out is not None:
        preferences["opt_out"] = opt_out
    if of_domain is not None:
        entry["email"] = of_domain
    if domain_opt_out is not None:
        entry["opt_out"] = domain_opt_out
    if entry:
        preferences["domains"] = {TURKIC: entry}
    return preferences


def rule(
    *,
    cancelled: bool,
    declared: EmailIntent | None,
    preferences: NotificationPreferences,
    has_address: bool,
    configured: bool,
    word: str,
) -> tuple[str, str]:
    """The same rule told again, as a list of who may say no, in order."""
    domain = preferences.get("domains", {}).get(TURKIC, {})
    sources = [
        ("job", declared),
        ("domain_preferences", domain.get("email")),
        ("preferences", preferences.get("email")),
    ]
    layer, wish = next(((name, source) for name, source in sources if source is not None), ("default", None))
    stored_by, stored = next(((name, one) for name, one in sources[1:] if one is not None), ("default", None))
    objections = [
        (cancelled, "job_cancelled", "job"),
        (preferences.get("opt_out") is True, "opted_out", "preferences"),
        (domain.get("opt_out") is True, "opted_out", "domain_preferences"),
        (stored is not None and not stored["enabled"], "opted_out", stored_by),
        (wish is None, "not_requested", layer),
        (wish is not None and not wish["enabled"], "email_disabled", layer),
        (wish is not None and word not in wish["on"], "event_not_wanted", layer),
        (not has_address, "no_recipient", "job"),
        (not configured, "provider_not_configured", "platform"),
    ]
    return next(((reason, who) for holds, reason, who in objections if holds), ("send", layer))


def test_every_combination_follows_the_rule() -> None:
    tried = 0
    for outcome, declared, general, of_domain in product(JobEvent, WISHES, WISHES, WISHES):
        for opt_out, domain_opt_out in product((None, False, True), repeat=2):
            preferences = preferences_of(general, of_domain, opt_out=opt_out, domain_opt_out=domain_opt_out)
            for cancelled, has_address, configured in product((False, True), repeat=3):
                intent = job(
                    declared,
                    status="cancelled" if cancelled else "completed",
                    email=ANNA if has_address else None,
                )
                given_answer = answer(intent, preferences, outcome=outcome, provider_configured=configured)
                assert said(given_answer) == rule(
                    cancelled=cancelled,
                    declared=declared,
                    preferences=preferences,
                    has_address=has_address,
                    configured=configured,
                    word=outcome.value,
                )
                tried += 1
    assert tried == 2 * 5**3 * 9 * 8


@pytest.mark.parametrize(
    ("intent", "preferences", "expected"),
    [
        (job(ON_SUCCESS), {}, ("send", "job")),
        (job(ON_SUCCESS), {"opt_out": True}, ("opted_out", "preferences")),
        (job(ON_SUCCESS), {"domains": {TURKIC: {"opt_out": True}}}, ("opted_out", "domain_preferences")),
        (job(ON_SUCCESS), {"domains": {DIGITS: {"opt_out": True}}}, ("send", "job")),
        (job(SWITCHED_OFF), {"email": ON_SUCCESS}, ("email_disabled", "job")),
        # Mail switched off in the stored preferences is an opt-out, in whatever words the job asks for it.
        (job(ON_SUCCESS), {"email": SWITCHED_OFF}, ("opted_out", "preferences")),
        (
            job(ON_SUCCESS),
            {"email": ON_SUCCESS, "domains": {TURKIC: {"email": SWITCHED_OFF}}},
            ("opted_out", "domain_preferences"),
        ),
        (
            job(ON_SUCCESS),
            {"email": SWITCHED_OFF, "domains": {TURKIC: {"email": ON_FAILURE}}},
            ("send", "job"),
        ),
        (job(ON_FAILURE), {"email": ON_SUCCESS}, ("event_not_wanted", "job")),
        (job(), {"email": ON_SUCCESS}, ("send", "preferences")),
        (
            job(),
            {"email": ON_SUCCESS, "domains": {TURKIC: {"email": NEVER}}},
            ("event_not_wanted", "domain_preferences"),
        ),
        (
            job(),
            {"email": NEVER, "domains": {TURKIC: {"email": ON_SUCCESS}}},
            ("send", "domain_preferences"),
        ),
        (
            job(),
            {"email": NEVER, "domains": {DIGITS: {"email": ON_SUCCESS}}},
            ("event_not_wanted", "preferences"),
        ),
        (job(), {}, ("not_requested", "default")),
        (job(ON_SUCCESS, email=None), {}, ("no_recipient", "job")),
        (job(ON_SUCCESS, status="cancelled"), {}, ("job_cancelled", "job")),
        # An opt-out of all mail is not undone by a domain that says nothing against it.
        (
            job(ON_SUCCESS),
            {"opt_out": True, "domains": {TURKIC: {"opt_out": False}}},
            ("opted_out", "preferences"),
        ),
    ],
)
def test_examples_that_a_person_can_check(
    intent: JobIntent, preferences: NotificationPreferences, expected: tuple[str, str]
) -> None:
    assert said(answer(intent, preferences)) == expected


def test_a_job_that_declares_no_email_has_declared_that_it_wants_none() -> None:
    intent: JobIntent = {"status": "completed", "context": {"email": ANNA}, "notifications": {}}
    assert said(answer(intent, {"email": ON_SUCCESS})) == ("not_requested", "job")


def test_the_recipient_is_that_of_the_context_also_where_nothing_is_sent() -> None:
    assert answer(job(ON_SUCCESS))["recipient"] == ANNA
    assert answer(job(ON_FAILURE))["recipient"] == ANNA
    assert answer(job(ON_SUCCESS, email=None))["recipient"] == ""


def test_an_outcome_is_a_failure_only_for_those_who_asked_for_failures() -> None:
    assert said(answer(job(ON_FAILURE), outcome=JobEvent.FAILURE)) == ("send", "job")
    assert said(answer(job(ON_SUCCESS), outcome=JobEvent.FAILURE)) == ("event_not_wanted", "job")


def test_every_reason_has_words_for_a_person() -> None:
    reasons: tuple[SkipReason, ...] = tuple(SKIP_WORDS)
    assert len(reasons) == 12
    assert all(words and not words.endswith(".") for words in SKIP_WORDS.values())


wishes = st.sampled_from(WISHES)
flags = st.sampled_from((None, False, True))


@given(
    declared=wishes, general=wishes, of_domain=wishes, opt_out=flags, domain_opt_out=flags,
    outcome=st.sampled_from(JobEvent),
)  # fmt: skip
def test_an_opt_out_always_wins(
    declared: EmailIntent | None,
    general: EmailIntent | None,
    of_domain: EmailIntent | None,
    opt_out: bool | None,
    domain_opt_out: bool | None,
    outcome: JobEvent,
) -> None:
    preferences = preferences_of(general, of_domain, opt_out=opt_out, domain_opt_out=domain_opt_out)
    decision = answer(job(declared), preferences, outcome=outcome)
    if opt_out or domain_opt_out:
        assert decision["decision"] == "skip"
    if decision["decision"] == "send":
        assert not opt_out
        assert not domain_opt_out
        stored = general if of_domain is None else of_domain
        assert stored is None or stored["enabled"]
