import math

import numpy as np
import pytest

from portfolio.luck import deflated_sharpe, expected_maximum, independent_trials, luck


def test_the_published_example() -> None:
    # Bailey and Lopez de Prado 2014: 100 trials whose annualised Sharpe ratios have variance 1/2, five years of
    # 250 days each; the best shows 2.5 a year, with skew -3 and kurtosis 10
    root = math.sqrt(250)
    by_luck = luck(math.sqrt(0.5) / root, 100)
    assert by_luck == pytest.approx(0.1132, abs=5e-5)
    assert luck(math.sqrt(0.5), 100) == pytest.approx(by_luck * root)  # annualised, it is the same number
    assert deflated_sharpe(2.5 / root, by_luck, 1250, -3, 10) == pytest.approx(0.9004, abs=5e-5)


@pytest.mark.parametrize("trials", [2, 5, 24, 100, 1000])
def test_the_expected_maximum_against_a_simulation(trials: int) -> None:
    draws = np.random.default_rng(1).standard_normal((20_000, trials)).max(axis=1)
    # the approximation is for many trials; two have 1/sqrt(pi)
    assert expected_maximum(trials) == pytest.approx(draws.mean(), abs=0.12 if trials == 2 else 0.04)


def test_one_trial_has_no_choice() -> None:
    assert expected_maximum(1) == expected_maximum(0) == luck(3.0, 1) == 0.0


def test_correlated_trials_show_what_their_spread_says() -> None:
    # Sharpe ratios that share a factor: the spread among them is smaller, and so is what the best gains by luck
    generator = np.random.default_rng(7)
    shared, own = generator.standard_normal((20_000, 1)), generator.standard_normal((20_000, 50))
    ratios = math.sqrt(0.8) * shared + math.sqrt(0.2) * own
    told = np.mean([luck(float(row.std(ddof=1)), 50) for row in ratios[:2000]])
    assert told == pytest.approx(ratios.max(axis=1).mean(), abs=0.03)


def test_independent_trials_by_their_correlation() -> None:
    generator = np.random.default_rng(3)
    shared, own = generator.standard_normal(5000), generator.standard_normal((10, 5000))
    half = [math.sqrt(0.5) * shared + math.sqrt(0.5) * one for one in own]
    assert independent_trials(list(own)) == pytest.approx(10, abs=0.2)
    assert independent_trials(half) == pytest.approx(0.5 + 0.5 * 10, abs=0.2)
    assert independent_trials([shared] * 10) == pytest.approx(1.0)
    assert independent_trials([shared, np.zeros(5000)]) == 1.0
    assert independent_trials([]) == 1.0


def test_moments_without_a_variance_give_no_probability() -> None:
    assert deflated_sharpe(1.0, 0.5, 100, 5.0, 1.0) is None
    assert deflated_sharpe(1.0, 0.5, 1, 0.0, 3.0) is None
