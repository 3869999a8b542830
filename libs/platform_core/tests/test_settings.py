"""Settings: typed values, and every fault at once."""

from typing import Final, Literal

import pytest

from platform_core.errors import SettingsError
from platform_core.settings import SettingsReader

Provider = Literal["mailtrap", "smtp", "maildir"]
PROVIDERS: Final[tuple[Provider, ...]] = ("mailtrap", "smtp", "maildir")
DOMAIN_RULE: Final = "1 to 32 lower-case letters, digits and `_`, a letter first"
REDIS: Final = ("redis", "rediss", "unix")


def faults(reader: SettingsReader) -> list[str]:
    try:
        reader.finish()
    except SettingsError as error:
        return list(error.faults)
    return []


def test_right_settings_are_read_with_their_types() -> None:
    reader = SettingsReader(
        {
            "NAME": "  Jobs ",
            "PORT": "8080",
            "SANDBOX": "False",
            "PROVIDER": "smtp",
            "REDIS_URL": "redis://:secret@localhost:6379/0",
            "FROM": "Jobs@Example.com",
            "DOMAINS": "turkic, qr,,turkic",
        }
    )
    provider: Provider = reader.choice("PROVIDER", PROVIDERS)
    assert (reader.text("NAME"), reader.integer("PORT", minimum=8080, maximum=8080)) == ("Jobs", 8080)
    assert (reader.boolean("SANDBOX"), provider) == (False, "smtp")
    assert reader.url("REDIS_URL", REDIS) == "redis://:secret@localhost:6379/0"
    assert reader.email("FROM") == "Jobs@example.com"
    assert reader.domains("DOMAINS") == ("turkic", "qr")
    assert faults(reader) == []


def test_defaults_hold_where_nothing_or_an_empty_text_is_set() -> None:
    reader = SettingsReader({"NAME": "", "PORT": " ", "DOMAINS": ""})
    assert reader.text("NAME", "jobs") == "jobs"
    assert reader.text("NAME", "") == ""
    assert reader.optional_text("NAME") is None
    assert reader.integer("PORT", 0, minimum=0) == 0
    assert reader.boolean("SANDBOX", default=True) is True
    assert reader.boolean("SANDBOX", default=False) is False
    assert reader.choice("PROVIDER", PROVIDERS, "maildir") == "maildir"
    assert reader.url("REDIS_URL", REDIS, "redis://localhost") == "redis://localhost"
    assert reader.email("FROM", "jobs@example.com") == "jobs@example.com"
    assert reader.domains("DOMAINS") == ()
    assert faults(reader) == []


def test_every_missing_setting_is_named_at_once() -> None:
    reader = SettingsReader({})
    values = (
        reader.text("NAME"),
        reader.integer("PORT"),
        reader.boolean("SANDBOX"),
        reader.choice("PROVIDER", PROVIDERS),
        reader.url("REDIS_URL", REDIS),
        reader.email("FROM"),
    )
    assert values == ("", 0, False, "mailtrap", "", "")
    names = ("NAME", "PORT", "SANDBOX", "PROVIDER", "REDIS_URL", "FROM")
    assert faults(reader) == [f"{name} is required" for name in names]


def test_every_wrong_setting_is_named_at_once_and_no_value_is_repeated() -> None:
    reader = SettingsReader(
        dict.fromkeys(("PORT", "SANDBOX", "PROVIDER", "REDIS_URL", "FROM", "DOMAINS"), "hunter2!")
    )
    reader.integer("PORT")
    reader.boolean("SANDBOX")
    reader.choice("PROVIDER", PROVIDERS)
    reader.url("REDIS_URL", REDIS)
    reader.email("FROM")
    assert reader.domains("DOMAINS") == ()
    reader.fault("MAILTRAP_INBOX_ID goes with MAILTRAP_USE_SANDBOX only")
    with pytest.raises(SettingsError) as caught:
        reader.finish()
    assert str(caught.value).splitlines() == [
        "PORT must be an integer",
        "SANDBOX must be true or false",
        "PROVIDER must be one of mailtrap, smtp, maildir",
        "REDIS_URL must be a URL that starts with redis://, rediss://, unix://",
        "FROM must be an email address",
        f"DOMAINS must list domains with commas between: {DOMAIN_RULE}",
        "MAILTRAP_INBOX_ID goes with MAILTRAP_USE_SANDBOX only",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("0", "PORT must be at least 1"),
        ("65536", "PORT must be at most 65535"),
        ("1.0", "PORT must be an integer"),
        ("1_000", "PORT must be an integer"),
        ("٣", "PORT must be an integer"),
        ("9" * 5000, "PORT must be an integer"),
    ],
)
def test_an_integer_has_limits(text: str, fault: str) -> None:
    reader = SettingsReader({"PORT": text})
    reader.integer("PORT", 8080, 1, 65535)
    assert faults(reader) == [fault]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("YES", True), ("on", True), ("0", False), ("No", False), ("off", False)],
)
def test_yes_and_no_have_the_usual_words(text: str, value: bool) -> None:
    reader = SettingsReader({"SANDBOX": text})
    assert reader.boolean("SANDBOX", default=not value) is value
    assert faults(reader) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://user:pw@example.com:8443/path?x=1",
        "https://[::1]:80/",
        "file:///var/objects",
        "unix:///run/redis.sock",
        "memory://",
        "s3://bucket/prefix",
    ],
)
def test_a_url_names_a_host_where_its_scheme_has_one(url: str) -> None:
    reader = SettingsReader({"URL": url})
    assert reader.url("URL", ("https", "file", "unix", "memory", "s3")) == url
    assert faults(reader) == []


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("example.com", "URL must be a URL that starts with https://, file://"),
        ("http://example.com", "URL must be a URL that starts with https://, file://"),
        ("https://", "URL must name a host"),
        ("https://:hunter2@/0", "URL must name a host"),
        ("https://hunter2@:80", "URL must name a host"),
        ("file://", "URL must name a path"),
        ("https://example.com:hunter2", "URL is no URL"),
        ("https://example.com:99999", "URL is no URL"),
        ("https://example.com:0", "URL is no URL"),
        ("https://[::1", "URL is no URL"),
        ("https://exam ple.com", "URL is no URL"),
        ("https://example.com/\x00", "URL is no URL"),
    ],
)
def test_a_wrong_url_is_named_and_its_password_is_not(url: str, fault: str) -> None:
    reader = SettingsReader({"URL": url})
    reader.url("URL", ("https", "file"))
    assert faults(reader) == [fault]
