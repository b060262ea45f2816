"""Every setting is read, every malformed one is named, and what means nothing is told."""

import msgspec
import pytest

from webhook.domain.config import WebhookConfig
from webhook.domain.encryption import EncryptionKey, make_encryption_key
from webhook.domain.errors import ConfigError
from webhook.domain.postgres_address import PostgresAddress
from webhook.settings import SETTINGS, Settings, StoreAddress, read_settings

SECRET = "whsec_" + "QUFB" * 8
KEY = make_encryption_key(bytes(range(32)))

# Each variable, a text, and what it becomes.
GOOD: list[tuple[str, str, object]] = [
    ("WEBHOOK_API_TOKEN", "a-token", "a-token"),
    ("WEBHOOK_STORE", "memory://", StoreAddress("memory")),
    ("WEBHOOK_STORE", "sqlite:///data/hooks.db", StoreAddress("sqlite", "data/hooks.db")),
    ("WEBHOOK_STORE", "sqlite:////var/hooks.db", StoreAddress("sqlite", "/var/hooks.db")),
    (
        "WEBHOOK_STORE",
        "postgresql://me:secret@db/hooks?sslmode=require&schema=mine&pool_max=5&pgbouncer=true",
        StoreAddress(
            "postgresql",
            database=PostgresAddress(
                "postgresql://me:secret@db/hooks?sslmode=require", "mine", 5, pgbouncer=True
            ),
        ),
    ),
    ("WEBHOOK_HOST", "0.0.0.0", "0.0.0.0"),  # noqa: S104 - only read
    ("WEBHOOK_PORT", "9000", 9000),
    ("WEBHOOK_PORT", "0", 0),
    ("WEBHOOK_INSECURE", "1", True),
    ("WEBHOOK_REQUESTS_PER_SECOND", "0.5", 0.5),
    ("WEBHOOK_CONNECTIONS_MAX", "100", 100),
    ("WEBHOOK_REQUEST_S", "2.5", 2.5),
    ("WEBHOOK_GRACE_S", "2.5", 2.5),
    ("WEBHOOK_LOG_LEVEL", "WARNING", "warning"),
    ("WEBHOOK_ENCRYPTION_KEYS", f"{KEY},", (EncryptionKey(bytes(range(32))),)),
    ("WEBHOOK_MAX_RETRIES", "3", 3),
    ("WEBHOOK_RETRY_DELAY_MS", "250", 250),
    ("WEBHOOK_BACKOFF_MULTIPLIER", "1.5", 1.5),
    ("WEBHOOK_MAX_DELAY_MS", "60000", 60_000),
    ("WEBHOOK_JITTER", "0.1", 0.1),
    ("WEBHOOK_JITTER", "true", True),
    ("WEBHOOK_JITTER", "no", False),
    ("WEBHOOK_RETRY_SCHEDULE", "0.2, 5,300", (0.2, 5.0, 300.0)),
    ("WEBHOOK_TRANSIENT_ONLY", "yes", True),
    ("WEBHOOK_TIMEOUT_MS", " 20000 ", 20_000),
    ("WEBHOOK_ENABLE_SECURITY", "false", False),
    ("WEBHOOK_SECRET_KEY", SECRET, SECRET),
    ("WEBHOOK_SCHEME", "k-msg", "k-msg"),
    ("WEBHOOK_ALGORITHM", "sha1", "sha1"),
    ("WEBHOOK_SIGNATURE_HEADER", "X-Signed", "X-Signed"),
    ("WEBHOOK_SIGNATURE_PREFIX", "v0=", "v0="),
    ("WEBHOOK_SIGNATURE_PREFIX", "", ""),
    ("WEBHOOK_ENABLED_EVENTS", "message.sent, order.paid", ("message.sent", "order.paid")),
    ("WEBHOOK_CHECK_PAYLOADS", "warn", "warn"),
    ("WEBHOOK_BATCH_SIZE", "10", 10),
    ("WEBHOOK_BATCH_TIMEOUT_MS", "1000", 1000),
    ("WEBHOOK_CONCURRENCY", "8", 8),
    ("WEBHOOK_LEASE_MS", "60000", 60_000),
    ("WEBHOOK_RETENTION_DAYS", "7.5", 7.5),
    ("WEBHOOK_PAYLOAD_DAYS", "7", 7.0),
    ("WEBHOOK_PENDING_DAYS", "14", 14.0),
    ("WEBHOOK_AUDIT_DAYS", "90", 90.0),
    ("WEBHOOK_ENDPOINTS_PER_TENANT", "50", 50),
    ("WEBHOOK_ALLOW_PRIVATE_HOSTS", "1", True),
    ("WEBHOOK_ALLOW_HTTP", "TRUE", True),
    ("WEBHOOK_ALLOW_HTTP_FOR_LOCALHOST", "1", True),
    ("WEBHOOK_ALLOW_HOSTS", "*.corp, 10.0.0.0/8", ("*.corp", "10.0.0.0/8")),
    ("WEBHOOK_DENY_HOSTS", "169.254.0.0/16,[::1]", ("169.254.0.0/16", "[::1]")),
    ("WEBHOOK_PROXY_FROM_ENV", "yes", True),
    ("WEBHOOK_DNS_OVER_HTTPS", "https://dns.example/query", "https://dns.example/query"),
]
# What a variable needs beside it, since alone it would be ignored.
BACK_OFF, KMSG = {"WEBHOOK_RETRY_DELAY_MS": "1000"}, {"WEBHOOK_SCHEME": "k-msg"}
BESIDE = {
    "WEBHOOK_BACKOFF_MULTIPLIER": BACK_OFF,
    "WEBHOOK_MAX_DELAY_MS": BACK_OFF,
    "WEBHOOK_ALGORITHM": KMSG,
    "WEBHOOK_SIGNATURE_HEADER": KMSG,
    "WEBHOOK_SIGNATURE_PREFIX": KMSG,
}
# Each variable, a text that it cannot take, and a part of the remedy.
BAD: list[tuple[str, str, str]] = [
    ("WEBHOOK_ENCRYPTION_KEYS", "whek_short", "keys create"),
    ("WEBHOOK_API_TOKEN", "two words", "visible ASCII"),
    ("WEBHOOK_STORE", "webhook.db", "sqlite:///relative.db"),
    ("WEBHOOK_STORE", "sqlite://webhook.db", "three slashes"),
    ("WEBHOOK_STORE", "sqlite:///", "three slashes"),
    ("WEBHOOK_STORE", "sqlite:///data/", "three slashes"),
    ("WEBHOOK_STORE", "sqlite:///:memory:", "memory://"),
    ("WEBHOOK_STORE", "sqlite:///a.db?mode=ro", "Give the file alone"),
    ("WEBHOOK_STORE", "postgresql://localhost:port/hooks", "Give a number"),
    ("WEBHOOK_STORE", "postgresql://localhost/hooks?schema=No-Name", "lower-case letters"),
    ("WEBHOOK_STORE", "postgresql://localhost/hooks?pool_max=0", "between 1 and 1000"),
    ("WEBHOOK_STORE", "postgresql://localhost/hooks?pgbouncer=perhaps", "true nor false"),
    ("WEBHOOK_STORE", "mysql://localhost/hooks", "memory://"),
    ("WEBHOOK_HOST", "a\x07b", "Leave them out"),
    ("WEBHOOK_PORT", "http", "digits"),
    ("WEBHOOK_PORT", "65536", "65535"),
    ("WEBHOOK_PORT", "-1", "65535"),
    ("WEBHOOK_INSECURE", "maybe", "1, true or yes"),
    ("WEBHOOK_REQUESTS_PER_SECOND", "0", "between 0.01"),
    ("WEBHOOK_REQUESTS_PER_SECOND", "many", "such as"),
    ("WEBHOOK_CONNECTIONS_MAX", "0", "between 1"),
    ("WEBHOOK_REQUEST_S", "0", "between 1"),
    ("WEBHOOK_GRACE_S", "soon", "such as"),
    ("WEBHOOK_ENDPOINTS_PER_TENANT", "0", "between 1"),
    ("WEBHOOK_GRACE_S", "-1", "3600"),
    ("WEBHOOK_LOG_LEVEL", "loud", "debug, info, warning or error"),
    ("WEBHOOK_MAX_RETRIES", "1.5", "digits"),
    ("WEBHOOK_MAX_RETRIES", "101", "100"),
    ("WEBHOOK_RETRY_DELAY_MS", "5s", "digits"),
    ("WEBHOOK_BACKOFF_MULTIPLIER", "nan", "such as"),
    ("WEBHOOK_BACKOFF_MULTIPLIER", "0.5", "between 1"),
    ("WEBHOOK_MAX_DELAY_MS", "-5", "between 0"),
    ("WEBHOOK_JITTER", "2", "between 0 and 1"),
    ("WEBHOOK_JITTER", "some", "such as"),
    ("WEBHOOK_RETRY_SCHEDULE", "5;300", "5,300"),
    ("WEBHOOK_RETRY_SCHEDULE", "5,,300", "5,300"),
    ("WEBHOOK_RETRY_SCHEDULE", "5,inf", "5,300"),
    ("WEBHOOK_RETRY_SCHEDULE", "-1", "of 0 to"),
    ("WEBHOOK_TRANSIENT_ONLY", "2", "1, true or yes"),
    ("WEBHOOK_TIMEOUT_MS", "40000", "30000"),
    ("WEBHOOK_TIMEOUT_MS", "1_000", "digits"),
    ("WEBHOOK_ENABLE_SECURITY", "on", "1, true or yes"),
    ("WEBHOOK_SECRET_KEY", "short", "whsec_"),
    ("WEBHOOK_SCHEME", "svix", "standard or k-msg"),
    ("WEBHOOK_ALGORITHM", "md5", "sha256 or sha1"),
    ("WEBHOOK_SIGNATURE_HEADER", "X-A\nX-B", "Leave them out"),
    ("WEBHOOK_SIGNATURE_PREFIX", "a\x00", "Leave them out"),
    ("WEBHOOK_ENABLED_EVENTS", "Message.Sent", "message.sent"),
    ("WEBHOOK_CHECK_PAYLOADS", "yes", "off, warn or refuse"),
    ("WEBHOOK_BATCH_SIZE", "0", "between 1"),
    ("WEBHOOK_BATCH_TIMEOUT_MS", "0", "between 1"),
    ("WEBHOOK_CONCURRENCY", "0", "between 1"),
    ("WEBHOOK_LEASE_MS", "1000", "between 40000"),
    ("WEBHOOK_RETENTION_DAYS", "0", "between 1"),
    ("WEBHOOK_PAYLOAD_DAYS", "31", "at most retention_days, which is 30"),
    ("WEBHOOK_PENDING_DAYS", "0", "between 1"),
    ("WEBHOOK_AUDIT_DAYS", "0", "between 1"),
    ("WEBHOOK_ALLOW_PRIVATE_HOSTS", "2", "1, true or yes"),
    ("WEBHOOK_ALLOW_HTTP", "https", "1, true or yes"),
    ("WEBHOOK_ALLOW_HTTP_FOR_LOCALHOST", "localhost", "1, true or yes"),
    ("WEBHOOK_ALLOW_HOSTS", "10.0.0.1/8", "10.0.0.0/8"),
    ("WEBHOOK_DENY_HOSTS", "https://a.internal", "hooks.internal"),
    ("WEBHOOK_PROXY_FROM_ENV", "http://proxy:3128", "1, true or yes"),
    ("WEBHOOK_DNS_OVER_HTTPS", "1.1.1.1", "whole URL"),
]


def value_of(settings: Settings, name: str) -> object:
    setting = SETTINGS[name]
    value: object = getattr(settings.config if setting.of_config else settings, setting.field)
    return value


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_setting_is_read(name: str, text: str, value: object) -> None:
    read = value_of(read_settings({name: text} | BESIDE.get(name, {})), name)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(("name", "text", "remedy"), BAD)
def test_a_malformed_setting_is_named_with_its_remedy(name: str, text: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_settings({name: text})
    assert raised.value.message.startswith(f"{name}: ")
    assert remedy in raised.value.message


def test_the_tables_above_leave_no_setting_out() -> None:
    assert {name for name, _, _ in GOOD} == set(SETTINGS)
    assert {name for name, _, _ in BAD} == set(SETTINGS)


def test_every_option_of_the_service_and_the_server_is_a_setting() -> None:
    options = {field.name for field in msgspec.structs.fields(WebhookConfig)}
    own = {field.name for field in msgspec.structs.fields(Settings)} - {"config", "warnings"}
    assert {s.field for s in SETTINGS.values() if s.of_config} == options
    assert {s.field for s in SETTINGS.values() if not s.of_config} == own


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_its_sentence(name: str) -> None:
    assert SETTINGS[name].sentence.endswith(".")


def test_nothing_set_is_the_defaults() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({}).config == WebhookConfig()
    assert str(read_settings({}).store) == "sqlite:///webhook.db"


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"WEBHOOK_SIGNATURE_PREFIX"}))
def test_set_and_empty_is_as_if_not_set(name: str) -> None:
    assert read_settings({name: " "}) == Settings()


@pytest.mark.parametrize(
    "name", ["WEBHOOK_API_TOKEN", "WEBHOOK_SECRET_KEY", "WEBHOOK_ENCRYPTION_KEYS"]
)
def test_a_malformed_secret_is_not_shown(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_settings({name: "hidden words\x7f"})
    assert "hidden" not in raised.value.message


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user:hidden@localhost:port/hooks",
        "postgresql://user:hidden/hooks",
        "postgresql://user:hi℀hidden@localhost/hooks",
        "postgresql://[::1?password=hidden",
        "postgresql://localhost/hooks?pool_max=0&password=hidden",
        "postgresql:/user:hidden@localhost/hooks",
        "mysql://user:hidden@localhost/hooks",
        "user:hidden@localhost",
    ],
)
def test_a_malformed_address_does_not_show_its_password(address: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_settings({"WEBHOOK_STORE": address})
    assert raised.value.message.startswith("WEBHOOK_STORE: the value ")
    assert "hidden" not in raised.value.message


def test_a_token_shows_in_no_log() -> None:
    settings = read_settings({"WEBHOOK_API_TOKEN": "tok-123", "WEBHOOK_SECRET_KEY": SECRET})
    assert "tok-123" not in repr(settings)
    assert SECRET not in repr(settings)


def test_settings_that_contradict_each_other_are_both_named() -> None:
    environ = {"WEBHOOK_RETRY_SCHEDULE": "1", "WEBHOOK_RETRY_DELAY_MS": "1"}
    with pytest.raises(ConfigError) as raised:
        read_settings(environ)
    assert raised.value.message.startswith(
        "WEBHOOK_RETRY_SCHEDULE: Contradicts WEBHOOK_RETRY_DELAY_MS;"
    )


@pytest.mark.parametrize("name", BESIDE)
def test_a_setting_that_would_be_ignored_names_the_one_that_it_needs(name: str) -> None:
    text = next(text for known, text, _ in GOOD if known == name)
    with pytest.raises(ConfigError) as raised:
        read_settings({name: text})
    assert raised.value.message.startswith(f"{name}: ")
    assert f"set {next(iter(BESIDE[name]))} " in raised.value.message


def test_an_unknown_variable_is_told_with_what_may_be_meant() -> None:
    environ = {"WEBHOOK_TIMEOUT": "1", "WEBHOOK_ZEBRA": "1", "PATH": "x", "WEBHOOK_PORT": "1"}
    assert read_settings(environ).warnings == (
        "WEBHOOK_TIMEOUT is no setting and has no effect. Did you mean WEBHOOK_TIMEOUT_MS?",
        "WEBHOOK_ZEBRA is no setting and has no effect.",
    )


def test_variables_of_our_other_programs_are_known() -> None:
    environ = {"WEBHOOK_URL": "x", "WEBHOOK_SECRET": "x", "WEBHOOK_DEV_CRON": "5"}
    assert read_settings(environ).warnings == ()
