"""The folder of a live session: one process at a time may write it."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from engine.base.errors import UsageError
from engine.base.rotating import older_names
from engine.journal.files import ARCHIVE, FILE
from engine.journal.reserve import RESERVE, RUNNING

LOCK = "session.lock"
LOG = "session.log"
TRIES, TRY_S = 5, 0.05
SOCKET = "control.sock"
DEAD_LETTERS = "dead_letters.jsonl"
QUARANTINE = "quarantine.jsonl"
OWN_FILES = frozenset(
    {
        FILE,
        f"{FILE}-wal",
        f"{FILE}-shm",
        ARCHIVE,
        f"{ARCHIVE}-wal",
        f"{ARCHIVE}-shm",
        LOCK,
        LOG,
        *older_names(LOG),
        SOCKET,
        DEAD_LETTERS,
        *older_names(DEAD_LETTERS),
        QUARANTINE,
        RESERVE,
        RUNNING,
        "models",
        "learning",
    }
)


def make_private(folder: Path) -> None:
    """Make a session folder that only its owner can enter; one that is there stays as it is."""
    if not folder.is_dir():
        folder.mkdir(0o700, parents=True, exist_ok=True)


class SessionLock:
    """Holds a session folder for this process; the system lets go of it however the process ends.

    Only the owner can read its files: while it is held, this process creates no other kind.

    Args:
        folder: Made if need be.

    Raises:
        UsageError: If another process holds it, or it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self._made = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            holder = self._take()
        except OSError as error:
            raise UsageError(f"cannot use the session folder: {error.strerror}", where=str(folder)) from error
        if holder is not None:
            raise UsageError(
                "a session is running in this folder",
                where=str(folder),
                found=f"process {holder}",
                hint="stop it first (`grandmodel ctl DIR stop`), or choose another folder (--out)",
            )
        self._umask = os.umask(0o077)
        for name in OWN_FILES - {SOCKET, "models"}:  # of a version that let others read them
            with suppress(OSError):
                (folder / name).chmod(0o600)
        with suppress(OSError):  # on a full disk nobody learns who holds it
            os.ftruncate(self._fd, 0)
            os.write(self._fd, f"{os.getpid()}\n".encode())

    def _take(self) -> str | None:
        """Take the lock; where another process holds it, returns which."""
        holder = ""
        for _ in range(TRIES):
            make_private(self._path.parent)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(self._fd), self._path.stat()):
                    return None
            except FileNotFoundError:
                pass  # the process that held the file has just removed it
            except OSError:
                time.sleep(TRY_S)  # another process may only be checking whether a session runs
            holder = os.read(self._fd, 32).decode(errors="replace").strip()
            os.close(self._fd)
        return holder or "unknown"

    def release(self) -> None:
        """Let others in; a folder that was made for a session that never began is removed."""
        os.umask(self._umask)
        with suppress(OSError):  # something else lies in a parent, or somebody removed it all
            if list(self._path.parent.iterdir()) == [self._path]:
                self._path.unlink()
                for path in self._made:
                    path.rmdir()
        os.close(self._fd)

    def __enter__(self) -> SessionLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_running(folder: Path) -> bool:
    """Whether a process holds the session folder."""
    try:
        fd = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
