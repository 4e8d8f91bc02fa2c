"""`grandmodel verify`: run a manifest again and compare the ledger's hash."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli import options

Name = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Run folder, runs/latest (the last that ended), or the name of a recording that ships."
    ),
]

OTHER_HASH = (
    "the run's hash was computed in another way than this release's: verify the run with the release that made it"
)


def verify(run: Name = "es-synthetic", trust_code: options.TrustCode = False) -> None:
    """Run a manifest again; exit code 1 if its ledger is not the same, bit for bit.

    A strategy file that the manifest names is executed: only if its hash is the recorded one, or with --trust-code.

    Example: grandmodel verify runs/demo
    """
    from engine.app.runs import resolved
    from engine.app.verify import agent_of
    from engine.app.verify import verify as verify_manifest
    from engine.base.errors import CheckFailed
    from engine.cli.console import note, out
    from engine.cli.progress import compiled

    run = str(resolved(Path(run)))
    compiled(agent_of(run))
    result = verify_manifest(run, trust_code=trust_code)
    for package, (then, now) in sorted(result.other_versions.items()):
        note(f"{package} was {then} then, is {now} now")
    if not result.passed:
        raise CheckFailed(
            "the ledger differs",
            where=str(result.manifest),
            expected=result.expected,
            found=result.found,
            hint=OTHER_HASH if result.other_hash else None,
        )
    out().print(f"same ledger over {result.rows:,} rows: {result.found}", soft_wrap=True)
