"""A log that is behind is told of only if it is not worked off."""

from platform_core.job_events import DIGITS, TURKIC
from platform_workers.redis.replies import GroupState

from notifier.lag_watch import LAG_LIMIT, LAG_WINDOW, LagWatch

UNREAD = (
    "The event log of turkic is not worked off: 1001 events or more are unread, and for 30 seconds they have"
    " not become fewer."
)
STANDS_STILL = (
    "The event log of turkic is not worked off: it has unread events (Redis cannot tell how many), and for 30"
    " seconds none was read."
)


def group(lag: int | None, position: str = "1-0") -> GroupState:
    state: GroupState = {"pending": 0, "last_delivered_id": position}
    if lag is not None:
        state["lag"] = lag
    return state


def told(*lags: GroupState) -> list[str]:
    """Return what is told after one look each 10 seconds."""
    watch, now = LagWatch(), 0.0
    for state in lags:
        now += 10
        watch.look({TURKIC: state}, now)
    return list(watch.reasons(now))


def test_a_small_lag_may_stand() -> None:
    assert told(*[group(LAG_LIMIT)] * 9) == []


def test_a_great_lag_is_told_once_it_has_not_fallen_for_the_window() -> None:
    assert told(*[group(LAG_LIMIT + 1)] * 3) == []
    assert told(*[group(LAG_LIMIT + 1)] * 4) == [UNREAD]


def test_a_lag_that_grows_is_told_although_the_reader_moves() -> None:
    assert len(told(*[group(5000 + step, f"{step}-0") for step in range(4)])) == 1


def test_a_lag_that_falls_is_not_told_of() -> None:
    assert told(*[group(50_000 - step) for step in range(9)]) == []


def test_a_lag_that_goes_up_and_down_and_never_below_its_lowest_is_told() -> None:
    assert len(told(group(5000), group(6000), group(5500), group(5000))) == 1


def test_it_is_over_when_the_lag_is_small_again_and_begins_anew() -> None:
    behind = [group(5000)] * 4
    assert told(*behind, group(3)) == []
    assert told(*behind, group(3), group(5000)) == []


def test_it_is_over_when_the_log_is_gone() -> None:
    watch = LagWatch()
    watch.look({TURKIC: group(5000)}, 0.0)
    watch.look({}, LAG_WINDOW)
    assert list(watch.reasons(LAG_WINDOW)) == []


def test_an_unknown_lag_is_told_if_the_reader_stands_still() -> None:
    assert told(*[group(None)] * 3) == []
    assert told(*[group(None)] * 4) == [STANDS_STILL]


def test_an_unknown_lag_is_no_matter_while_the_reader_moves() -> None:
    assert told(*[group(None, f"{step}-0") for step in range(9)]) == []


def test_a_lag_that_becomes_unknown_goes_by_the_reader() -> None:
    assert len(told(group(5000), group(None), group(None), group(None))) == 1
    assert told(group(5000), group(None), group(None, "2-0"), group(None, "2-0")) == []
    assert len(told(group(None), group(5000), group(5000), group(5000))) == 1


def test_each_log_is_told_of_by_itself() -> None:
    watch = LagWatch()
    for now in (0.0, LAG_WINDOW):
        watch.look(
            {
                TURKIC: group(5000),
                DIGITS: group(7000),
            },
            now,
        )
    digits, turkic = watch.reasons(LAG_WINDOW)
    assert "digits" in digits
    assert "turkic" in turkic
