"""Does a manifest still give its ledger? Runs it again and compares the hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.app.backtest import run_backtest
from engine.app.code import allow_code
from engine.app.config import BacktestConfig
from engine.app.manifest import HASH_FORM, versions
from engine.app.preparing import Prepared, prepare, resolve_data
from engine.base.config import parse
from engine.base.errors import CheckFailed, DataError, UsageError
from engine.base.files import read_json, sha256_file
from engine.base.nearest import nearest_folder
from engine.base.paths import shipped
from engine.loop.ledger_hash import FORM
from engine.types.instruments import Instrument
from feeds.quarantine import Quarantine

OTHER_BLOCK = 509


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found; `expected` equals `found` if it passed.

    Attributes:
        manifest: File of the run.
        expected: Hash of the ledger in the manifest.
        found: Hash of the ledger now.
        rows: Bars of the run.
        other_versions: Packages whose version has changed: then and now.
        other_hash: Whether the manifest's hash was computed in another form than this release's, so that the two
            differ over the same ledger.
    """

    manifest: Path
    expected: str
    found: str
    rows: int
    other_versions: dict[str, tuple[str, str]]
    other_hash: bool

    @property
    def passed(self) -> bool:
        """Whether the ledger is the same, bit for bit."""
        return self.expected == self.found


def find_manifest(name: str) -> Path:
    """The manifest of a run folder or of a recording that ships.

    Raises:
        UsageError: If there is none.
    """
    candidates = (Path(name), Path(name) / "manifest.json", shipped("replays") / name / "manifest.json")
    found = next((path for path in candidates if path.exists() and not path.is_dir()), None)
    if found is None:
        known = ", ".join(sorted(path.parent.name for path in shipped("replays").glob("*/manifest.json")))
        raise UsageError(
            "no manifest to verify",
            where=name,
            expected=f"a run folder, or a recording that ships: {known}",
            hint=nearest_folder(Path(name), "manifest.json") or "`grandmodel runs` lists the runs that there are",
        )
    return found


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest.

    Raises:
        DataError: If it is not one.
    """
    try:
        tree = read_json(path)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise DataError(f"cannot read the manifest: {reason}", where=str(path)) from error
    wanted = {"config", "data", "ledger_sha256"}
    if not isinstance(tree, dict) or not wanted <= tree.keys():
        raise DataError("this is not the manifest of a run", where=str(path), expected=f"keys {sorted(wanted)}")
    return tree


def agent_of(name: str) -> str:
    """The agent's specification in a manifest."""
    return str(read_manifest(find_manifest(name))["config"].get("agent", ""))


def verify(name: str, *, trust_code: bool = False) -> Verification:
    """Run a manifest again.

    Args:
        name: Run folder, manifest file, or name of a recording that ships.
        trust_code: Execute the strategy file that the manifest names though its hash is not recorded, or another.

    Raises:
        CheckFailed: If the data or the code are not those that the manifest names.
        UsageError: If the manifest names a strategy file without its hash.
        GrandModelError: If they cannot be read.
    """
    path = find_manifest(name)
    manifest = read_manifest(path)
    live = manifest.get("kind") == "paper"
    if manifest.get("operations") or (live and (manifest.get("activations") or manifest.get("learning"))):
        raise UsageError(
            "an operator gave commands to this session, or its models changed or learned, which a backtest cannot know",
            where=str(path),
            hint="`grandmodel journal replay DIR` runs the session again, orders and models included; "
            "`grandmodel diverge DIR` says what they changed",
        )
    config, known = recorded_config(path, manifest)
    allow_code(config, manifest.get("code"), str(path), trust=trust_code)
    prepared = prepare(config, Quarantine(None, config.replay.strict), known)
    run = run_backtest(config, prepared=prepared, stands_in=live)
    then, now = manifest.get("versions", {}), versions()
    changed = {key: (then[key], now[key]) for key in then.keys() & now.keys() if then[key] != now[key]}
    return Verification(
        path,
        manifest["ledger_sha256"],
        run.manifest["ledger_sha256"],
        run.timings.bars,
        changed,
        manifest.get(HASH_FORM) != FORM,
    )


def recorded_bars(folder: Path) -> Prepared:
    """The bars of a finished run, in blocks as they were read then.

    Raises:
        CheckFailed: If the data are not those that the manifest names.
        GrandModelError: If they cannot be read.
    """
    path = folder / "manifest.json"
    config, known = recorded_config(path, read_manifest(path))
    return prepare(config, Quarantine(None, config.replay.strict), known)


def recorded_config(path: Path, manifest: Mapping[str, Any]) -> tuple[BacktestConfig, dict[str, Instrument]]:
    """The configuration of a manifest with the files where they are now, and its instruments by symbol.

    Raises:
        CheckFailed: If the data are not those that the manifest names.
        GrandModelError: If they are gone, or the manifest does not hold what it should.
    """
    if not manifest["data"]:
        raise UsageError("this run had its bars in memory: nothing on the disk to run again", where=str(path))
    files = [_data_file(path, entry) for entry in manifest["data"]]
    # other blocks than the run had: an agent that looks ahead gives itself away
    block = OTHER_BLOCK if manifest["config"].get("block") != OTHER_BLOCK else OTHER_BLOCK + 2
    tree = {
        **manifest["config"],
        "data": [str(file) for file in files],
        "block": block,
        "speed": "max",
        "benchmark": None,
    }
    tree.pop("monitor", None)  # which only watches
    tree["indicators"] = _with_files(path, manifest)
    # fills depend on the order of symbols where money or limits are short
    tree["replay"] = {**manifest["config"].get("replay", {}), "symbols": manifest.get("symbols", [])}
    config = parse(BacktestConfig, tree, where=f"{path}, config")
    known = {
        symbol: parse(Instrument, item, where=f"{path}, instruments.{symbol}")
        for symbol, item in manifest.get("instruments", {}).items()
    }
    return config, known


def _with_files(path: Path, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The economic indicators of a manifest with their files where they are now."""
    entries = {entry["name"]: entry for entry in manifest.get("indicators") or ()}
    given = manifest["config"].get("indicators") or ()
    return [
        {**one, "path": str(_data_file(path, entries[one["name"]]))} if one["name"] in entries else one for one in given
    ]


def _data_file(manifest: Path, entry: dict[str, Any]) -> Path:
    """The data file of a manifest, beside it or where it says, if its bytes are the same."""
    beside = manifest.parent / Path(entry["path"]).name
    file = beside if beside.is_file() else resolve_data(entry["path"])
    if not file.is_file() and "absolute" in entry:
        file = Path(entry["absolute"])
    if not file.is_file():
        raise DataError("the data of this manifest are gone", where=str(file), expected=f"sha256 {entry['sha256']}")
    found = sha256_file(file)
    if found != entry["sha256"]:
        raise CheckFailed(
            "the data are not those of the manifest", where=str(file), expected=entry["sha256"], found=found
        )
    return file / entry["member"] if "member" in entry else file
