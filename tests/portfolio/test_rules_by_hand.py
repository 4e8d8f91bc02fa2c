"""Each rule of docs/simulator.md in a case worked out by hand, put to the oracle and to the kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from engine.types.instruments import Fees, Instrument, Margin
from engine.types.records import CommandKind, OrderEventKind, OrderType, Reason, Role, TimeInForce
from portfolio.config import Execution, Limits, PortfolioConfig, SizingConfig, Slippage
from tests.portfolio.driving import Outcome, run_kernel, run_oracle
from tests.portfolio.oracle_records import Command
from tests.portfolio.strategies_bars import MINUTE, START, Candle, Scenario

SUBMITTED, TRIGGERED, FILLED, CANCELLED, EXPIRED, REJECTED = OrderEventKind
NO_MARGIN = Margin(rate=0.0)
FREE = Instrument(name="S", tick_size=0.25, multiplier=2.0, size_step=1.0, min_size=1.0, initial_margin=NO_MARGIN)
FLAT: Candle = (100.0, 101.0, 99.0, 100.0, 1000.0)
Commands = dict[int, list[Command]]
Run = Callable[[Scenario], Outcome]
Filled = list[tuple[int, int, float]]
Row = Candle | list[Candle | None] | None


@pytest.fixture(params=[run_oracle, run_kernel], ids=["oracle", "kernel"])
def run(request: pytest.FixtureRequest) -> Run:
    chosen: Run = request.param
    return chosen


def scenario(
    bars: Sequence[Row],
    commands: Commands,
    config: PortfolioConfig | None = None,
    instruments: Sequence[Instrument] = (FREE,),
    session_ends: Sequence[int] = (),
) -> Scenario:
    rows = [list(row) if isinstance(row, list) else [row] for row in bars]
    orders = [commands.get(row, []) for row in range(len(rows))]
    return Scenario(config or PortfolioConfig(), list(instruments), rows, orders, list(session_ends))


def fills(outcome: Outcome) -> list[tuple[float, float, float]]:
    """Row, signed size, price."""
    return [(fill["seq"], fill["side"] * fill["quantity"], fill["price"]) for fill in outcome.fills]


def ends(outcome: Outcome) -> list[tuple[float, OrderEventKind, Reason]]:
    """Order, kind and reason of every event but submissions and plain fills."""
    return [
        (event["order_id"], OrderEventKind(int(event["kind"])), Reason(int(event["reason"])))
        for event in outcome.events
        if event["kind"] not in (SUBMITTED, FILLED)
    ]


def market(quantity: float, **more: Any) -> Command:
    return Command(quantity=quantity, **more)


def limit(quantity: float, price: float, **more: Any) -> Command:
    return market(quantity, type=OrderType.LIMIT, limit=price, **more)


def stop(quantity: float, price: float, **more: Any) -> Command:
    return market(quantity, type=OrderType.STOP, stop=price, **more)


def target(units: float, **more: Any) -> Command:
    return market(units, kind=CommandKind.TARGET, **more)


# A row


def test_a_day_order_outlives_the_last_row_of_its_session_but_not_the_next_row(run: Run) -> None:
    bars: list[Row] = [FLAT, FLAT, FLAT]
    day = {0: [limit(1, 90.0, tif=TimeInForce.DAY)], 1: [limit(1, 90.0, tif=TimeInForce.DAY)]}
    outcome = run(scenario(bars, day, session_ends=[START + MINUTE, START + 9 * MINUTE]))
    assert ends(outcome) == [(1, EXPIRED, Reason.SESSION_END), (2, EXPIRED, Reason.SESSION_END)]
    assert [event["ts_event"] for event in outcome.events][-1] == START + 2 * MINUTE


def test_the_daily_loss_counts_from_the_last_row_of_the_session_before(run: Run) -> None:
    # 10 contracts bought at 100, m = 2: equity 1000, then 900 at 95, 860 at 93 and 800 at 90.
    bars: list[Row] = [(price, price, price, price, 0.0) for price in (100.0, 100.0, 95.0, 93.0, 90.0, 90.0)]
    config = PortfolioConfig(initial_capital=1000.0, limits=Limits(max_daily_loss=0.125))
    one_session = run(scenario(bars, {0: [market(10)]}, config, session_ends=[START + 9 * MINUTE]))
    assert [row["equity"] for row in one_session.ledger] == [1000, 1000, 900, 860, 800, 800]
    assert fills(one_session) == [(1, 10, 100.0), (4, -10, 90.0)]  # 860 <= 1000 * 0.875 halts in row 3
    ends_at_95 = [START + 2 * MINUTE, START + 9 * MINUTE]
    two_sessions = run(scenario(bars, {0: [market(10)]}, config, session_ends=ends_at_95))
    assert fills(two_sessions) == [(1, 10, 100.0)]  # 800 > 900 * 0.875 = 787.5


def test_a_gtd_order_works_to_its_time_and_not_beyond(run: Run) -> None:
    bars: list[Row] = [FLAT, FLAT, FLAT]
    outcome = run(scenario(bars, {0: [limit(1, 90.0, tif=TimeInForce.GTD, expire_ts=START + MINUTE)]}))
    assert ends(outcome) == [(1, EXPIRED, Reason.TIME_IN_FORCE)]
    assert outcome.events[-1]["ts_event"] == START + 2 * MINUTE


def test_an_order_fills_at_the_next_open_of_its_symbol(run: Run) -> None:
    later = (103.0, 104.0, 102.0, 103.5, 0.0)
    outcome = run(scenario([FLAT, None, later], {0: [market(3)]}))
    assert fills(outcome) == [(2, 3, 103.0)]


def test_marks_and_exposures(run: Run) -> None:
    two = FREE.model_copy(update={"name": "T", "multiplier": 1.0, "initial_margin": Margin(per_contract=5, rate=0.5)})
    bars: list[Row] = [[FLAT, FLAT], [FLAT, (50.0, 51.0, 49.0, 48.0, 0.0)], [None, (48.0, 52.0, 48.0, 52.0, 0.0)]]
    outcome = run(scenario(bars, {0: [market(2), market(-4, symbol=1)]}, instruments=[FREE, two]))
    # Long 2 at 100 (m = 2), marked 100; short 4 at 50, marked 48, then 52: an absent symbol keeps its mark.
    assert [row["unrealized"] for row in outcome.ledger] == [0, 8, -8]
    assert [row["equity"] for row in outcome.ledger] == [100_000, 100_008, 99_992]
    assert [row["margin"] for row in outcome.ledger] == [0, 4 * (5 + 24), 4 * (5 + 26)]
    assert [row["gross_exposure"] for row in outcome.ledger] == [0, 400 + 192, 400 + 208]
    assert [row["net_exposure"] for row in outcome.ledger] == [0, 400 - 192, 400 - 208]
    assert outcome.positions == [[0, 0], [2, -4], [2, -4]]


def test_a_trailing_stop_follows_the_high_of_every_bar_seen_and_never_back(run: Run) -> None:
    bars: list[Row] = [
        FLAT,
        (100.0, 104.0, 99.5, 101.0, 0.0),
        (101.5, 102.0, 101.0, 101.0, 0.0),
        (101.5, 101.5, 100.0, 100.0, 0.0),
    ]
    trailing = market(-1, type=OrderType.TRAILING_STOP, trail=3.0)  # 97, 101 after row 1, hit at 101 in row 2
    assert fills(run(scenario(bars, {0: [trailing]}))) == [(2, -1, 101.0)]


def test_bankruptcy_halts_and_rejects_everything_after(run: Run) -> None:
    crash = (40.0, 40.0, 40.0, 40.0, 0.0)
    config = PortfolioConfig(initial_capital=1000.0)
    orders = {
        0: [market(10)],
        1: [limit(1, 10.0)],
        2: [market(1), target(1), Command(kind=CommandKind.CANCEL_ALL)],
    }
    outcome = run(scenario([FLAT, FLAT, crash, crash], orders, config))
    assert ends(outcome) == [
        (2, CANCELLED, Reason.BANKRUPT),
        (0, REJECTED, Reason.HALTED),
        (0, REJECTED, Reason.HALTED),
    ]
    assert fills(outcome) == [(1, 10, 100.0), (3, -10, 40.0)]
    assert outcome.fills[-1]["role"] == Role.KILL_SWITCH
    assert outcome.ledger[-1]["equity"] == 1000 - 10 * 60 * 2


def test_the_drawdown_counts_from_the_peak(run: Run) -> None:
    up, down = (120.0, 120.0, 120.0, 120.0, 0.0), (105.0, 105.0, 105.0, 105.0, 0.0)
    config = PortfolioConfig(initial_capital=1000.0, limits=Limits(max_drawdown=0.2))
    outcome = run(scenario([FLAT, FLAT, up, down, down], {0: [market(10)]}, config))
    assert [row["equity"] for row in outcome.ledger] == [
        1000,
        1000,
        1400,
        1100,
        1100,
    ]  # 1100 <= 1400 * 0.8 = 1120
    assert fills(outcome) == [(1, 10, 100.0), (4, -10, 105.0)]


def test_a_margin_call_liquidates_and_then_lets_the_agent_trade_again(run: Run) -> None:
    margin = Margin(rate=0.25)
    margined = FREE.model_copy(update={"initial_margin": margin, "maintenance_margin": margin})
    fall = (80.0, 80.0, 80.0, 80.0, 0.0)
    config = PortfolioConfig(initial_capital=700.0)
    orders = {0: [market(10)], 2: [market(1), Command(kind=CommandKind.CANCEL, order_id=9)], 3: [market(1)]}
    outcome = run(scenario([FLAT, FLAT, fall, fall, fall], orders, config, [margined]))
    # 700 - 10 * 20 * 2 = 300 < 0.25 * 10 * 80 * 2 = 400
    assert fills(outcome) == [(1, 10, 100.0), (3, -10, 80.0), (4, 1, 80.0)]
    assert [fill["role"] for fill in outcome.fills] == [Role.ENTRY, Role.LIQUIDATION, Role.ENTRY]
    assert ends(outcome) == [(0, REJECTED, Reason.MARGIN_CALL)]


# Commands


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (market(0.75), Reason.BELOW_MIN_SIZE),
        (market(float("nan")), Reason.BELOW_MIN_SIZE),
        (limit(1, 0.0), Reason.BAD_PRICE),
        (limit(1, float("inf")), Reason.BAD_PRICE),
        (stop(1, -1.0), Reason.BAD_PRICE),
        (market(1, type=OrderType.TRAILING_STOP), Reason.BAD_PRICE),
        (market(1, type=OrderType.STOP_LIMIT, limit=100.0), Reason.BAD_PRICE),
        (market(1, stop_distance=-0.5), Reason.BAD_PRICE),
        (market(1, take_profit=float("nan")), Reason.BAD_PRICE),
        (target(float("inf")), Reason.BAD_PRICE),
    ],
)
def test_what_is_wrong_with_an_order_is_named(run: Run, command: Command, reason: Reason) -> None:
    outcome = run(scenario([FLAT, FLAT], {0: [command]}))
    assert [event for _, *event in ends(outcome)] == [[REJECTED, reason]]
    assert outcome.fills == []


def test_a_symbol_never_seen_has_no_market(run: Run) -> None:
    outcome = run(scenario([None, FLAT, FLAT], {0: [market(1), target(1)], 1: [market(2)]}))
    assert [reason for _, _, reason in ends(outcome)] == [Reason.NO_MARKET, Reason.NO_MARKET]
    assert fills(outcome) == [(2, 2, 100.0)]


def test_too_many_orders(run: Run) -> None:
    config = PortfolioConfig(execution=Execution(max_open_orders=2))
    outcome = run(scenario([FLAT], {0: [limit(1, 90.0), limit(1, 90.0), market(1)]}, config))
    assert ends(outcome) == [(3, REJECTED, Reason.TOO_MANY_ORDERS)]


def test_cancelling(run: Run) -> None:
    cancel = Command(kind=CommandKind.CANCEL, order_id=2)
    everything = Command(kind=CommandKind.CANCEL_ALL)
    orders = {0: [limit(1, 90.0), limit(1, 90.0), limit(1, 90.0)], 1: [cancel, everything], 2: [cancel]}
    outcome = run(scenario([FLAT, FLAT, FLAT], orders))
    assert ends(outcome) == [
        (2, CANCELLED, Reason.BY_AGENT),
        (1, CANCELLED, Reason.BY_AGENT),
        (3, CANCELLED, Reason.BY_AGENT),
        (2, REJECTED, Reason.NO_SUCH_ORDER),
    ]


def test_close_cancels_the_bracket_and_sells_the_position(run: Run) -> None:
    orders = {0: [market(4, stop_loss=90.0)], 1: [Command(kind=CommandKind.CLOSE)]}
    outcome = run(scenario([FLAT, FLAT, FLAT], orders))
    assert fills(outcome) == [(1, 4, 100.0), (2, -4, 100.0)]
    assert ends(outcome) == [(2, CANCELLED, Reason.BY_AGENT)]


@pytest.mark.parametrize(
    ("sizing", "contracts"),
    [
        (SizingConfig(mode="fixed", value=3.0), 7),  # 2.5 * 3
        (SizingConfig(mode="equity_fraction", value=0.5), 12),  # 2.5 * 0.5 * 1000 / (50 * 2)
        # One return ln(50 / 100) = -0.693147; over 252 bars 0.693147 * 15.8745 = 11.0034 a year:
        # 2.5 * 8 * 1000 / (100 * 11.0034) = 18.18
        (SizingConfig(mode="volatility_target", value=8.0), 18),
    ],
)
def test_what_a_unit_of_a_target_is_worth(run: Run, sizing: SizingConfig, contracts: int) -> None:
    half = (50.0, 51.0, 49.0, 50.0, 0.0)
    config = PortfolioConfig(initial_capital=1000.0, sizing=sizing)
    outcome = run(scenario([FLAT, half, half], {1: [target(2.5)]}, config))
    assert fills(outcome) == [(2, contracts, 50.0)]


def test_the_variance_starts_with_the_first_return_even_if_that_is_none(run: Run) -> None:
    # Returns 0 and ln 0.5; span 3 decays by 0.5: variance 0.240227, times 252 its root is 7.7806.
    half = (50.0, 51.0, 49.0, 50.0, 0.0)
    sizing = SizingConfig(mode="volatility_target", value=8.0, volatility_span=3)
    config = PortfolioConfig(initial_capital=1000.0, sizing=sizing)
    outcome = run(scenario([FLAT, FLAT, half, half], {0: [target(1)], 1: [target(1)], 2: [target(1)]}, config))
    assert fills(outcome) == [(3, 10, 50.0)]  # 8000 / (100 * 7.7806) = 10.28


def test_a_target_replaces_entries_and_keeps_to_the_limits(run: Run) -> None:
    config = PortfolioConfig(initial_capital=1000.0, limits=Limits(max_position=6.5, max_leverage=1.0))
    outcome = run(scenario([FLAT, FLAT, FLAT], {0: [limit(9, 90.0), target(50)], 1: [target(-50)]}, config))
    assert fills(outcome) == [(1, 5, 100.0), (2, -10, 100.0)]  # 1.0 * 1000 / 200 = 5 contracts
    assert ends(outcome) == [(1, CANCELLED, Reason.REPLACED)]


def test_a_small_target_is_rejected_only_where_it_does_not_reduce(run: Run) -> None:
    coarse = FREE.model_copy(update={"min_size": 3.0})
    orders = {0: [target(4)], 1: [target(5), target(3)], 2: [target(2), target(-0.0)]}
    outcome = run(scenario([FLAT, FLAT, FLAT, FLAT], orders, instruments=[coarse]))
    assert fills(outcome) == [(1, 4, 100.0), (2, -1, 100.0), (3, -3, 100.0)]
    assert ends(outcome) == [(2, REJECTED, Reason.BELOW_MIN_SIZE), (4, CANCELLED, Reason.REPLACED)]


# Fills


WIDE: Candle = (100.0, 110.0, 90.0, 100.0, 1000.0)


@pytest.mark.parametrize(
    ("order", "bar", "price"),
    [
        (limit(1, 98.0), WIDE, 98.0),
        (limit(1, 103.0), WIDE, 100.0),
        (limit(1, 90.0), WIDE, 90.0),
        (limit(1, 89.75), WIDE, None),
        (limit(-1, 110.0), WIDE, 110.0),
        (stop(1, 105.0), WIDE, 105.0),
        (stop(1, 95.0), WIDE, 100.0),
        (stop(-1, 90.0), WIDE, 90.0),
        (stop(-1, 101.0), WIDE, 100.0),
        (stop(-1, 89.75), WIDE, None),
        (market(1, type=OrderType.STOP_LIMIT, stop=105.0, limit=106.0), WIDE, 105.0),
        (market(1, type=OrderType.STOP_LIMIT, stop=105.0, limit=104.0), WIDE, None),
        (market(1, type=OrderType.STOP_LIMIT, stop=99.0, limit=95.0), WIDE, 95.0),
        (market(1, type=OrderType.STOP_LIMIT, stop=99.0, limit=101.0), WIDE, 100.0),
    ],
)
def test_where_an_order_fills_in_a_bar(run: Run, order: Command, bar: Candle, price: float | None) -> None:
    outcome = run(scenario([FLAT, bar], {0: [order]}))
    assert [fill["price"] for fill in outcome.fills] == ([] if price is None else [price])


def test_through_means_beyond_the_limit(run: Run) -> None:
    config = PortfolioConfig(execution=Execution(limit_fill="through"))
    orders = {0: [limit(1, 90.0), limit(2, 90.25), limit(-4, 100.0)]}
    assert fills(run(scenario([FLAT, WIDE], orders, config))) == [(1, 2, 90.25), (1, -4, 100.0)]


def test_a_stop_limit_triggered_inside_a_bar_rests_until_the_next(run: Run) -> None:
    order = market(1, type=OrderType.STOP_LIMIT, stop=105.0, limit=104.0)
    outcome = run(scenario([FLAT, WIDE, FLAT], {0: [order]}))
    assert fills(outcome) == [(2, 1, 100.0)]
    assert ends(outcome) == [(1, TRIGGERED, Reason.NONE)]


def test_the_stop_comes_before_the_target_in_one_bar(run: Run) -> None:
    outcome = run(scenario([FLAT, FLAT, WIDE], {0: [market(2, stop_loss=95.0, take_profit=105.0)]}))
    assert fills(outcome) == [(1, 2, 100.0), (2, -2, 95.0)]
    assert ends(outcome) == [(3, CANCELLED, Reason.OCO)]


def test_a_target_is_hit_in_the_bar_of_its_entry_only_if_that_was_at_the_open(run: Run) -> None:
    at_open = run(scenario([FLAT, WIDE], {0: [market(2, take_profit=105.0)]}))
    assert fills(at_open) == [(1, 2, 100.0), (1, -2, 105.0)]
    inside = run(scenario([FLAT, WIDE, WIDE], {0: [limit(2, 95.0, take_profit=105.0)]}))
    assert fills(inside) == [(1, 2, 95.0), (2, -2, 105.0)]


def test_a_protective_stop_is_hit_in_the_bar_of_its_entry(run: Run) -> None:
    for entry, price in ((limit(2, 95.0, stop_loss=92.0), 95.0), (stop(2, 105.0, stop_loss=92.0), 105.0)):
        assert fills(run(scenario([FLAT, WIDE], {0: [entry]}))) == [(1, 2, price), (1, -2, 92.0)]


def test_a_stop_leg_already_beyond_the_fill_of_its_parent_fills_there(run: Run) -> None:
    outcome = run(scenario([FLAT, WIDE], {0: [limit(2, 95.0, stop_loss=97.0)]}))
    assert fills(outcome) == [(1, 2, 95.0), (1, -2, 95.0)]


def test_a_trailing_leg_attached_inside_a_bar_trails_its_close(run: Run) -> None:
    bars: list[Row] = [FLAT, (100.0, 110.0, 94.0, 98.0, 0.0), (98.0, 98.0, 90.0, 90.0, 0.0)]
    outcome = run(scenario(bars, {0: [limit(1, 95.0, trail_distance=0.0625)]}))
    # Trail 95 / 16 = 5.9375: starts at 89.0625, on the tick 89; after the bar 98 - 5.9375 = 92.0625.
    assert outcome.events[2]["price"] == 89.0
    assert fills(outcome) == [(1, 1, 95.0), (2, -1, 92.0625)]


def test_a_stop_that_was_reached_goes_on_as_a_market_order(run: Run) -> None:
    config = PortfolioConfig(execution=Execution(participation=0.5))
    thin = (100.0, 106.0, 99.0, 100.0, 5.0)
    outcome = run(scenario([FLAT, thin, FLAT], {0: [stop(5, 105.0)]}, config))
    assert fills(outcome) == [(1, 2, 105.0), (2, 3, 100.0)]


@pytest.mark.parametrize(("tif", "filled"), [(TimeInForce.IOC, [(1, 2, 100.0)]), (TimeInForce.FOK, [])])
def test_ioc_takes_what_there_is_and_fok_all_or_nothing(run: Run, tif: TimeInForce, filled: Filled) -> None:
    config = PortfolioConfig(execution=Execution(participation=0.5))
    thin = (100.0, 106.0, 99.0, 100.0, 5.0)
    outcome = run(scenario([FLAT, thin, FLAT], {0: [market(5, tif=tif)]}, config))
    assert fills(outcome) == filled
    assert ends(outcome) == [(1, CANCELLED, Reason.TIME_IN_FORCE)]


def test_slippage_adds_up_and_is_rounded_against_the_trader(run: Run) -> None:
    slippage = Slippage(ticks=1.0, bps=10.0, range=0.125)
    config = PortfolioConfig(execution=Execution(slippage=slippage))
    outcome = run(scenario([FLAT, WIDE], {0: [market(1), market(-2), limit(5, 95.0), stop(1, 105.0)]}, config))
    # 0.25 + 0.1 + 2.5 = 2.85 off 100: 102.85 up to 103, 97.15 down to 97; 0.25 + 0.105 + 2.5 off 105.
    assert fills(outcome) == [(1, 1, 103.0), (1, -2, 97.0), (1, 1, 108.0), (1, 5, 95.0)]


def test_the_participation_cap_is_shared_by_the_orders_of_a_bar(run: Run) -> None:
    config = PortfolioConfig(execution=Execution(participation=0.5))
    bars: list[Row] = [FLAT, (100.0, 100.0, 100.0, 100.0, 9.0), (100.0, 100.0, 100.0, 100.0, float("nan")), FLAT]
    outcome = run(scenario(bars, {0: [market(3), market(3)]}, config))
    assert fills(outcome) == [(1, 3, 100.0), (1, 1, 100.0), (3, 2, 100.0)]


def test_reduce_only_never_opens(run: Run) -> None:
    orders = {0: [market(2)], 1: [market(-5, reduce_only=1), limit(-1, 90.0, reduce_only=1)]}
    outcome = run(scenario([FLAT, FLAT, FLAT, FLAT], orders))
    assert fills(outcome) == [(1, 2, 100.0), (2, -2, 100.0)]
    assert ends(outcome) == [(3, CANCELLED, Reason.REDUCE_ONLY), (2, CANCELLED, Reason.REDUCE_ONLY)]


@pytest.mark.parametrize(
    ("limits", "reason", "opened"),
    [(Limits(max_position=3.5), Reason.MAX_POSITION, 3), (Limits(max_leverage=0.5), Reason.MAX_LEVERAGE, 2)],
)
def test_limits_shorten_what_opens_and_nothing_that_closes(
    run: Run, limits: Limits, reason: Reason, opened: int
) -> None:
    config = PortfolioConfig(initial_capital=1000.0, limits=limits)
    outcome = run(scenario([FLAT, FLAT, FLAT], {0: [market(10)], 1: [market(-10)]}, config))
    assert fills(outcome) == [(1, opened, 100.0), (2, -2 * opened, 100.0)]
    assert ends(outcome) == [(1, CANCELLED, reason), (2, CANCELLED, reason)]
    assert [fill["reason"] for fill in outcome.fills] == [reason, reason]


@pytest.mark.parametrize(("command", "filled"), [(market(11), []), (target(11), [(1, 9, 100.0)])])
def test_margin_rejects_an_order_and_shortens_a_target(run: Run, command: Command, filled: Filled) -> None:
    # 0.5 * 200 + 1 = 101 a contract; nine cost 909, ten 1010.
    dear = FREE.model_copy(update={"initial_margin": Margin(rate=0.5), "fees": Fees(per_contract=1.0)})
    config = PortfolioConfig(initial_capital=1000.0)
    outcome = run(scenario([FLAT, FLAT], {0: [command]}, config, [dear]))
    assert fills(outcome) == filled
    assert [reason for _, _, reason in ends(outcome)] == [Reason.INSUFFICIENT_MARGIN]


def test_what_is_left_below_the_smallest_size_is_not_opened(run: Run) -> None:
    coarse = FREE.model_copy(update={"min_size": 3.0})
    config = PortfolioConfig(limits=Limits(max_position=2.0))
    outcome = run(scenario([FLAT, FLAT], {0: [market(5)]}, config, [coarse]))
    assert ends(outcome) == [(1, REJECTED, Reason.MAX_POSITION)]


def test_the_books_through_average_and_reversal(run: Run) -> None:
    charged = FREE.model_copy(update={"fees": Fees(per_contract=0.5, rate=0.001)})
    bars: list[Row] = [FLAT, FLAT, (106.0, 106.0, 106.0, 106.0, 0.0), (110.0, 110.0, 110.0, 110.0, 0.0)]
    outcome = run(scenario(bars, {0: [market(2)], 1: [market(1)], 2: [market(-5)]}, instruments=[charged]))
    assert [fill["avg_price"] for fill in outcome.fills] == [100.0, 102.0, 110.0]
    assert [fill["position"] for fill in outcome.fills] == [2, 3, -2]
    assert [fill["realized"] for fill in outcome.fills] == [0, 0, 3 * 8 * 2]
    assert [fill["fee"] for fill in outcome.fills] == pytest.approx([1 + 0.4, 0.5 + 0.212, 2.5 + 1.1], rel=1e-12)
    assert outcome.ledger[-1]["cash"] == pytest.approx(100_000 + 48 - 1.4 - 0.712 - 3.6, rel=1e-12)


# Afterwards


def test_a_partly_filled_target_leaves_the_stop_the_rest(run: Run) -> None:
    config = PortfolioConfig(execution=Execution(participation=0.5))
    thin = (104.0, 106.0, 103.0, 104.0, 4.0)
    orders = {0: [market(5, stop_loss=95.0, take_profit=105.0)]}
    outcome = run(scenario([FLAT, FLAT, thin, WIDE], orders, config))
    assert fills(outcome) == [(1, 5, 100.0), (2, -2, 105.0), (3, -3, 95.0)]
    assert ends(outcome) == [(3, CANCELLED, Reason.OCO)]


def test_a_reversal_ends_the_old_bracket_before_it_attaches_the_new(run: Run) -> None:
    orders = {0: [market(2, stop_loss=90.0)], 1: [market(-5, stop_loss=120.0, take_profit=80.0)]}
    outcome = run(scenario([FLAT, FLAT, FLAT], orders))
    told = [(event["order_id"], event["kind"], event["quantity"]) for event in outcome.events[-4:]]
    assert told == [(3, FILLED, 5), (2, CANCELLED, 2), (4, SUBMITTED, 3), (5, SUBMITTED, 3)]


def test_a_second_partial_fill_grows_the_bracket(run: Run) -> None:
    config = PortfolioConfig(execution=Execution(participation=0.5))
    thin = (100.0, 101.0, 99.0, 100.0, 6.0)
    outcome = run(scenario([FLAT, thin, thin, WIDE], {0: [market(5, stop_loss=95.0)]}, config))
    assert fills(outcome) == [(1, 3, 100.0), (2, 2, 100.0), (3, -5, 95.0)]


def test_distances_are_fractions_of_the_fill_on_the_tick(run: Run) -> None:
    outcome = run(scenario([FLAT, FLAT], {0: [market(-1, stop_distance=0.033, target_distance=0.033)]}))
    assert [event["price"] for event in outcome.events[-2:]] == [103.25, 96.75]  # 103.3 and 96.7


def test_a_trailing_leg_starts_at_the_nearer_of_trail_and_stop(run: Run) -> None:
    for loss, start in ((99.0, 99.0), (90.0, 93.75)):
        outcome = run(scenario([FLAT, FLAT], {0: [market(1, stop_loss=loss, trail_distance=0.0625)]}))
        assert outcome.events[-1]["price"] == start
        assert outcome.events[-1]["type"] == OrderType.TRAILING_STOP


def test_other_brackets_end_after_the_sibling(run: Run) -> None:
    orders = {0: [market(1, stop_loss=50.0), market(1, stop_loss=95.0, take_profit=150.0), market(-1)]}
    outcome = run(scenario([FLAT, FLAT, WIDE], orders))
    assert fills(outcome) == [(1, 1, 100.0), (1, 1, 100.0), (1, -1, 100.0), (2, -1, 95.0)]
    assert ends(outcome) == [(6, CANCELLED, Reason.OCO), (4, CANCELLED, Reason.POSITION_CLOSED)]
