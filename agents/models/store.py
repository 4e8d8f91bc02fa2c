"""A store of model versions: a folder for each, and an index that says which roles they have and had.

    models/store/index.json          the history (`agents.models.history`); replaced whole, so that a reader, or a
                                     start after a kill, sees the old or the new one
    models/store/VERSION/            as `agents.models.metadata` describes

Two versions ship and belong to every store: `trained-3`, which is active until another one is, and `untrained-2`.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agents.models.history import OPERATOR, Event, HistoryEntry, Index, StoreRole
from agents.models.loading import load_ensemble
from agents.models.metadata import ENSEMBLE_FILE, is_version_name, read_ensemble, render
from agents.serving.limits import read_model_file
from engine.base.errors import DataError, UsageError
from engine.base.files import flush, in_numeric_order, sha256_file
from engine.base.nearest import did_you_mean

SHIPPED = Path(__file__).resolve().parent / "bundled"
BUNDLED_VERSION = "trained-3"
"""The version that is active until another one is."""

BUNDLED = SHIPPED / BUNDLED_VERSION
UNTRAINED = SHIPPED / "untrained-2"
"""Networks that have learned nothing: they trade a lot, which is good for trying things out."""

SHIPPED_VERSIONS = (BUNDLED.name, UNTRAINED.name)
INDEX_FILE = "index.json"
LOCK_FILE = ".lock"
ROOT_VARIABLE = "GRANDMODEL_MODELS"


def default_root() -> Path:
    """The folder that GRANDMODEL_MODELS names, or `models/store` under the working directory."""
    return Path(os.environ.get(ROOT_VARIABLE) or Path("models") / "store")


class ModelStore:
    """Versions of the ensemble; many may read while one writes.

    Args:
        root: Folder of the store; it need not exist before something is added or activated.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else default_root()

    def versions(self) -> list[str]:
        """Names of all versions, numbers in them in numeric order."""
        found = set(SHIPPED_VERSIONS)
        if self.root.is_dir():
            found |= {path.parent.name for path in self.root.glob(f"*/{ENSEMBLE_FILE}")}
        return sorted((name for name in found if is_version_name(name)), key=in_numeric_order)

    def path(self, version: str) -> Path:
        """Folder of a version.

        Raises:
            UsageError: If there is no such version; names the nearest.
        """
        versions = self.versions()
        if version not in versions:
            raise _unknown(version, versions, self.root)
        return SHIPPED / version if version in SHIPPED_VERSIONS else self.root / version

    def add(self, folder: Path) -> str:
        """Verify a version and copy it into the store, whole or not at all.

        Returns:
            Its name; if the store holds it already, nothing is written.

        Raises:
            UsageError: If another version has that name.
            GrandModelError: As `load_ensemble`.
        """
        loaded = load_ensemble(folder)
        self.root.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if loaded.version in self.versions():
                held = read_ensemble(self.path(loaded.version))[1]
                if held != loaded.sha256:
                    raise UsageError(
                        f"the store holds another version called {loaded.version}",
                        where=str(folder),
                        expected=f"sha256 {held}",
                        found=loaded.sha256,
                        hint="versions never change: give the new one another name",
                    )
                return loaded.version
            part = self.root / f".{loaded.version}.part"
            shutil.rmtree(part, ignore_errors=True)  # what a process that was killed left
            part.mkdir()
            for name in (*loaded.metadata.files, ENSEMBLE_FILE):
                shutil.copyfile(folder / name, part / name)
                flush(part / name)
            # what was copied, not what was there: the source may have changed meanwhile
            load_ensemble(part)
            flush(part)
            # only now the name: after a crash a version is there as a whole or not at all
            part.rename(self.root / loaded.version)
            flush(self.root)
        return loaded.version

    def history(self) -> tuple[HistoryEntry, ...]:
        """All that happened, oldest first; entries are only ever added.

        Raises:
            DataError: If the index is damaged.
        """
        return self._index().history

    def active(self) -> str:
        """Name of the active version.

        Raises:
            DataError: If the index is damaged.
        """
        standing = self._index().standing()
        return standing[-1].version if standing else BUNDLED_VERSION

    def active_path(self) -> Path:
        """Folder of the active version, which must still be the one that was activated.

        Raises:
            DataError: If the index is damaged.
            DataError: If the version is gone, or another one lies under its name.
        """
        standing = self._index().standing()
        if not standing:
            return BUNDLED
        entry = standing[-1]
        hint = "`grandmodel models activate VERSION` or `grandmodel models rollback` chooses another one"
        if entry.version not in self.versions():
            raise DataError(
                f"the active version {entry.version} is gone", where=str(self.root / entry.version), hint=hint
            )
        path = self.path(entry.version)
        found = sha256_file(path / ENSEMBLE_FILE)
        if found != entry.sha256:
            raise DataError(
                f"version {entry.version} is not the one that was activated",
                where=str(path / ENSEMBLE_FILE),
                expected=f"sha256 {entry.sha256}",
                found=found,
                hint=hint,
            )
        return path

    def roles(self) -> dict[str, StoreRole]:
        """The role of every version that ever had one; the champion is the active one.

        Raises:
            DataError: If the index is damaged.
        """
        return self._index().roles(self.active())

    def started(self) -> int:
        """Challengers ever started.

        Raises:
            DataError: If the index is damaged.
        """
        return self._index().started

    def activate(self, version: str, at: str, note: str = "") -> HistoryEntry:
        """Verify a version and make it the active one, whatever its role.

        Args:
            at: The time, ISO 8601 with a zone.

        Returns:
            The new entry, or the one in force if that version is active already.

        Raises:
            UsageError: If there is no such version, or the time cannot be read.
            GrandModelError: As `load_ensemble`.
        """
        return self._lead("activate", version, at, note)

    def challenge(self, version: str, at: str, note: str = "", by: str = OPERATOR) -> HistoryEntry:
        """Verify a version and make it a challenger.

        Returns:
            The new entry, whose number counts all challengers ever started; or the one in force.

        Raises:
            UsageError: If there is no such version, or it is the champion.
            GrandModelError: As `load_ensemble`.
        """
        loaded = load_ensemble(self.path(version))
        with self._writing() as history:
            index = Index(history=tuple(history))
            standing = index.standing()
            champion = standing[-1].version if standing else BUNDLED_VERSION
            if version == champion:
                raise UsageError(
                    f"{version} is the champion",
                    where=str(self.root),
                    expected="another version, to be compared with the champion",
                    hint="`grandmodel models list` lists the versions",
                )
            entry = _entry("challenge", version, loaded.sha256, _moment(at), note, by, number=index.started + 1)
            if index.roles(champion).get(version) == "challenger":
                started = [one for one in history if one.event == "challenge" and one.version == version]
                if started[-1].sha256 == loaded.sha256:
                    return started[-1]
            history.append(entry)
        return entry

    def retire(
        self, version: str, at: str, note: str = "", by: str = OPERATOR, evidence: Mapping[str, Any] | None = None
    ) -> HistoryEntry:
        """End the challenge of a version.

        Raises:
            UsageError: If it is no challenger.
        """
        self._must_challenge(version)
        digest = sha256_file(self.path(version) / ENSEMBLE_FILE)
        entry = _entry("retire", version, digest, _moment(at), note, by, evidence)
        with self._writing() as history:
            history.append(entry)
        return entry

    def promote(
        self, version: str, at: str, note: str = "", by: str = OPERATOR, evidence: Mapping[str, Any] | None = None
    ) -> HistoryEntry:
        """Verify a challenger and make it the champion, which is the active version.

        Args:
            at: The time, ISO 8601 with a zone.
            by: Who or what decided.
            evidence: What the decision rests on.

        Raises:
            UsageError: If there is no such version, or it is no challenger.
            GrandModelError: As `load_ensemble`.
        """
        self._must_challenge(version)
        return self._lead("promote", version, at, note, by, evidence)

    def _must_challenge(self, version: str) -> None:
        self.path(version)  # names the nearest, where there is no such version
        role = self.roles().get(version)
        if role != "challenger":
            raise UsageError(
                f"{version} is no challenger",
                where=str(self.root),
                expected=", ".join(name for name, one in self.roles().items() if one == "challenger") or "a challenger",
                found=role or "a version without a role",
                hint=f"`grandmodel models challenge {version}` makes it one; `grandmodel models activate {version}` "
                "lets it lead without a challenge",
            )

    def _lead(
        self,
        event: Event,
        version: str,
        at: str,
        note: str,
        by: str = OPERATOR,
        evidence: Mapping[str, Any] | None = None,
    ) -> HistoryEntry:
        loaded = load_ensemble(self.path(version))
        entry = _entry(event, version, loaded.sha256, _moment(at), note, by, evidence)
        with self._writing() as history:
            standing = Index(history=tuple(history)).standing()
            if standing and (standing[-1].version, standing[-1].sha256) == (version, loaded.sha256):
                return standing[-1]
            history.append(entry)
        return entry

    def rollback(
        self, at: str, note: str = "", by: str = OPERATOR, evidence: Mapping[str, Any] | None = None
    ) -> HistoryEntry:
        """Make the version active that was so before the last promotion or activation; again, the one before that.

        Args:
            at: The time, ISO 8601 with a zone.
            by: Who or what decided.
            evidence: What the decision rests on.

        Raises:
            UsageError: If nothing was activated that could be undone.
            GrandModelError: As `load_ensemble`, for the version to go back to.
        """
        moment = _moment(at)
        with self._writing() as history:
            standing = Index(history=tuple(history)).standing()
            if not standing:
                raise UsageError(
                    "there is no activation to roll back",
                    where=str(self.root / INDEX_FILE),
                    found=f"{BUNDLED_VERSION} is active, as it is in a new store",
                    hint="`grandmodel models activate VERSION` makes another version active",
                )
            version = standing[-2].version if len(standing) > 1 else BUNDLED_VERSION
            loaded = load_ensemble(self.path(version))
            entry = _entry("rollback", version, loaded.sha256, moment, note, by, evidence)
            history.append(entry)
        return entry

    def _index(self) -> Index:
        path = self.root / INDEX_FILE
        try:
            content = read_model_file(path)
        except FileNotFoundError:
            return Index()
        except OSError as error:
            raise DataError(f"cannot read the index: {error}", where=str(path)) from error
        try:
            index = Index.model_validate(json.loads(content))
            index.standing()
        except (ValueError, ValidationError, IndexError, RecursionError) as error:
            raise DataError(
                f"the index of the store is damaged: {' '.join(str(error).split())}",
                where=str(path),
                hint=f"move it away; {BUNDLED_VERSION} is then active until another version is activated",
            ) from error
        return index

    @contextmanager
    def _writing(self) -> Iterator[list[HistoryEntry]]:
        """The history to be appended to; written when the block ends well and changed something."""
        self.root.mkdir(parents=True, exist_ok=True)
        with self._locked():
            before = self._index().history
            history = list(before)
            yield history
            if tuple(history) == before:
                return
            part = self.root / f".{INDEX_FILE}.part"
            part.write_text(render(Index(history=tuple(history)).model_dump(mode="json")), encoding="utf-8")
            flush(part)
            part.replace(self.root / INDEX_FILE)
            flush(self.root)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.root / LOCK_FILE).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, also by a kill
            yield


def resolve_ensemble(spec: str | None, store: ModelStore | None = None) -> Path:
    """The folder of an ensemble.

    Args:
        spec: A folder, or the name of a version in the store; None or nothing for the active one.
        store: Where versions are looked up; the default one if not given.

    Raises:
        UsageError: If there is no such folder or version; the nearest version is named.
        GrandModelError: As `ModelStore.active_path`.
    """
    store = store or ModelStore()
    if not spec:
        return store.active_path()
    folder = Path(spec)
    described = folder / ENSEMBLE_FILE
    if described.exists() and not described.is_dir():  # what is no file is named where it is read
        return folder
    versions = store.versions()
    if spec in versions:
        return store.path(spec)
    if folder.is_dir():
        inner = folder / "models"
        raise UsageError(
            "the folder is no ensemble",
            where=str(folder),
            expected=f"a folder with {ENSEMBLE_FILE}",
            hint=f"the networks of this training are in {inner}" if (inner / ENSEMBLE_FILE).is_file() else None,
        )
    raise _unknown(spec, versions, store.root)


def _unknown(version: str, versions: Sequence[str], root: Path) -> UsageError:
    return UsageError(
        f"no version of the models is called {version!r}",
        where=str(root),
        expected=", ".join(versions),
        hint=did_you_mean(version, versions, cutoff=0.4) or "`grandmodel models add FOLDER` puts one into the store",
    )


def _entry(
    event: Event,
    version: str,
    sha256: str,
    moment: str,
    note: str,
    by: str,
    evidence: Mapping[str, Any] | None = None,
    number: int | None = None,
) -> HistoryEntry:
    return HistoryEntry(
        version=version,
        sha256=sha256,
        activated=moment,
        note=note,
        event=event,
        by=by,
        evidence=dict(evidence or {}),
        number=number,
    )


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError("cannot read the time", expected="ISO 8601, as 2026-01-31T14:30:00Z", found=text) from None
    if moment.tzinfo is None:
        raise UsageError("the time names no zone", expected="ISO 8601, as 2026-01-31T14:30:00Z", found=text)
    return moment.astimezone(UTC).isoformat()
