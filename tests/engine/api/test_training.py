"""Training and evaluation from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import grandmodel as gm
from tests.training.trainer.small import SMALL


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> gm.TrainingResult:
    return gm.train(SMALL, out=tmp_path_factory.mktemp("train") / "run", settings={"training_params.total_episodes": 6})


def test_a_training_leaves_networks_that_trade_and_can_be_evaluated(trained: gm.TrainingResult, tmp_path: Path) -> None:
    assert trained.episodes >= 6
    assert trained.stopped == "finished"
    assert (trained.folder / "history.jsonl").is_file()
    found = gm.evaluate(
        trained.folder / "config.yaml", trained.models, episodes=2, contributions=False, out=tmp_path / "evaluation"
    )
    loaded = gm.EvaluationResult.load(tmp_path / "evaluation")
    assert str(loaded) == str(found)
    assert loaded.tree["about"]["part"] == "validation"
    assert str(trained.evaluation) in str(trained)
    assert "<table>" in trained._repr_html_()
    assert "\x1b" not in str(found)


def test_what_is_no_run_says_what_it_is(trained: gm.TrainingResult) -> None:
    with pytest.raises(gm.UsageError, match="not a run folder") as caught:
        gm.load(trained.folder)
    assert f"ensemble:{trained.models}" in str(caught.value)
    evaluation = trained.folder / "evaluation"
    assert f"gm.EvaluationResult.load({str(evaluation)!r})" in str(caught.value)
    assert str(gm.EvaluationResult.load(evaluation)) == str(trained.evaluation)
    with pytest.raises(gm.UsageError, match="folder of an evaluation"):
        gm.load(evaluation)


def test_a_training_does_not_write_over_another(trained: gm.TrainingResult) -> None:
    with pytest.raises(gm.UsageError, match="another training lies there"):
        gm.train(SMALL, out=trained.folder)


def test_a_training_goes_on_from_its_folder(trained: gm.TrainingResult) -> None:
    more = gm.train(resume=trained.folder, settings=None)
    assert more.folder == trained.folder
    assert more.weights_sha256 == trained.weights_sha256  # it had ended: nothing was left to do


def test_a_call_without_configuration_is_refused() -> None:
    with pytest.raises(gm.UsageError, match="no configuration"):
        gm.train()


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> gm.SeedsResult:
    settings = {"training_params.total_episodes": 3, "training_params.credit": "account"}
    return gm.train(SMALL, out=tmp_path_factory.mktemp("seeds") / "out", seed=8, seeds=2, workers=2, settings=settings)


def test_several_seeds_leave_networks_each_and_one_table(seeds: gm.SeedsResult) -> None:
    assert list(seeds.models) == [8, 9]
    assert all((folder / "ensemble.json").is_file() for folder in seeds.models.values()), list(seeds.models.values())
    assert seeds.failures == {}
    assert seeds.tree["summary"]["seeds"] == 2
    assert "interquartile mean" in " ".join(str(seeds).split())
    assert "one trial of 2" in " ".join(str(seeds).split())
    assert seeds._repr_html_().count("<tr>") == 4
    assert "finished=2" in repr(seeds)


def test_arguments_of_several_seeds_go_together(seeds: gm.SeedsResult, tmp_path: Path) -> None:
    with pytest.raises(gm.UsageError, match="add seeds=N"):
        gm.train(SMALL, out=tmp_path / "out", workers=2)  # type: ignore[call-overload]
    with pytest.raises(gm.UsageError, match="the same call"):
        gm.train(SMALL, resume=seeds.folder, seeds=2)  # type: ignore[call-overload]
    with pytest.raises(gm.UsageError, match="needs a seed"):
        gm.train(SMALL, out=tmp_path / "out", seeds=0)
    with pytest.raises(gm.UsageError, match="another configuration"):
        gm.train(SMALL, out=seeds.folder, seed=8, seeds=2)
    assert not (tmp_path / "out").exists()
