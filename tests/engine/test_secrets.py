from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import Config, parse
from engine.errors import ConfigError, UsageError
from engine.secrets import SecretRef

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
