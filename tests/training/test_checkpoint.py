from __future__ import annotations

import copy
import hashlib
import io
import json
import math
import os
import pickle
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
from hypothesis.extra import numpy as nps

from engine.base.errors import CheckFailed, DataError
from tests.waiting import until
from tests.work import calls
from training.checkpoint import (
    FORMAT,
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


RECORD = np.dtype([("id", np.int64), ("price", np.float32, (2,)), ("side", np.int8)], align=True)
scalars = st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats() | st.text(max_size=5)
arrays = nps.arrays(
    nps.scalar_dtypes() | st.just(RECORD),
    nps.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
keys = st.text(max_size=6).filter(lambda key: not key.startswith("$"))
trees = st.recursive(
    scalars | arrays | st.lists(scalars, max_size=3), lambda inner: st.dictionaries(keys, inner, max_size=3)
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and one.tobytes() == other.tobytes()
        )
    if isinstance(one, dict):
        return isinstance(other, dict) and list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return type(other) is float and (one.hex() == other.hex())
    return type(one) is type(other) and one == other


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=50)
@given(state=st.dictionaries(keys, trees, max_size=4))
def test_what_was_saved_comes_back_bit_for_bit(tmp_path: Path, state: dict[str, Any]) -> None:
    loaded = load(save(tmp_path / "x.ckpt", state, NOTE))
    assert same(state, loaded.state) and loaded.note == NOTE


def test_views_and_fortran_order_come_back_and_can_be_written_to(tmp_path: Path) -> None:
    whole = np.arange(24.0).reshape(4, 6)
    state = {"view": whole[::2, 1::2], "fortran": np.asfortranarray(whole)}
    found = load(save(tmp_path / "x.ckpt", state, {})).state
    for name, array in state.items():
        np.testing.assert_array_equal(found[name], array)
        found[name][...] = 0


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


@pytest.mark.parametrize(
    "leaf", [object(), {1, 2}, b"bytes", np.array([object()]), {1: 2}, {"$array": "arrays/0.npy"}, 1j]
)
def test_what_cannot_be_kept_exactly_is_refused(tmp_path: Path, leaf: Any) -> None:
    with pytest.raises(TypeError, match="inner"):
        save(tmp_path / "x.ckpt", {"inner": leaf}, {})
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


def test_damage_names_the_file_the_part_and_the_good_one_before_it(tmp_path: Path, path: Path) -> None:
    save(tmp_path / "checkpoint-0000009.ckpt", small_state(), NOTE)
    later = save(tmp_path / "checkpoint-0000010.ckpt", small_state(), NOTE)
    save(tmp_path / "checkpoint-0000011.ckpt", small_state(), NOTE)
    (tmp_path / "checkpoint-0000009.ckpt").write_bytes(b"rubbish")
    content = bytearray(later.read_bytes())
    content[content.index(b"'descr'") + 125] ^= 1
    later.write_bytes(content)
    with pytest.raises(CheckFailed) as caught:
        load(later)
    text = str(caught.value)
    assert str(later) in text and "arrays/0.npy" in text and f"resume from {path}" in text
    assert caught.value.exit_code == 1


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(DataError, match="does not exist") as caught:
        load(path.with_name("other.ckpt"))
    assert path.name in str(caught.value)


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


def crafted(path: Path, members: dict[str, bytes], manifest: dict[str, Any] | None = None, seal: int = FORMAT) -> Path:
    """A file with every hash right, as whoever means harm would make it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        named = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
        archive.writestr("manifest.json", json.dumps(manifest or {"format": FORMAT, "members": named}))
        archive.comment = b"grandmodel checkpoint %d sha256 " % seal + b"0" * 64
    content = buffer.getvalue()[:-64]
    path.write_bytes(content + hashlib.sha256(content).hexdigest().encode())
    return path


def test_the_crafted_file_is_read_where_it_is_honest(tmp_path: Path) -> None:
    honest = crafted(tmp_path / "x.ckpt", {"note.json": b"{}", "state.json": b'{"a": 1}'})
    assert load(honest).state == {"a": 1}


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    buffer = io.BytesIO()
    np.save(buffer, np.array([Runs(target)], dtype=object), allow_pickle=True)
    for member in (buffer.getvalue(), pickle.dumps(Runs(target))):
        members = {"note.json": b"{}", "state.json": b'{"a":{"$array":"arrays/0.npy"}}', "arrays/0.npy": member}
        with pytest.raises(CheckFailed):
            load(crafted(tmp_path / "x.ckpt", members))
    assert not target.exists()


@pytest.mark.parametrize(
    "state",
    [
        b'{"a":{"$array":"arrays/7.npy"}}',
        b'{"a":{"$array":"arrays/0.npy","b":1}}',
        b'{"a":{"$float":"1"}}',
        b'{"a":{"$code":"1"}}',
        b"[1]",
        b"{",
        b"[" * 100_000,
    ],
)
def test_a_crafted_tree_is_refused(tmp_path: Path, state: bytes) -> None:
    with pytest.raises(CheckFailed):
        load(crafted(tmp_path / "x.ckpt", {"note.json": b"{}", "state.json": state}))


def test_a_huge_array_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": (2**60,)})
    members = {"note.json": b"{}", "state.json": b'{"a":{"$array":"arrays/0.npy"}}', "arrays/0.npy": buffer.getvalue()}
    with pytest.raises(CheckFailed):
        load(crafted(tmp_path / "x.ckpt", members))


def test_parts_that_overlap_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    """Many names for the same bytes: a file of a megabyte that would unpack to a hundred."""
    path, big = tmp_path / "x.ckpt", b"[" + b" " * 1_000_000 + b"]"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("note.json", b"{}")
        archive.writestr("state.json", b"{}")
        archive.writestr("arrays/0.npy", big)
        for number in range(1, 100):
            again = copy.copy(archive.getinfo("arrays/0.npy"))
            again.filename = f"arrays/{number}.npy"
            archive.filelist.append(again)
        archive.comment = b"grandmodel checkpoint %d sha256 " % FORMAT + b"0" * 64
    content = buffer.getvalue()[:-64]
    for last, said in ((hashlib.sha256(content).hexdigest(), "parts of the checkpoint overlap"), ("0" * 64, "changed")):
        path.write_bytes(content + last.encode())
        tracemalloc.start()
        with pytest.raises(CheckFailed, match=said):
            load(path)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 4 * len(content)


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    members = {"note.json": b"{}", "state.json": b"{}"}
    with pytest.raises(CheckFailed, match="format that this program does not know") as caught:
        load(crafted(tmp_path / "x.ckpt", members, seal=FORMAT + 1))
    assert "found: 2" in str(caught.value)
    with pytest.raises(CheckFailed, match="unknown format"):
        load(crafted(tmp_path / "x.ckpt", members, manifest={"format": 7, "members": {}}))


def test_the_manifest_has_to_name_what_is_there(tmp_path: Path) -> None:
    members = {"note.json": b"{}", "state.json": b"{}", "extra": b""}
    with pytest.raises(CheckFailed, match="does not hold what its manifest names"):
        load(crafted(tmp_path / "x.ckpt", members, manifest={"format": FORMAT, "members": {"note.json": ""}}))


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
    with zipfile.ZipFile(tmp_path / "x.ckpt") as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
    assert held <= (tmp_path / "x.ckpt").stat().st_size < held + 8_192
    # one for each piece of the bytes, of which there are far fewer than values
    assert steps < 10_000


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
