"""The screen of a training: exact in size whatever it shows, exact in what it says, and never in the way."""

from __future__ import annotations

import io
import math
import os
import pty
import termios
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from engine.dashboard.alerts import AlertLevel
from engine.dashboard.cells import width_of
from engine.dashboard.terminal import quiet
from engine.dashboard.training.live import TrainingLog, TrainingScreen, open_view
from engine.dashboard.training.panels import figure, spark
from engine.dashboard.training.state import EpisodeSeries, TrainingInfo, TrainingState
from engine.dashboard.training.view import episode_line, evaluation_line, frame
from tests.engine.dashboard.steps import unhurried
from tests.engine.dashboard.training.records import records
from tests.waiting import until
from tests.work import calls

__all__ = ["unhurried"]  # a fixture
pytestmark = pytest.mark.usefixtures("unhurried")

INFO = TrainingInfo("marl_training", 1000, 4, "ES.csv", 42, "cpu")
OPEN, CLOSE = "\x1b[?1049h", "\x1b[?1049l"


def after(count: int = 230, scale: float = 1.0, **info: Any) -> TrainingState:
    state = TrainingState(TrainingInfo("marl_training", **{"total_episodes": 1000, **info}), 100.0)
    for number, record in enumerate(records(count, scale=scale)):
        state.update(record, 100.0 + 0.1 * number)
    return state


def shown(state: TrainingState, width: int = 160, height: int = 45, now: float = 200.0) -> list[str]:
    return ["".join(part.text for part in line) for line in frame(state, width, height, now)]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 220),
    st.integers(1, 70),
    st.sampled_from([0, 1, 3, 60]),
    st.sampled_from([1e-9, 1e-3, 1.0, 1e7, 1e300]),
    st.text(max_size=30) | st.sampled_from(["[red]", "x\x1b[31m", "a\nb", "🦊永"]),
)
def test_the_screen_is_exactly_as_large_as_the_terminal(
    width: int, height: int, count: int, scale: float, words: str
) -> None:
    state = TrainingState(TrainingInfo(words, 1000, 4, words, resumed=3, patience=20), 0.0)
    for record in records(count, scale=scale, log=1, evaluate=2):
        state.update(record, 1.0)
    state.update({"kind": "alert", "episode": 1, "text": words}, 1.0)
    state.update({"kind": "checkpoint", "episode": 1, "path": words}, 1.0)
    state.update({"kind": "losses", "episode": 1, "ppo": {words: 1.0}}, 1.0)
    lines = frame(state, width, height, 2.0)
    assert len(lines) == height
    for line in lines:
        assert width_of(line) == width
        assert all(part.text.isprintable() for part in line)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (120, 40), (160, 45)])
def test_everything_that_matters_is_on_every_size(width: int, height: int) -> None:
    text = "\n".join(shown(after(patience=1000), width, height))
    expected = [
        "TRAINING", "23 %", "230 / 1,000 episodes", "steps/s", "left", "Rewards", "strategic", "tactical", "risk",
        "profit", "sharpe", "= team", "PPO", "SAC", "DQN", "Evaluations", "epsilon", "0.316", "ep 200", "Alerts",
        "checkpoint-0000200.ckpt", "Ctrl-C",
    ]  # fmt: skip
    assert [words for words in expected if words not in text] == []


def test_a_new_training_has_a_screen() -> None:
    text = "\n".join(shown(TrainingState(INFO, 0.0), 100, 30, 5.0))
    assert "STARTING" in text and "0 %" in text and "has not learned yet" in text and "nan" not in text
    assert "5.0 s" in text and "no episode is over yet" in text


def test_what_ended_says_so() -> None:
    state = after()
    state.end()
    text = "\n".join(shown(state, now=1e9))
    assert "ENDED" in text and "left" not in text.splitlines()[1] and state.seconds_left() is None
    assert state.elapsed(1e9) == pytest.approx(state.updated - 100.0)


def test_figures_come_from_the_records() -> None:
    state = TrainingState(INFO, 0.0)
    rewards = [float(number) for number in range(1, 151)]
    for number, reward in enumerate(rewards, 1):
        record = {
            "kind": "episode",
            "episode": number,
            "env_steps": 500 * number,
            "rewards": {"strategic": reward, "tactical": -reward},
            "terms": {"profit": reward, "cost": -0.5},
            "epsilon": 0.25,
        }
        state.update(record, float(2 * number))
    assert state.rewards["strategic"].last == 150 and state.rewards["strategic"].mean == sum(rewards[-100:]) / 100
    assert state.rewards["tactical"].mean == -state.rewards["strategic"].mean and len(state.rewards["risk"]) == 0
    assert state.team.last == 149.5 and state.terms["cost"].mean == -0.5
    assert state.speed == pytest.approx(250.0)
    assert state.seconds_left() == pytest.approx(2.0 * 850)
    assert state.progress == 0.15 and state.epsilon == 0.25


def test_time_left_of_a_resumed_training_counts_only_this_run() -> None:
    state = TrainingState(TrainingInfo("x", 1000, resumed=900), 0.0)
    assert state.seconds_left() is None and state.progress == 0.9
    state.update({"kind": "episode", "episode": 910, "env_steps": 1}, 20.0)
    assert state.seconds_left() == pytest.approx(2.0 * 90)


def texts(state: TrainingState, least: AlertLevel = AlertLevel.WARNING) -> str:
    return "\n".join(alert.text for alert in state.alerts if alert.severity >= least)


def test_alerts() -> None:
    state = TrainingState(TrainingInfo("x", 1000, patience=100), 0.0)
    assert texts(state) == ""
    state.update({"kind": "evaluation", "episode": 10, "mean_reward": 1.0, "best": True, "trades": 3}, 1.0)
    state.update({"kind": "losses", "episode": 10, "ppo": {"entropy": 1.0, "approx_kl": 0.01}}, 1.0)
    assert texts(state) == ""
    state.update({"kind": "losses", "episode": 11, "ppo": {"entropy": 0.001, "approx_kl": 0.5}}, 1.0)
    assert "hardly explores" in texts(state) and "changes the policy too much" in texts(state)
    state.update({"kind": "losses", "episode": 12, "dqn": {"loss": math.inf}}, 1.0)
    assert texts(state, AlertLevel.CRITICAL) == "risk: loss is not a finite number"
    held = {"kind": "evaluation", "episode": 60, "mean_reward": 0.5, "trades": 0, "exposure": 0.9}
    state.update(held, 1.0)
    assert "without a single position" not in texts(state)
    state.update(held | {"episode": 61, "exposure": 0.0}, 1.0)
    assert "without a single position" in texts(state) and "since episode 10; stops early at 110" in texts(state)
    state.update({"kind": "episode", "episode": 62, "terms": {"profit": math.nan}}, 1.0)
    assert "the reward of an episode is not a finite number" in texts(state, AlertLevel.CRITICAL)
    state.update({"kind": "alert", "episode": 63, "severity": "critical", "text": "disk is full"}, 1.0)
    assert "disk is full" in texts(state, AlertLevel.CRITICAL)


def test_what_is_not_known_is_left_out() -> None:
    state = TrainingState(INFO, 0.0)
    for record in ({"kind": "weather", "episode": 7}, {}, {"kind": None}):
        state.update(record, 1.0)
    assert state.version == 0 and state.episode == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"), (1.0, "1.00"), (0.25, "0.250"), (0.0123, "0.0123"), (123.45, "123.5"), (12345.6, "12,346"),
        (1e-5, "1.0e-05"), (3e12, "3.0e+12"), (math.nan, "-"), (-math.inf, "-"), (-0.5, "-0.500"),
    ],
)  # fmt: skip
def test_figures_are_short(value: float, expected: str) -> None:
    assert figure(value) == expected


@given(st.floats())
def test_no_figure_is_longer_than_its_place(value: float) -> None:
    assert len(figure(value, sign=True)) <= 10


def test_a_spark_rises_with_its_series() -> None:
    series = EpisodeSeries()
    for number in range(64):
        series.add(float(number))
    line = spark(series.curve, 8)
    assert len(line) == 8 and line[0] in "⣀⡀⢀⣠⡠" and line[-1] in "⠉⠈⠁⠋⠊"
    assert spark(EpisodeSeries().curve, 8) == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(Terminal):
    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def console(file: io.StringIO) -> Console:
    options: dict[str, Any] = {"force_terminal": file.isatty(), "color_system": "standard"}
    return Console(file=file, width=100, height=30, _environ={"TERM": "xterm"}, **options)


def test_on_a_terminal_it_draws_and_leaves_the_last_state_behind() -> None:
    file = Terminal()
    screen = open_view(INFO, console(file), 10)
    assert isinstance(screen, TrainingScreen)
    for record in records(100):
        screen.write(record)
    until(lambda: "Evaluations" in file.getvalue())
    screen.close()
    screen.close()
    text = file.getvalue()
    assert text.startswith(OPEN) and text.count(CLOSE) == 1 and "\x1b[?25h" in text
    left = text[text.index(CLOSE) :]
    assert "episode 100/1,000" in left and "evaluation after episode" in left


def test_a_terminal_that_goes_away_does_not_stop_the_training() -> None:
    screen = TrainingScreen(INFO, console(Gone()))
    for record in records(50):
        screen.write(record)
    screen.close()
    assert screen.state.episode == 50


def test_a_screen_that_fails_says_so_and_lets_the_training_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("no such panel")

    monkeypatch.setattr("engine.dashboard.training.live.frame", broken)
    file = Terminal()
    screen = TrainingScreen(INFO, console(file))
    for record in records(5):
        screen.write(record)
    until(lambda: not screen._thread.is_alive())
    screen.close()
    assert "the screen failed, the training went on: ValueError: no such panel" in file.getvalue()
    assert screen.state.episode == 5


def test_elsewhere_it_prints_lines() -> None:
    file = io.StringIO()
    log = open_view(TrainingInfo("x", 100), console(file), 10)
    assert isinstance(log, TrainingLog)
    for record in records(30, evaluate=20):
        log.write(record)
    log.write({"kind": "alert", "episode": 30, "text": "odd [red]", "severity": "warning"})
    log.write({"kind": "alert", "episode": 30, "text": "odd [red]", "severity": "warning"})
    log.close()
    lines = file.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == [
        "episode",
        "episode",
        "evaluation",
        "checkpoint",
        "episode",
        "warning:",
    ]
    assert lines[0].startswith("episode 10/100 (10 %)") and lines[-1] == "warning: odd [red]"
    assert "\x1b" not in file.getvalue()


def test_lines_say_what_the_records_say() -> None:
    assert "reward -" in episode_line(TrainingState(INFO, 0.0))
    record = {
        "episode": 100,
        "mean_reward": 1.5,
        "deviation": 0.25,
        "sharpe": None,
        "max_drawdown": 0.0512,
        "best": True,
    }
    assert evaluation_line(record) == (
        "evaluation after episode 100: reward +1.50, deviation 0.250, Sharpe -, drawdown 5.12 %, the best so far"
    )


def test_typing_is_not_echoed_and_the_terminal_is_put_back() -> None:
    leader, follower = pty.openpty()
    with os.fdopen(follower, "r") as file:
        before = termios.tcgetattr(file)
        with quiet(file):
            during = termios.tcgetattr(file)
            assert not during[3] & termios.ECHO and during[3] & termios.ISIG
        assert termios.tcgetattr(file) == before
    os.close(leader)
    with quiet(None), quiet(io.StringIO()):
        pass


def test_a_record_costs_little_however_many_came_before() -> None:
    state = TrainingState(INFO, 0.0)
    many = list(records(2000))

    def costs(first: int, last: int) -> float:
        return calls(lambda: [state.update(record, 1.0) for record in many[first:last]]) / (last - first)

    early = costs(0, 500)
    assert early < 1000
    costs(500, len(many) - 500)
    assert costs(len(many) - 500, len(many)) < 1.5 * early


def test_pace_is_that_of_the_training_and_not_of_what_came_before() -> None:
    state = TrainingState(TrainingInfo("marl_training", 10, 4), 0.0)
    # a minute of loading and compiling, then four environments whose episodes end together
    for episode in range(1, 5):
        record = {"kind": "episode", "episode": episode, "env_steps": 8000, "steps_per_second": 4000.0, "seconds": 2.0}
        state.update(record, 62.0)
    assert state.seconds_left() == pytest.approx(3.0)
    assert state.speed == 4000.0
    late = {"kind": "episode", "episode": 5, "env_steps": 10_000, "steps_per_second": 3333.0, "seconds": 3.0}
    state.update(late, 63.0)
    assert state.speed == pytest.approx(2000.0)


def test_a_collapse_is_seen_on_the_screen_and_said_once_in_the_log() -> None:
    record = {"kind": "collapse", "episode": 40, "severity": "warning", "agent": "strategic", "name": "NEVER_TRADES"}
    record |= {"text": "the strategic agent never trades; it begins anew", "answer": "it begins anew"}
    state = after(50)
    state.update(record, 200.0)
    assert any("never trades" in line for line in shown(state))
    said: list[str] = []
    log = TrainingLog(INFO, said.append, 1000)
    for _ in range(2):
        log.write(record)
    assert said == ["warning: the strategic agent never trades; it begins anew"]
