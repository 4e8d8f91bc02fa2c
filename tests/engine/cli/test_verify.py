"""`grandmodel verify` and `grandmodel compare RUN RUN` over manifests whose hash is of this form or another."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.models.metadata import read_ensemble
from agents.models.store import resolve_ensemble
from engine.app.backtest import run_backtest
from engine.app.config import BacktestConfig
from engine.app.manifest import HASH_FORM
from engine.app.verify import find_manifest, read_manifest
from engine.base.errors import DataError
from engine.loop.ledger_hash import FORM
from tests.engine.app.comparison.bars import write_bars
from tests.engine.cli.children import called, printed, refused
from training.suite import trials

Edit = Callable[[dict[str, Any]], object]


INSTRUMENT = "name: X\ntick_size: 0.01\nmultiplier: 1\nmin_size: 1\nsize_step: 1\ninitial_margin: {rate: RATE}\n"


def ran(tmp_path: Path, name: str = "run", initial_margin: float = 0.1) -> Path:
    data = write_bars(tmp_path / "bars.csv", rows=400)
    instrument = tmp_path / f"{name}.yaml"
    instrument.write_text(INSTRUMENT.replace("RATE", str(initial_margin)))
    tree = {"data": (str(data),), "replay": {"labels": "close"}, "agent": "sma_cross:fast=2,slow=5", "fee": 0.0001}
    run_backtest(BacktestConfig.model_validate({**tree, "instrument": str(instrument)}), tmp_path / name)
    return tmp_path / name


def edited(run: Path, edit: Edit) -> Path:
    file = run / "manifest.json"
    manifest = json.loads(file.read_text())
    edit(manifest)
    file.write_text(json.dumps(manifest))
    return run


def other_ledger(manifest: dict[str, Any]) -> None:
    manifest["ledger_sha256"] = "0" * 64


def without_form(manifest: dict[str, Any]) -> None:
    other_ledger(manifest)
    del manifest[HASH_FORM]


def of_later_form(manifest: dict[str, Any]) -> None:
    other_ledger(manifest)
    manifest[HASH_FORM] += 1


@pytest.mark.parametrize(("edit", "advised"), [(other_ledger, False), (without_form, True), (of_later_form, True)])
def test_only_a_hash_of_another_form_is_left_to_its_release(edit: Edit, advised: bool, tmp_path: Path) -> None:
    run = ran(tmp_path)
    assert json.loads((run / "manifest.json").read_text())[HASH_FORM] == FORM
    assert called("verify", str(run))[0] == 0
    message = refused("verify", str(edited(run, edit)), code=1)
    assert "the ledger differs" in message
    assert ("with the release that made it" in " ".join(message.split())) is advised


def test_equal_ledgers_with_hashes_of_two_forms_are_found_equal(tmp_path: Path) -> None:
    one, other = ran(tmp_path, "one"), edited(ran(tmp_path, "other"), without_form)
    assert "computed in different ways" in " ".join(called("compare", str(one), str(other))[1].split())


def test_runs_with_the_same_hash_may_differ_in_the_margin(tmp_path: Path) -> None:
    one, other = ran(tmp_path, "one", initial_margin=0.1), ran(tmp_path, "other", initial_margin=0.2)
    (found,) = printed("compare", str(one), str(other))["differences"]
    hashes = {json.loads((run / "manifest.json").read_text())["ledger_sha256"] for run in (one, other)}
    assert len(hashes) == 1 and not found["equal"]
    assert [(table["table"], table["field"]) for table in found["tables"]] == [("ledger", "margin")]


@pytest.mark.parametrize("words", [["--full"], ["--seeds", "2"], ["--workers", "1"], ["--json"]])
def test_options_of_learning_are_refused_for_runs(words: list[str]) -> None:
    assert "grandmodel verify learning" in refused("verify", "es-synthetic", *words)


@pytest.mark.parametrize(("earned", "trades", "code"), [(9.5, 0.0, 0), (8.5, 0.0, 1), (9.5, 2.0, 1)])
def test_learning_fails_by_its_share_or_by_trading_where_nothing_pays(
    earned: float, trades: float, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_trials(given: Sequence[trials.Trial], workers: int) -> Iterator[trials.Row]:
        for trial in given:
            null = trial.family == "random_walk"
            figures = {"return": 0.0 if null else earned, "optimum_prices": 0.0 if null else 10.0, "error": 0.1}
            about = {"trades": trades if null else 3.0, "seats": "S--", "cpu": 1.0, "bars": workers}
            yield {"family": trial.family, "seed": trial.seed, **figures, **about}

    monkeypatch.setattr(trials, "run_trials", run_trials)
    found, shown, complained = called("verify", "learning", "--workers", "1", "--seeds", "1")
    assert found == code
    assert "regime_drift" in shown and "random_walk" in shown
    assert ("does not learn" in complained) is (code == 1)
    found, shown, _ = called("verify", "learning", "--json", "--workers", "1")
    tree = json.loads(shown.splitlines()[0])
    assert len(tree["rows"]) == 2 and len(tree["failures"]) == code


def test_a_pipe_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    for name in ("manifest.json", "ensemble.json"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="a named pipe in place of a file"):
        read_manifest(find_manifest(str(tmp_path)))
    with pytest.raises(DataError, match="a named pipe in place of a file"):
        read_ensemble(resolve_ensemble(str(tmp_path)))
