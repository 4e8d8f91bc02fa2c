"""configs/live and configs/deploy: what the program takes, and what containers and services must agree on."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import socket
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from engine.app.live.config import PaperConfig
from engine.base.config import load
from engine.cli.app import app
from engine.cli.health import health
from engine.monitor.heartbeat import MOST_AGE_S
from feeds.live.address import parse_address
from feeds.live.broker import HOST, free_port
from tests.brokers import MOSQUITTO, PASSWORDS, need_mosquitto, wait_for_port
from tests.waiting import LIMIT_S

ROOT = Path(__file__).resolve().parents[4]
DEPLOY = ROOT / "configs" / "deploy"
UNIT = DEPLOY / "grandmodel.service"
SESSIONS = {"paper": "session-kafka.yaml", "paper-mqtt": "session-mqtt.yaml"}
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def session(service: str) -> PaperConfig:
    return load(PaperConfig, [DEPLOY / SESSIONS[service]])


def unit() -> configparser.ConfigParser:
    # keys may come twice (Environment=), and % is systemd's
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT, encoding="utf-8")
    return parser


def options(words: list[str]) -> dict[str, Any]:
    """What `grandmodel` understands by a command line."""
    command: Any = typer.main.get_command(app).get_command(None, words[0])  # type: ignore[attr-defined]
    return dict(command.make_context("grandmodel", words[1:]).params)


@pytest.mark.parametrize("name", ["kafka", "mqtt"])
def test_examples_are_configurations_with_a_login_over_tls(name: str) -> None:
    config = load(PaperConfig, [ROOT / "configs" / "live" / f"{name}.yaml"])
    address = parse_address(config.feed.address, config.feed.security)
    assert (address.kind, address.security.tls) == (name, True)
    assert config.feed.security.password is not None
    assert config.symbols
    assert config.journal.durability == "power"


@pytest.mark.parametrize("service", SESSIONS)
def test_a_session_in_a_container_has_what_its_container_offers(service: str) -> None:
    config, container = session(service), COMPOSE["services"][service]
    mounts = dict(volume.split(":")[:2] for volume in container["volumes"])
    assert mounts[f"./{SESSIONS[service]}"] == "/etc/grandmodel/session.yaml"
    given = options(container["command"])
    assert [str(path) for path in given["config"]] == ["/etc/grandmodel/session.yaml"]
    volume = next(name for name, place in mounts.items() if place == "/data")
    assert volume in COMPOSE["volumes"]
    assert given["out"].is_relative_to("/data")
    assert container["read_only"]
    assert Path(str(config.heartbeat_file)).parent == Path(container["tmpfs"][0])
    assert (config.metrics.enabled, config.metrics.allow_remote) == (True, True)
    if (password := config.feed.security.password) is not None:
        assert password.removeprefix("file:/run/secrets/") in container["secrets"]
        assert container["secrets"][0] in COMPOSE["secrets"]


@pytest.mark.parametrize("service", SESSIONS)
def test_the_broker_of_a_session_listens_where_it_connects(service: str) -> None:
    feed = session(service).feed
    [(host, port)] = parse_address(feed.address, feed.security).hosts
    assert host in COMPOSE["services"][service]["depends_on"]
    broker = COMPOSE["services"][host]
    if host == "kafka":
        assert f"INSIDE://{host}:{port}" in broker["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
        assert f"INSIDE://:{port}" in broker["environment"]["KAFKA_LISTENERS"].split(",")
    else:
        assert f"listener {port}" in (DEPLOY / "mosquitto.conf").read_text(encoding="utf-8").splitlines()
        assert f"{feed.security.username}:%s" in broker["command"][-1]


@pytest.mark.parametrize("service", SESSIONS)
def test_the_health_check_asks_for_the_session_s_heartbeat(service: str) -> None:
    container = COMPOSE["services"][service]
    how, program, name, file, option, age = container["healthcheck"]["test"]
    assert (how, program, name, option) == ("CMD", "grandmodel", health.__name__, "--max-age")
    assert file == session(service).heartbeat_file
    assert float(age) >= MOST_AGE_S
    assert container["restart"] == "unless-stopped"
    assert container["stop_grace_period"] == "5m"


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_containers_are_pinned_and_reached_from_this_machine_only(service: str) -> None:
    container = COMPOSE["services"][service]
    assert "build" in container or re.search(r":v?\d+\.\d+\.\d+$", container["image"])
    assert all(port.startswith("127.0.0.1:") for port in container.get("ports", []))
    for volume in container["volumes"]:
        source = volume.split(":")[0]
        assert (DEPLOY / source).is_file() if source.startswith("./") else source in COMPOSE["volumes"]


def test_prometheus_reads_every_session() -> None:
    [job] = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert job["static_configs"][0]["targets"] == [f"{name}:{session(name).metrics.port}" for name in SESSIONS]


def test_the_image_holds_the_packages_and_runs_as_nobody() -> None:
    build = COMPOSE["services"]["paper"]["build"]
    context = (DEPLOY / build["context"]).resolve()
    assert context == ROOT
    text = (context / build["dockerfile"]).read_text(encoding="utf-8")
    assert re.search(r"^FROM python:3\.11-slim$", text, re.MULTILINE)
    assert re.search(r"^USER (?!root)\w+$", text, re.MULTILINE)
    assert "'/src[live]'" in text
    [wildcard, *lines] = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    sent = {line[1:] for line in lines if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    setuptools = project["tool"]["setuptools"]
    packages = {name.rstrip("*") for name in setuptools["packages"]["find"]["include"]}
    modules = {f"{name}.py" for name in setuptools["py-modules"]}
    assert wildcard == "*"
    assert sent == packages | modules | {"pyproject.toml", "constraints.txt", "README.md", "LICENSE"}


def test_the_service_says_what_the_session_says() -> None:
    service = unit()["Service"]
    program, *words = shlex.split(service["ExecStart"])
    given = options(words)
    assert Path(program).name == "grandmodel"
    assert str(given["out"]).startswith(service["ReadWritePaths"])
    assert service["Type"] == "notify"
    assert float(service["WatchdogSec"]) >= MOST_AGE_S
    assert (service["Restart"], service["KillSignal"]) == ("on-failure", "SIGTERM")
    assert (service["NoNewPrivileges"], service["ProtectSystem"]) == ("yes", "strict")
    loaded = re.findall(r"^LoadCredential=(\w+):", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    password = load(PaperConfig, [ROOT / "configs" / "live" / "kafka.yaml"]).feed.security.password
    assert password in {f"file:/run/credentials/{UNIT.name}/{name}" for name in loaded}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_knows_every_key_of_the_service(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8")
    copy = tmp_path / UNIT.name
    # the program that it starts need not be installed here
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if str(copy) in line]) == (0, [])


def test_mosquitto_takes_its_configuration_and_keeps_others_out(tmp_path: Path) -> None:
    need_mosquitto(mine=False)
    passwords, port = tmp_path / "passwords", free_port()
    text = (DEPLOY / "mosquitto.conf").read_text(encoding="utf-8")
    kept = {"persistence true", "max_queued_messages 0", "allow_anonymous false"}
    assert kept <= set(text.splitlines())
    for there, here in (
        ("listener 1883", f"listener {port} {HOST}"),
        ("/tmp/passwords", str(passwords)),
        ("/mosquitto/data/", f"{tmp_path}/"),
    ):
        assert there in text
        text = text.replace(there, here)
    passwords.write_text("grandmodel:secret\n")
    subprocess.run([str(PASSWORDS), "-U", str(passwords)], check=True)
    (tmp_path / "mosquitto.conf").write_text(f"{text}user root\n")
    with subprocess.Popen(
        [str(MOSQUITTO), "-c", str(tmp_path / "mosquitto.conf")], stdout=subprocess.DEVNULL
    ) as broker:
        try:
            wait_for_port(port)
            assert broker.poll() is None
            assert _answer(port, "") == b"\x20\x02\x00\x05"
            assert _answer(port, "wrong") == b"\x20\x02\x00\x05"
            assert _answer(port, "secret") == b"\x20\x02\x00\x00"
        finally:
            broker.terminate()


def _answer(port: int, password: str) -> bytes:
    """What the broker says to a client of MQTT 3.1.1: connected, or not authorised."""
    login = b"".join(len(word).to_bytes(2, "big") + word for word in (b"grandmodel", password.encode()) if password)
    flags = 0xC2 if password else 0x02
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + b"\x00\x3c\x00\x01x" + login
    with socket.create_connection((HOST, port), timeout=LIMIT_S) as connection:
        connection.sendall(b"\x10" + bytes([len(body)]) + body)
        return connection.recv(4)
