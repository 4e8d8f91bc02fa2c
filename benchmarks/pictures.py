"""Draws the pictures of the README from the demo run: its report, and the dashboard while it runs.

    python -m benchmarks.pictures [--out docs/images]

The run is deterministic and its screen is drawn for a fixed clock, so that the same version of the program and of
Chromium gives the same pictures.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from engine.app.backtest import run_backtest
from engine.app.config import BacktestConfig
from engine.app.preparing import Prepared, prepare
from engine.base.config import load
from engine.cli.progress import total_rows
from engine.dashboard.state import DashboardState, RunInfo
from engine.dashboard.view import DashboardView
from engine.report.html import write_report
from engine.types.step import StepBlock
from feeds.quarantine import Quarantine

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BLOCK = 60
STOP_ROW = 8_700
"""Where the picture of the dashboard is taken: late enough for a curve, with orders and a position in place."""
BARS_PER_SECOND = 600.0
SCREEN = (110, 35)
CELL = (12.2, 24.4)
"""Pixels of a character in rich's SVG, and of a line."""
FRAME = (20, 44)
"""Pixels of the window around the characters in rich's SVG."""
REPORT_SIZE = (1190, 1598)
SVG = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg"><style>
.{unique_id}-matrix {{ font-family: "DejaVu Sans Mono", monospace; font-size: {char_height}px;
  line-height: {line_height}px; font-variant-east-asian: full-width; }}
{styles}</style><defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>{lines}</defs>
<rect width="{width}" height="{height}" rx="8" fill="#14181f" />
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g></svg>"""
PAGE = "<!doctype html><style>body{{margin:0}}svg{{display:block;width:100%}}</style>{svg}"


def main() -> int:
    """Draw both pictures; 2 if there is no browser to draw with."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    folder: Path = parser.parse_args().out
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"error: no browser found, one of {', '.join(BROWSERS)} is needed", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        screen = run_demo(work)
        shoot(browser, write_report(work), folder / "report.png", REPORT_SIZE, work)
        page = work / "dashboard.html"
        page.write_text(PAGE.format(svg=screen), encoding="utf-8")
        size = tuple(round(count * pixels + frame) for count, pixels, frame in zip(SCREEN, CELL, FRAME, strict=True))
        shoot(browser, page, folder / "dashboard.png", (size[0], size[1]), work)
    for path in sorted(folder.glob("*.png")):
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB")
    return 0


def run_demo(folder: Path) -> str:
    """Backtest the demo into a folder; the dashboard at STOP_ROW as SVG."""
    config = load(BacktestConfig, [Path("configs/demo.yaml")], [f"block={BLOCK}"])
    prepared = prepare(config, Quarantine(folder / "quarantine.jsonl", config.replay.strict))
    state = DashboardState(_info(prepared))
    now = 0.0

    def watch(step: StepBlock) -> None:
        nonlocal now
        now += len(step.bars) / BARS_PER_SECOND
        if step.bars.seq < STOP_ROW:
            state.update(step, now)

    run_backtest(config, folder, prepared=prepared, watch=watch)
    console = Console(
        width=SCREEN[0], height=SCREEN[1], record=True, force_terminal=True, color_system="truecolor",
        file=(folder / "screen.txt").open("w", encoding="utf-8"),
    )  # fmt: skip
    console.print(DashboardView(state, STOP_ROW / BARS_PER_SECOND), end="")
    return console.export_svg(title="", code_format=SVG, unique_id="dashboard")


def _info(prepared: Prepared) -> RunInfo:
    markets = prepared.instruments.values()
    return RunInfo(
        mode="backtest",
        agent=prepared.config.agent,
        symbols=prepared.source.symbols,
        source=", ".join(prepared.config.data),
        currency=prepared.config.currency,
        total_rows=total_rows(prepared),
        multipliers=tuple(item.multiplier * item.fx_rate for item in markets),
        tick_sizes=tuple(item.tick_size for item in markets),
    )


def shoot(browser: str, page: Path, picture: Path, size: tuple[int, int], work: Path) -> None:
    """Take a picture of a page, as wide and as high as given, in light colours."""
    subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={work / 'profile'}", f"--window-size={size[0]},{size[1]}",
            "--virtual-time-budget=8000", f"--screenshot={picture.resolve()}", page.resolve().as_uri(),
        ],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
