from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.app.live.config import PaperConfig
from engine.base.config import Config, load, parse
from engine.base.errors import ConfigError, UsageError
from engine.base.secrets import SecretRef

SECRET = "correct horse battery staple"


class Login(Config):
    password: SecretRef | None = None


def test_reveals_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_PASSWORD", SECRET)
    reference = SecretRef("env:A_PASSWORD")
    assert reference.reveal() == SECRET
    assert SECRET not in f"{reference} {reference!r} {Login(password=reference)!r}"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_reveals_a_file_without_its_last_line_break(tmp_path: Path, end: str) -> None:
    file = tmp_path / "password"
    file.write_bytes(f"{SECRET} {end}".encode())
    assert SecretRef(f"file:{file}").reveal() == f"{SECRET} "  # a blank may be part of a password


@pytest.mark.parametrize("text", ["", "env:", "env:a-b", "env:2", "file:", "file: ", "ENV:A", SECRET, "vault:x"])
def test_refuses_what_is_no_reference_without_repeating_it(text: str) -> None:
    with pytest.raises(UsageError, match="by reference") as caught:
        SecretRef(text)
    assert not text or str(caught.value) == str(_error_of("x"))


def _error_of(text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        SecretRef(text)
    return caught.value


@given(st.text(alphabet="ABCdef0123:/@ ", min_size=12))
def test_a_configuration_never_shows_a_literal(literal: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Login, {"password": f"x{literal}"}, where="file.yaml")
    assert literal not in str(caught.value)
    assert "env:NAME" in str(caught.value)


def test_a_number_is_no_reference_either() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Login, {"password": 918273645}, where="file.yaml")
    assert "918273645" not in str(caught.value)


def test_travels_through_json_as_a_reference() -> None:
    login = parse(Login, {"password": "env:A_PASSWORD"}, where="file.yaml")
    assert json.loads(login.model_dump_json()) == {"password": "env:A_PASSWORD"} == login.model_dump()
    assert isinstance(login.password, SecretRef)
    assert isinstance(Login.model_validate(login.model_dump()).password, SecretRef)
    described = json.dumps(Login.model_json_schema())
    assert "^(env|file):" in described


def test_errors_name_the_reference_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    with pytest.raises(UsageError, match="env:NOT_THERE"):
        SecretRef("env:NOT_THERE").reveal()
    with pytest.raises(UsageError, match="No such file"):
        SecretRef(f"file:{tmp_path}/none").reveal()
    binary = tmp_path / "binary"
    binary.write_bytes(b"hunter2\xff")
    with pytest.raises(UsageError) as caught:
        SecretRef(f"file:{binary}").reveal()
    assert "hunter2" not in str(caught.value) and caught.value.__cause__ is None
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(UsageError, match="not empty"):
        SecretRef(f"file:{tmp_path}/empty").reveal()


SLIPS = [  # where a secret ends up by a slip of the one who writes it
    "alerts={}",
    "alerts.webhook={}",
    "alerts.webhook:{}",
    "alerts.webhook {}",
    "alerts.webhook=[{}",
    "alerts.webhook=*{}",
    "alerts.webhook=!{}",
    "alerts.webhook=!!int {}",
    "alerts.webhook={{{}: 1, {}: 2}}",
    "alerts.webhook={{{}: 1}}",
    "alerts.webhook={{url: {{a: {}}}}}",
    "alerts.webhook.{}=1",
    "alerts.every_s={}",
    "alerts.leave_out={}",
    "alerts.telegram.api=https://api.telegram.org/bot{}",
    "alerts.telegram.chat_id=x{}",
    "alert.webhook={}",
    "webhook.url={}",
    "feed={}",
    "feed.address={}",
    "feed.security={}",
    "feed.security.username=[{}]",
    "feed.security.password={}",
    "feed.lateness_s={}",
]


@pytest.mark.parametrize("slip", SLIPS)
@pytest.mark.parametrize("secret", ["https://hooks.example/T0/s3cr3tw0rd", "81725364:s3cr3tw0rd", "s3cr3tw0rd"])
def test_a_slip_never_shows_the_secret(slip: str, secret: str, tmp_path: Path) -> None:
    setting = slip.format(secret, secret)
    with pytest.raises(ConfigError) as caught:
        load(PaperConfig, [], [setting])
    assert "s3cr3tw0rd" not in str(caught.value)
    assert "s3cr3tw0rd" not in "".join(traceback.format_exception(caught.value))
    key, separator, value = setting.partition("=")
    if separator:
        file = tmp_path / "live.yaml"
        file.write_text("".join(f"{'  ' * n}{part}:\n" for n, part in enumerate(key.split(".")))[:-1] + f" {value}\n")
        with pytest.raises(ConfigError) as read:
            load(PaperConfig, [file])
        assert "s3cr3tw0rd" not in str(read.value)


def test_values_elsewhere_are_shown() -> None:
    with pytest.raises(ConfigError, match=r"limits\.max_leverage: .* \(found 'lots'\)"):
        load(PaperConfig, [], ["limits.max_leverage=lots"])


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("feed.lateness_s=-1", r"feed\.lateness_s: .* \(found -1\)"),
        ("feed.quiet_after_s=.nan", r"feed\.quiet_after_s: .* \(found nan\)"),
        ("limits.max_leverage=lots", r"max_leverage: expected a number \(found 'lots'\)"),
    ],
)
def test_numbers_that_are_no_secret_are_shown_in_plain_english(setting: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(PaperConfig, [], [setting])
