"""Errors say what a caller needs, survive pickling (RQ pickles them), and share one root."""

import pickle

import pytest

from platform_core.errors import DecodeError, JobUserError, PlatformError, SettingsError, UnknownEventError

ERRORS: list[tuple[PlatformError, str]] = [
    (DecodeError("$.progress", "int", "str"), "$.progress: expected int, found str"),
    (UnknownEventError("turkic.job.started.v2"), "unknown event type turkic.job.started.v2"),
    (SettingsError(("A is required", "B must be an integer")), "A is required\nB must be an integer"),
    (JobUserError("row 3 has 2 columns"), "row 3 has 2 columns"),
]


@pytest.mark.parametrize(("error", "text"), ERRORS)
def test_an_error_says_itself_and_comes_back_from_a_pickle(error: PlatformError, text: str) -> None:
    assert str(error) == text
    copy: PlatformError = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), text)


def test_unknown_is_not_malformed() -> None:
    assert not issubclass(UnknownEventError, DecodeError)
