"""`grandmodel verify`: run a manifest again and compare the ledger's hash, or see whether training learns."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli import options

Name = Annotated[
    str,
    typer.Argument(
        metavar="RUN|learning",
        help="Run folder, runs/latest (the last that ended), or the name of a recording that ships; or `learning`.",
    ),
]
Full = Annotated[bool, typer.Option("--full", help="Of learning: every family of markets, beside tuned rules.")]
Seeds = Annotated[
    int | None, typer.Option("--seeds", min=1, help="Of learning: trainings of each family.  [default: 1]")
]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Of learning: processes at once; by default one per core.")
]

OTHER_HASH = (
    "the run's hash was computed in another way than this release's: verify the run with the release that made it"
)


def verify(
    run: Name = "es-synthetic",
    trust_code: options.TrustCode = False,
    full: Full = False,
    seeds: Seeds = None,
    workers: Workers = None,
    as_json: options.Json = False,
) -> None:
    """Run a manifest again; exit code 1 if its ledger is not the same, bit for bit.

    A strategy file that the manifest names is executed: only if its hash is the recorded one, or with --trust-code.

    `verify learning` trains on generated markets whose best result is computed: on two, in some three minutes.
    Exit code 1 if the ensemble earns less than 90 % of what prices allow, or trades where nothing can be earned.

    Example: grandmodel verify runs/demo
    """
    from engine.base.errors import UsageError

    if run == "learning":
        from engine.cli.verify_learning import verify_learning

        verify_learning(full=full, seeds=seeds or 1, workers=workers, as_json=as_json)
        return
    if full or seeds is not None or workers is not None or as_json:
        raise UsageError(
            "--full, --seeds, --workers and --json are for `grandmodel verify learning`", where=f"verify {run}"
        )
    _verify_run(run, trust_code=trust_code)


def _verify_run(run: str, *, trust_code: bool) -> None:
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
    out().print(f"same ledger over {result.rows:,} bars: {result.found}", soft_wrap=True)
