"""`grandmodel diverge`: its table and its JSON agree, its exit codes tell, and what cannot be read is a message."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.divergence.faults import backtest_folder, market, session_with
from engine.app.divergence.differences import _settings_told
from engine.app.live.folder import SessionLock
from engine.cli.divergences import _earned
from engine.journal.files import FILE
from engine.journal.reserve import RUNNING
from feeds.export import write_bars
from tests.engine.cli.children import called, printed, refused


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backtest, a session as it and one with faults."""
    folder = tmp_path_factory.mktemp("runs")
    backtest_folder(folder / "backtest", market())
    session_with(frozenset(), folder / "clean")
    session_with(frozenset({"configuration", "commands", "bars"}), folder / "faulty")
    return folder


def test_a_session_and_its_backtest(folders: Path) -> None:
    clean = str(folders / "clean")
    backtest = folders / "backtest"
    for words in ([clean], [clean, str(backtest)], [clean, "--data", str(backtest / "S000.parquet")]):
        found = printed("diverge", *words)
        assert found["same"] and not found["causes"] and not found["first_differences"]
        assert found["profit"] == found["other_profit"] and found["difference"] == 0.0
        code, said, _ = called("diverge", *words)
        assert code == 0 and "nothing differs" in said


def test_faults_in_a_table_and_as_json(folders: Path) -> None:
    words = "diverge", str(folders / "faulty"), str(folders / "backtest")
    code, said, _ = called(*words, "--json")
    found = json.loads(said)
    assert code == 1 and found["replays"] == 8 and not found["same"]
    assert found["causes"][0]["cause"] == "configuration"
    assert sum(one["effect"] for one in found["causes"]) == pytest.approx(found["difference"], rel=1e-12)
    first = found["first_differences"][0]
    assert (first["table"], first["field"], first["row"], first["other_row"]) == ("fills", "fee", 5, 5)
    code, said, _ = called(*words)
    assert code == 1
    lines = said.splitlines()
    together = next(line for line in lines if line.startswith("together")).split()[1]
    assert float(together) == round(found["difference"], 2)
    for one in found["causes"]:
        assert f"{one['alone']:,.2f}" in said
    assert any(line.startswith("operator's commands") for line in lines)
    assert f"fills     2020-01-01 00:06, row 5, fee: {first['value']} and {first['other_value']}" in said


def test_a_command_alone_differs_from_the_backtest_of_the_same_bars(folders: Path) -> None:
    code, said, _ = called("diverge", str(folders / "faulty"), "--json")
    assert code == 1
    assert [one["cause"] for one in json.loads(said)["causes"]] == ["commands"]


def test_a_killed_session_is_compared_and_called_that(folders: Path, tmp_path: Path) -> None:
    shutil.copytree(folders / "clean", tmp_path / "killed")
    (tmp_path / "killed" / RUNNING).touch()
    killed, clean = str(tmp_path / "killed"), str(folders / "clean")
    code, said, _ = called("diverge", killed)
    assert code == 0 and "RUN was killed and has not been started again" in said and "OTHER was" not in said
    assert "OTHER was killed" in called("diverge", clean, killed)[1]
    assert "was killed" not in called("diverge", clean)[1]
    assert printed("diverge", killed)["unended"] == [True, False]


def test_prices_and_files_of_another_instrument_are_noticed(folders: Path, tmp_path: Path) -> None:
    bars = market()
    scaled = replace(bars, **{name: getattr(bars, name) / 5_000.0 for name in ("open", "high", "low", "close")})
    write_bars(tmp_path / "S000.parquet", [scaled])
    code, said, complained = called("diverge", str(folders / "clean"), "--data", str(tmp_path / "S000.parquet"))
    assert code == 1, complained
    assert "RUN are 5,000 times those of OTHER" in " ".join(said.split())
    (tmp_path / "S000.parquet").rename(tmp_path / "6e.parquet")
    complained = refused("diverge", str(folders / "clean"), "--data", str(tmp_path / "6e.parquet"))
    assert "expected: bars of S000" in complained and "bars of 6E" in complained


def test_words_for_equal_profits_and_lists() -> None:
    told = _settings_told([{"challengers.agents": ("sma_cross:fast=5,slow=20", "flat")}, {}])
    assert told == "challengers.agents: sma_cross:fast=5,slow=20, flat and none"
    amount = 1e-11
    assert _earned(amount, "USD") == "RUN earned as much as OTHER, but they differ:" == _earned(0.0, "USD")
    assert _earned(-2.0, "USD") == "RUN earned $2.00 less, because of:"


def test_what_cannot_be_compared_is_a_message(folders: Path, tmp_path: Path) -> None:
    clean, backtest = str(folders / "clean"), str(folders / "backtest")
    assert "neither a session nor a finished run" in refused("diverge", str(tmp_path / "none"))
    assert "neither a session nor a finished run" in refused("diverge", clean, str(tmp_path), "--json")
    assert "only a session has a backtest" in refused("diverge", backtest)
    assert "exclude each other" in refused("diverge", clean, backtest, "--data", "es-synthetic")
    assert "are for --data" in refused("diverge", clean, "--history", "5")
    assert "no bar of the session" in refused("diverge", clean, "--data", "es-synthetic")
    with SessionLock(folders / "clean"):
        assert "a session is running" in refused("diverge", clean)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / FILE).write_bytes(b"")
    assert "never started" in refused("diverge", str(empty))


def test_any_damage_is_a_message_or_has_not_mattered(folders: Path, tmp_path: Path) -> None:
    dice = random.Random(7)
    whole = (folders / "clean" / FILE).read_bytes()
    told = [at for at, byte in enumerate(whole) if byte]
    noticed = 0
    for _ in range(24):
        damaged = bytearray(whole)
        damaged[dice.choice(told)] ^= 1 << dice.randrange(8)
        (tmp_path / FILE).write_bytes(damaged)
        code, said, complained = called("diverge", str(tmp_path), "--json")
        noticed += code != 0
        assert code in {0, 2}, complained
        assert json.loads(said)["same"] if code == 0 else complained.startswith("error: ")
    assert noticed > 10
    shutil.copytree(folders / "backtest", tmp_path / "backtest")
    tree = json.loads((tmp_path / "backtest" / "manifest.json").read_text())
    for key in tree:
        for value in (None, 7, "x", ["x"], {"x": 1}):
            (tmp_path / "backtest" / "manifest.json").write_text(json.dumps({**tree, key: value}))
            code, said, complained = called("diverge", str(folders / "clean"), str(tmp_path / "backtest"))
            assert code in {0, 1, 2} and "Traceback" not in complained, (key, value)
            assert code == 0 or said or complained.startswith("error: ")


def test_damage_is_a_message(folders: Path, tmp_path: Path) -> None:
    whole = (folders / "clean" / FILE).read_bytes()
    shutil.copytree(folders / "clean", tmp_path / "run")
    for at in range(9, 16):
        (tmp_path / "run" / FILE).write_bytes(whole[: len(whole) * at // 16])
        assert "journal" in refused("diverge", str(tmp_path / "run"))
    shutil.copytree(folders / "backtest", tmp_path / "backtest")
    manifest = tmp_path / "backtest" / "manifest.json"
    tree = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**tree, "ledger_sha256": "0" * 64}))
    clean, backtest = str(folders / "clean"), str(tmp_path / "backtest")
    faulty = str(folders / "faulty")
    assert "does not come out again" in refused("diverge", faulty, backtest, code=1)
    assert "does not come out again" in refused("diverge", clean, backtest, code=1)
    manifest.write_text("{")
    assert "cannot read the manifest" in refused("diverge", clean, backtest)
    (tmp_path / "backtest" / "S000.parquet").unlink()
    manifest.write_text(json.dumps(tree))
    called_code, _, complained = called("diverge", clean, backtest)
    assert called_code in {0, 2}, complained  # the file is found where it was made, or it is gone
