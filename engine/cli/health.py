"""`grandmodel health`: is a session alive and ready? For the health checks of containers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="The session's heartbeat_file.", show_default=False),
]
MaxAge = Annotated[
    float, typer.Option("--max-age", metavar="S", help="Seconds after which the session counts as dead.", min=0.1)
]


def health(file: File, max_age: MaxAge = 30.0) -> None:
    """Check the heartbeat file of a session; exit code 1 with the reason if it is not alive and ready.

    Example: grandmodel health /run/grandmodel/heartbeat.json --max-age 30
    """
    from engine.base.errors import CheckFailed
    from engine.base.files import read_json
    from engine.monitor.heartbeat import check_heartbeat

    check_heartbeat(file, max_age)
    # written whole or not at all, so what was good a moment ago is so now
    life = read_json(file)
    if not life.get("ready"):
        raise CheckFailed(
            "the session is not ready",
            where=str(file),
            expected="one that has been connected to its feed, and is not ending",
            found=str(life["status"]),
        )
    typer.echo(f"ok: {life['status']}")
