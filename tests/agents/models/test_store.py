from __future__ import annotations

import json
import shutil
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models.history import HistoryEntry, Index
from agents.models.metadata import ENSEMBLE_FILE
from agents.models.store import BUNDLED, ModelStore, default_root, resolve_ensemble
from engine.base.errors import DataError, UsageError
from tests.agents.models.conftest import MakeVersion, reseal

NOON = "2026-01-31T12:00:00+00:00"


def test_a_new_store_serves_the_version_that_ships(store: ModelStore) -> None:
    assert (store.versions(), store.active(), store.history()) == (["trained-3", "untrained-2"], "trained-3", ())
    assert store.active_path() == BUNDLED == resolve_ensemble(None, store) == resolve_ensemble("", store)
    assert not store.root.exists(), "reading writes nothing"


def test_versions_are_in_numeric_order(store: ModelStore, make_version: MakeVersion) -> None:
    for name in ("run-10", "run-9", "run-1.2", "alpha"):
        assert store.add(make_version(name)) == name
    assert store.versions() == ["alpha", "run-1.2", "run-9", "run-10", "trained-3", "untrained-2"]
    assert store.active() == "trained-3", "what is added is not active yet"


def test_what_is_added_is_a_copy_of_every_byte(store: ModelStore, make_version: MakeVersion) -> None:
    source = make_version("a")
    store.add(source)
    assert {p.name: p.read_bytes() for p in store.path("a").iterdir()} == {
        p.name: p.read_bytes() for p in source.iterdir()
    }
    assert [p.name for p in store.root.iterdir() if p.is_dir()] == ["a"]
    assert store.add(source) == "a", "the same version again is no change"


def test_a_version_never_changes(store: ModelStore, make_version: MakeVersion, version: Path) -> None:
    store.add(make_version("a"))
    reseal(version, "a")
    with pytest.raises(UsageError, match="another version called a"):
        store.add(version)
    reseal(version, "untrained-2")
    with pytest.raises(UsageError, match="another version called untrained-2"):
        store.add(version)


def test_a_spoiled_folder_is_not_added(store: ModelStore, version: Path) -> None:
    reseal(version, "a")
    (version / "risk_model.onnx").write_bytes(b"x")
    with pytest.raises(DataError, match=r"risk_model\.onnx"):
        store.add(version)
    assert store.versions() == ["trained-3", "untrained-2"]


def test_what_a_killed_process_left_is_cleared(store: ModelStore, make_version: MakeVersion) -> None:
    left = store.root / ".a.part"
    left.mkdir(parents=True)
    (left / "garbage").write_bytes(b"x")
    (left / ENSEMBLE_FILE).write_bytes(b"{}")
    assert store.versions() == ["trained-3", "untrained-2"]
    store.add(make_version("a"))
    assert not left.exists() and not (store.path("a") / "garbage").exists()


def test_activation_is_remembered_by_the_next_reader(store: ModelStore, make_version: MakeVersion) -> None:
    store.add(make_version("a"))
    entry = store.activate("a", "2026-01-31T13:00:00+01:00", "better")
    assert entry == HistoryEntry(version="a", sha256=entry.sha256, activated=NOON, note="better")
    again = ModelStore(store.root)
    assert (again.active(), again.history(), again.active_path()) == ("a", (entry,), store.root / "a")
    assert resolve_ensemble(None, again) == store.root / "a"
    tree = json.loads((store.root / "index.json").read_text())
    assert tree["history"][0]["version"] == "a" and tree["history"][0]["activated"] == NOON


def test_activating_the_active_version_adds_nothing(store: ModelStore, make_version: MakeVersion) -> None:
    store.add(make_version("a"))
    first = store.activate("a", NOON)
    assert store.activate("a", "2026-02-01T00:00:00Z") == first and len(store.history()) == 1


def test_rollbacks_go_back_step_by_step(store: ModelStore, make_version: MakeVersion) -> None:
    for name in "abc":
        store.add(make_version(name))
        store.activate(name, NOON)
    assert [store.rollback(NOON).version for _ in range(2)] == ["b", "a"]
    store.activate("c", NOON)
    assert [store.rollback(NOON).version for _ in range(2)] == ["a", "trained-3"]
    assert store.active_path() == BUNDLED
    with pytest.raises(UsageError, match="no activation to roll back"):
        store.rollback(NOON)
    assert [entry.rollback for entry in store.history()] == [False] * 3 + [True] * 2 + [False] + [True] * 2


def test_rollback_without_history_is_refused(store: ModelStore) -> None:
    with pytest.raises(UsageError, match="grandmodel models activate"):
        store.rollback(NOON)


@given(st.lists(st.one_of(st.just(None), st.sampled_from("abcd")), max_size=30))
def test_what_stands_is_what_a_stack_holds(steps: list[str | None]) -> None:
    stack: list[str] = []
    history: list[HistoryEntry] = []
    for step in steps:
        if step is not None:
            stack.append(step)
        elif stack:
            stack.pop()
        else:
            continue
        top = stack[-1] if stack else "trained-3"
        history.append(HistoryEntry(version=top, sha256="", activated=NOON, rollback=step is None))
    assert [entry.version for entry in Index(history=tuple(history)).standing()] == stack


def test_an_unknown_version_is_refused_and_the_nearest_named(store: ModelStore) -> None:
    for call in (lambda: store.activate("untraind-1", NOON), lambda: resolve_ensemble("untraind-1", store)):
        with pytest.raises(UsageError, match="did you mean untrained-2"):
            call()
    assert store.history() == ()


def test_a_spoiled_version_is_not_activated(store: ModelStore, make_version: MakeVersion) -> None:
    store.add(make_version("a"))
    (store.path("a") / "tactical_model.onnx").write_bytes(b"x")
    with pytest.raises(DataError, match=r"tactical_model\.onnx"):
        store.activate("a", NOON)
    assert store.active() == "trained-3"


@pytest.mark.parametrize("at", ["noon", "2026-01-31T12:00:00", ""])
def test_a_time_needs_a_zone(store: ModelStore, at: str) -> None:
    for call in (lambda: store.activate("untrained-2", at), lambda: store.rollback(at)):
        with pytest.raises(UsageError, match="ISO 8601"):
            call()


def test_another_version_under_the_active_name_is_noticed(
    store: ModelStore, make_version: MakeVersion, version: Path
) -> None:
    store.add(make_version("a"))
    store.activate("a", NOON)
    reseal(version, "a")
    shutil.rmtree(store.root / "a")
    with pytest.raises(DataError, match="is gone"):
        resolve_ensemble(None, store)
    shutil.copytree(version, store.root / "a")
    with pytest.raises(DataError, match="not the one that was activated"):
        resolve_ensemble(None, store)
    store.activate("a", NOON, "on purpose")
    assert resolve_ensemble(None, store) == store.root / "a"


ORPHAN = json.dumps({"history": [{"version": "a", "sha256": "", "activated": NOON, "rollback": True}]})


@pytest.mark.parametrize("content", ["", "{", "[]", '{"history": [{"version": 1}]}', '{"other": []}', ORPHAN])
def test_a_damaged_index_is_named(store: ModelStore, content: str) -> None:
    store.root.mkdir()
    (store.root / "index.json").write_text(content)
    for call in (store.active, store.active_path, store.history, lambda: store.activate("untrained-2", NOON)):
        with pytest.raises(DataError, match=r"index\.json"):
            call()


def test_readers_see_the_old_index_or_the_new_one(store: ModelStore, make_version: MakeVersion) -> None:
    for name in "ab":
        store.add(make_version(name))
    store.activate("a", NOON)
    writers = [threading.Thread(target=_activate_in_turn, args=(store.root, 15)) for _ in range(2)]
    for writer in writers:
        writer.start()
    seen = 0
    while any(writer.is_alive() for writer in writers):
        assert store.active() in ("a", "b")
        seen += 1
    for writer in writers:
        writer.join()
    names = [entry.version for entry in store.history()]
    assert seen and all(one != other for one, other in pairwise(names))


def _activate_in_turn(root: Path, times: int) -> None:
    for i in range(times):
        ModelStore(root).activate("ba"[i % 2], NOON)


def test_a_folder_or_a_name_is_resolved(
    store: ModelStore, make_version: MakeVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_version("a")
    store.add(folder)
    assert resolve_ensemble(str(folder), store) == folder
    assert resolve_ensemble("a", store) == store.root / "a"
    monkeypatch.setenv("GRANDMODEL_MODELS", str(store.root))
    assert resolve_ensemble("a") == store.root / "a"
    with pytest.raises(UsageError, match="no ensemble"):
        resolve_ensemble(str(tmp_path), store)
    with pytest.raises(UsageError, match="no version"):
        resolve_ensemble(str(tmp_path / "none"), store)


def test_the_root_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GRANDMODEL_MODELS", raising=False)
    assert default_root() == Path("models/store")
    monkeypatch.setenv("GRANDMODEL_MODELS", str(tmp_path))
    assert default_root() == tmp_path == ModelStore().root
