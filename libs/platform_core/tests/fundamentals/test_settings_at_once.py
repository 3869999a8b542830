"""A service that is set up wrongly says everything that is wrong, once, at its start."""

import pytest

from platform_core.errors import SettingsError
from platform_core.settings import SettingsReader


def test_one_start_shows_every_fault() -> None:
    """Read every setting, then finish: nobody mends one fault only to meet the next."""
    reader = SettingsReader({"REDIS_URL": "localhost:6379", "PORT": "eighty"})
    reader.url("REDIS_URL", ("redis", "rediss"))
    reader.integer("PORT", 8080)
    reader.email("MAIL_FROM_EMAIL")
    with pytest.raises(SettingsError) as caught:
        reader.finish()
    assert str(caught.value).splitlines() == [
        "REDIS_URL must be a URL that starts with redis://, rediss://",
        "PORT must be an integer",
        "MAIL_FROM_EMAIL is required",
    ]
