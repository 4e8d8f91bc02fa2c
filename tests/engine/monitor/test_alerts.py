"""What an alert and its configuration promise."""

from __future__ import annotations

import pytest

from engine.base.config import parse
from engine.base.errors import ConfigError
from engine.base.secrets import SecretRef
from engine.monitor.alerts import Alert, AlertsConfig

TELEGRAM = {"token": "env:TOKEN", "chat_id": "@desk"}


def test_time_is_utc_to_the_microsecond() -> None:
    alert = Alert(1_700_000_000_123_456_789, "info", "started", "the session has started")
    assert alert.time == "2023-11-14T22:13:20.123456+00:00"


def test_nothing_is_sent_unless_asked_for() -> None:
    config = AlertsConfig()
    assert config.webhook is None
    assert config.telegram is None


@pytest.mark.parametrize(("given", "kind"), [("env:CHAT", SecretRef), (-100123, int), ("-100123", str), ("@desk", str)])
def test_a_chat_is_a_number_a_name_or_a_reference(given: object, kind: type) -> None:
    config = parse(AlertsConfig, {"telegram": {**TELEGRAM, "chat_id": given}}, "test")
    assert config.telegram is not None
    assert type(config.telegram.chat_id) is kind
    assert config.telegram.chat_id == given


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook": {"url": "https://hooks.example/s3cret-part"}},
        {"telegram": {"token": "123:s3cret-part", "chat_id": 1}},
        {"telegram": {**TELEGRAM, "chat_id": "no chat"}},
        {"telegram": {**TELEGRAM, "api": "http://api.telegram.org"}},
        {"telegram": {**TELEGRAM, "api": "api.telegram.org"}},
        {"telegram": {**TELEGRAM, "api": "file:///etc/passwd"}},
        {"webhook": {"url": "env:URL", "least": "severe"}},
        {"every_s": -1},
    ],
)
def test_wrong_settings_are_refused_and_secrets_not_repeated(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(AlertsConfig, wrong, "test")
    assert "s3cret" not in str(refused.value)


def test_a_bot_api_on_this_machine_may_do_without_tls() -> None:
    config = parse(AlertsConfig, {"telegram": {**TELEGRAM, "api": "http://127.0.0.1:8081/"}}, "test")
    assert config.telegram is not None
    assert config.telegram.api == "http://127.0.0.1:8081"


def test_a_configuration_shows_references_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "123:s3cret")
    config = parse(AlertsConfig, {"telegram": TELEGRAM}, "test")
    assert "s3cret" not in repr(config) + config.model_dump_json()
    assert "env:TOKEN" in config.model_dump_json()
    assert AlertsConfig.model_json_schema()["properties"].keys() == {"webhook", "telegram", "every_s", "leave_out"}
