"""Rows in which nothing can happen but the mark: no order works, no command comes, no limit trips.

They are by far the most, and the record fields that `advance_row` reads and writes for each of them cost more than the
accounting. Here they are read once and written once for a whole stretch; every sum is the one of `mark` and
`check_limits`, in the same order, so that the bits are the same.
"""

from __future__ import annotations

import math

from engine.base.compiled import inlined
from engine.types.blocks import Floats
from engine.types.records import Bars, Sizing
from portfolio.kernels.book import NOISE, Book
from portfolio.kernels.market import holds_taken
from portfolio.kernels.row import write_ledger

VOLATILITY_TARGET = int(Sizing.VOLATILITY_TARGET)


@inlined
def quiet_rows(
    book: Book, bars: Bars, start: int, stop: int, targets: Floats | None, ledger: Floats, positions: Floats
) -> int:
    """Advance over quiet rows of a single symbol; any other row is left to `advance_row`.

    Args:
        start: First row within the block.
        stop: Row to end before.
        targets: Wanted positions in units, shape (rows, 1); NaN keeps the last one. None where nothing is wanted.
        ledger: Output, shape (rows, 8), columns LEDGER_COLUMNS.
        positions: Output, signed contracts, shape (rows, 1).

    Returns:
        The first row that is not quiet, or `stop`; all before it are done.
    """
    account, rules = book.account[0], book.rules[0]
    if holds_taken(bars):
        return start
    if book.positions.shape[0] != 1 or account.orders > 0 or account.halted or account.liquidating:
        return start
    if rules.sizing == VOLATILITY_TARGET:  # its variance is updated in every row
        return start
    position, instrument = book.positions[0], book.instruments[0]
    quantity, average, target, close = position.quantity, position.avg_price, position.target, position.mark
    multiplier, held = instrument.multiplier, position.quantity != 0.0
    initial, initial_rate = instrument.initial_per_contract, instrument.initial_rate
    maintained, maintained_rate = instrument.maintenance_per_contract, instrument.maintenance_rate
    cash, realized, fees, peak = account.cash, account.realized, account.fees, account.peak_equity
    deepest, lost = 1.0 - rules.max_drawdown, account.session_equity * (1.0 - rules.max_daily_loss)
    end = account.session_end
    equity, unrealized, gross, net, margin = account.equity, 0.0, 0.0, 0.0, 0.0
    seen, i = 0, start
    while i < stop:
        present = bars.present[i, 0]
        if bars.ts_event[i] > end:
            break
        if targets is not None and present:
            wanted = targets[i, 0]
            if wanted != target and not math.isnan(wanted):
                break
        price = bars.close[i, 0] if present else close
        now, value, required, maintenance = 0.0, 0.0, 0.0, 0.0
        if held:
            value = quantity * price * multiplier
            now = 0.0 + quantity * (price - average) * multiplier
            required = 0.0 + abs(quantity) * (initial + initial_rate * price * multiplier)
            maintenance = 0.0 + abs(quantity) * maintained
            maintenance += maintained_rate * abs(value)
        worth = cash + now
        highest = max(peak, worth)
        noise = NOISE * highest
        left = worth - noise
        if left <= 0.0 or left <= highest * deepest or left <= lost or worth + noise < maintenance:
            break
        close, equity, unrealized, peak = price, worth, now, highest
        gross, net, margin = 0.0 + abs(value), 0.0 + value, required
        seen += present
        write_ledger(ledger, i, cash, worth, realized, now, fees, required, gross, net)
        positions[i, 0] = quantity
        i += 1
    if i > start:
        position.mark = close
        position.seen += seen
        account.equity, account.unrealized, account.peak_equity = equity, unrealized, peak
        account.gross_exposure, account.net_exposure, account.margin = gross, net, margin
        account.ts_event = bars.ts_event[i - 1]
        account.seq += i - start
    return i
