"""Constant networks say exactly their action, and a seat goes to whoever earns more on the same bars."""

import numpy as np
import pytest

from agents.spec import AGENT_NAMES, AGENTS
from tests.training.trainer.small import small_config
from training.evaluation.policies import Constants, LearnedPolicy
from training.learners.constant import constant_of, constant_weights
from training.trainer.build import build_trainings
from training.trainer.seats import best_constant, judge, judging_starts, rewards_of
from training.trainer.setup import TrainingSetup

ACTIONS = {
    "strategic": [(0.0,), (1.0,), (2.0,)],
    "tactical": [(1.0, 0.05, 2.0), (0.0, 0.001, 0.1), (0.5, 0.02, 1.0)],
    "risk": [(0.0,), (3.0,), (4.0,)],
}


@pytest.fixture(scope="module")
def setup() -> TrainingSetup:
    return TrainingSetup.prepare(small_config())


@pytest.mark.parametrize("agent", AGENT_NAMES)
def test_constant_weights_make_a_network_that_always_acts_the_same(setup: TrainingSetup, agent: str) -> None:
    trainings = build_trainings(setup, "cpu", compiled=False)
    learner, generator = trainings.of(agent).learner, np.random.default_rng(1)
    seen = generator.standard_normal((50, *AGENTS[agent].observation)).astype(np.float32) * 3
    for action in ACTIONS[agent]:
        learner.load_weights(constant_weights(agent, learner.weights(), action))
        answers = getattr(LearnedPolicy(*trainings.learners), agent)(seen).reshape(50, -1)
        assert (answers == answers[0]).all()
        np.testing.assert_allclose(answers[0], action, rtol=1e-5, atol=1e-7)
        assert constant_of(agent, learner.weights()) == pytest.approx(action, rel=1e-5)
    learner.restore(build_trainings(setup, "cpu", compiled=False).of(agent).learner.snapshot())  # type: ignore[arg-type]
    assert constant_of(agent, learner.weights()) is None


def leaky(setup: TrainingSetup, sign: float) -> Constants:
    """Goes with the next half hour's price, or against it: the future, which only a test may know."""
    ends = setup.market.strategic_end
    close = setup.market.bars.close[:, 0]
    ahead = {}
    for row in np.flatnonzero(ends >= 0):
        stop = min(row + 30, len(close) - 1)
        key = setup.market.strategic_windows(ends[[row]]).tobytes()
        ahead.setdefault(key, 2 if sign * (close[stop] - close[row]) > 0 else 0)

    class Knowing:
        def strategic(self, observations: np.ndarray) -> np.ndarray:
            return np.array([ahead.get(one[None].tobytes(), 1) for one in observations])

    return Constants(Knowing(), {"tactical": (1.0, 0.05, 1.0), "risk": (4.0,)})  # type: ignore[arg-type]


def test_a_network_that_earns_takes_its_seat_and_one_that_loses_does_not(setup: TrainingSetup) -> None:
    neutral = AGENTS["strategic"].stand_in
    good, bad = (judge(setup, leaky(setup, sign), "strategic", neutral) for sign in (1.0, -1.0))
    assert good.network and good.low > 0 and good.action is None
    assert not bad.network and bad.gain < 0 and bad.action == neutral
    assert "takes the seat" in good.text() and "the constant takes the seat" in bad.text()


def test_the_best_constant_is_the_best_of_those_compared(setup: TrainingSetup) -> None:
    starts = judging_starts(setup, setup.parts.training, 12)
    policy = Constants(leaky(setup, 1.0), {"risk": (4.0,)})
    chosen = best_constant(setup, policy, "risk", starts)
    rewards = {
        level: rewards_of(setup, Constants(policy, {"risk": (float(level),)}), starts).mean() for level in range(5)
    }
    assert chosen == (float(max(rewards, key=lambda level: rewards[level])),)
