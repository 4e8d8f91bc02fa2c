from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import textwrap
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.base.errors import CheckFailed, DataError, UsageError
from engine.base.state import encode
from tests.trees import keys, same, trees
from tests.waiting import until
from tests.work import calls
from training.checkpoint import (
    checkpoints,
    load,
    newest_good,
    save,
    set_aside_later,
    weights_sha256,
)
from training.randomness import generator_state, load_generator

NOTE = {"episode": 3, "config": {"seed": 42, "logging": {"checkpoint_dir": "models"}}, "evaluation": None}


def small_state() -> dict[str, Any]:
    return {"weights": {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}, "best": -math.inf, "steps": 7}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save(tmp_path / "checkpoint-0000003.ckpt", small_state(), NOTE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=50)
@given(state=st.dictionaries(keys, trees, max_size=4))
def test_what_was_saved_comes_back_bit_for_bit(tmp_path: Path, state: dict[str, Any]) -> None:
    loaded = load(save(tmp_path / "x.ckpt", state, NOTE))
    assert same(state, loaded.state) and loaded.note == NOTE


def test_a_generator_goes_on_where_it_was(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    generator.random(7)
    state = load(save(tmp_path / "x.ckpt", {"generator": generator_state(generator)}, {})).state
    other = np.random.default_rng(0)
    load_generator(other, state["generator"])
    np.testing.assert_array_equal(generator.random(50), other.random(50))


def test_the_same_state_gives_the_same_bytes(tmp_path: Path, path: Path) -> None:
    again = save(tmp_path / "again.ckpt", small_state(), NOTE)
    assert again.read_bytes() == path.read_bytes()


def test_what_cannot_be_kept_exactly_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be part of a state") as caught:
        save(tmp_path / "x.ckpt", {"inner": object()}, {})
    assert caught.value.where == "/state/inner"
    assert not list(tmp_path.iterdir())


def test_every_changed_byte_is_noticed(path: Path) -> None:
    content = path.read_bytes()
    for at in range(len(content)):
        spoiled = bytearray(content)
        spoiled[at] ^= 1 << at % 8
        path.write_bytes(spoiled)
        with pytest.raises(CheckFailed):
            load(path)


def test_every_truncation_is_noticed(path: Path) -> None:
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(CheckFailed):
            load(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(junk=st.binary(min_size=1, max_size=300), at=st.floats(0, 1))
def test_insertions_are_noticed(path: Path, junk: bytes, at: float) -> None:
    content = save(path, small_state(), NOTE).read_bytes()
    cut = int(at * len(content))
    path.write_bytes(content[:cut] + junk + content[cut:])
    with pytest.raises(CheckFailed):
        load(path)


def test_damage_names_the_file_and_the_good_one_before_it(tmp_path: Path, path: Path) -> None:
    save(tmp_path / "checkpoint-0000009.ckpt", small_state(), NOTE)
    later = save(tmp_path / "checkpoint-0000010.ckpt", small_state(), NOTE)
    save(tmp_path / "checkpoint-0000011.ckpt", small_state(), NOTE)
    (tmp_path / "checkpoint-0000009.ckpt").write_bytes(b"rubbish")
    content = bytearray(later.read_bytes())
    content[len(content) // 2] ^= 1
    later.write_bytes(content)
    with pytest.raises(CheckFailed) as caught:
        load(later)
    text = str(caught.value)
    assert str(later) in text and "damaged" in text and f"resume from {path}" in text
    assert caught.value.exit_code == 1


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(DataError, match="does not exist") as caught:
        load(path.with_name("other.ckpt"))
    assert path.name in str(caught.value)


def test_a_file_of_an_earlier_release_or_of_another_kind_is_refused_by_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint-1.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("state.json", "{}")
    with pytest.raises(CheckFailed, match="this is a checkpoint of an earlier release") as caught:
        load(path)
    assert caught.value.found == "a zip archive" and "release" in str(caught.value.hint)
    for tree in ({"a": 1}, [], {"note": {}, "state": 1}, None):
        path.write_bytes(encode(tree))
        with pytest.raises(CheckFailed):
            load(path)


def test_the_order_of_a_folder_is_that_of_the_numbers(tmp_path: Path) -> None:
    for episode in (1000, 20, 3):
        save(tmp_path / f"checkpoint-{episode}.ckpt", small_state(), {"episode": episode})
    assert [path.stem for path in checkpoints(tmp_path)] == ["checkpoint-3", "checkpoint-20", "checkpoint-1000"]
    newest = newest_good(tmp_path)
    assert newest is not None and newest.note == {"episode": 1000}
    newest.path.write_bytes(newest.path.read_bytes()[:-1])
    older = newest_good(tmp_path)
    assert older is not None and older.note == {"episode": 20}
    assert newest_good(tmp_path / "none") is None and checkpoints(tmp_path / "none") == []


def test_the_hash_of_weights_sees_names_shapes_types_and_bits() -> None:
    weights = {"strategic": {"a": np.ones(4, np.float32), "b": np.zeros((2, 2), np.float32)}}
    turned = {"strategic": {"b": np.zeros((2, 2), np.float32), "a": np.ones(4, np.float32)}}
    assert weights_sha256(weights) == weights_sha256(turned)
    others = [
        {"strategic": {"a": np.ones(4, np.float32), "c": np.zeros((2, 2), np.float32)}},
        {"strategic": {"a": np.ones((2, 2), np.float32), "b": np.zeros((2, 2), np.float32)}},
        {"strategic": {"a": np.ones(4), "b": np.zeros((2, 2), np.float32)}},
        {"strategic": {"a": np.ones(4, np.float32), "b": -np.zeros((2, 2), np.float32)}},
        {"tactical": weights["strategic"]},
    ]
    assert len({weights_sha256(weights), *map(weights_sha256, others)}) == 6


def test_a_process_killed_while_it_saves_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    code = """
        import sys, numpy as np, pathlib
        from training.checkpoint import save
        path = pathlib.Path(sys.argv[1])
        number = 0
        while True:
            save(path, {"x": np.full(200_000, number), "number": number}, {"episode": number})
            number += 1
            print(number, flush=True)
    """
    path = tmp_path / "c-1.ckpt"
    seen = []
    for saves in (1, 3):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(saves):
            process.stdout.readline()
        until(lambda: list(tmp_path.glob(".*.part")))  # it writes the next one
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        state = load(path).state
        assert (state["x"] == state["number"]).all()
        seen.append(state["number"])
    assert checkpoints(tmp_path) == [path]


def test_large_buffers_are_saved_as_they_lie_in_memory(tmp_path: Path) -> None:
    """So that saving takes no longer than writing the bytes does: nothing is packed, nothing goes value by value."""
    rng = np.random.default_rng(0)
    state = {name: rng.random((100_000, 10), dtype=np.float32) for name in ("now", "next")}
    state["tree"] = rng.random(262_144)
    held = sum(array.nbytes for array in state.values())
    steps = calls(lambda: save(tmp_path / "x.ckpt", state, {}))
    assert held <= (tmp_path / "x.ckpt").stat().st_size < held + 8_192
    # one for each piece of the bytes, of which there are far fewer than values
    assert steps < 1_000


def test_saving_takes_no_memory_and_loading_the_file_and_what_it_holds(tmp_path: Path) -> None:
    state = {"buffer": np.zeros(1 << 22), "other": np.zeros(1 << 20)}
    held = sum(array.nbytes for array in state.values())
    tracemalloc.start()
    save(tmp_path / "x.ckpt", state, {})
    saving = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    load(tmp_path / "x.ckpt")
    loading = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert saving < held // 100 and loading < 2.1 * held


def test_later_checkpoints_are_set_aside(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"checkpoint-{number}.ckpt", small_state(), NOTE) for number in (2, 10, 9)]
    aside = set_aside_later(paths[0])
    assert sorted(path.name for path in aside) == ["checkpoint-10.ckpt.old", "checkpoint-9.ckpt.old"]
    assert checkpoints(tmp_path) == [paths[0]]
    assert set_aside_later(paths[0]) == []


def test_a_disk_that_is_full_keeps_no_rest_of_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    before = save(tmp_path / "checkpoint-1.ckpt", small_state(), NOTE)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path / "checkpoint-2.ckpt", small_state(), NOTE)
    assert list(tmp_path.iterdir()) == [before]
