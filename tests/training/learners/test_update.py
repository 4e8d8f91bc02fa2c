"""An update against the gradient of the whole vector, compiled ones beside each other, and what it may import."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

import training
from training.learners.networks import dense, dense_shapes
from training.learners.parameters import Adam, Layout
from training.learners.update import Update, compile_whole

LAYOUT = Layout(dense_shapes("a", (5, 7, 3)) | dense_shapes("b", (3, 1)))


def vector() -> Tensor:
    return torch.randn(LAYOUT.total, generator=torch.Generator().manual_seed(1))


def loss_of(weights: Mapping[str, Tensor], fixed: Mapping[str, Tensor], scale: Tensor) -> tuple[Tensor, Tensor]:
    """One that follows its own weights without gradient, as temporal differences do."""
    values = torch.linspace(-1.0, 1.0, 20).view(4, 5)
    goal = dense(fixed, "b", dense(fixed, "a", values, "relu"), None)
    found = dense(weights, "b", dense(weights, "a", values, "tanh"), None)
    loss = scale * (found - goal).square().sum()
    return loss, torch.stack([loss.detach(), found.detach().mean()])


@pytest.mark.parametrize("most", [None, 0.1, 1e6])
@pytest.mark.parametrize("compiled", [False, True])
def test_updates_are_those_of_torchs_optimizer(
    most: float | None, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    parameter, moved = torch.nn.Parameter(vector()), vector()
    peer = torch.optim.Adam([parameter], lr=1e-2)
    update = Update(loss_of, LAYOUT, moved, Adam(moved, 1e-2), most=most, compiled=compiled)
    for number in range(1, 6):
        scale = torch.tensor(float(number))
        peer.zero_grad()
        loss, figures = loss_of(LAYOUT.split(parameter), LAYOUT.split(parameter.detach()), scale)
        torch.autograd.backward(loss)
        if most is not None:
            figures = torch.cat([figures, torch.nn.utils.clip_grad_norm_([parameter], most).view(1)])
        peer.step()
        torch.testing.assert_close(update(scale), figures)
    torch.testing.assert_close(moved, parameter.detach(), rtol=1e-5, atol=1e-6)


def test_weights_may_be_changed_in_place_between_updates() -> None:
    moved, scale = vector(), torch.tensor(1.0)
    update = Update(loss_of, LAYOUT, moved, Adam(moved, 1e-2))
    first = update(scale)
    moved.copy_(vector())
    assert torch.equal(update(scale), first)


def test_many_learners_of_a_process_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch refuses the ninth version of a function, and the 257th of all versions that share its code."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))

    def times(factor: int):
        return lambda values: values * factor

    for factor in range(300):
        assert compile_whole(times(factor))(torch.ones(2)).tolist() == [factor, factor]


def test_no_private_name_of_torch_is_used() -> None:
    """A new torch may take private names away, and no upper bound keeps it out."""
    (folder,) = training.__path__
    modules = sorted(Path(folder).rglob("*.py"))
    assert len(modules) > 50
    found = {
        str(module.relative_to(folder)): names
        for module in modules
        if (names := re.findall(r"\btorch(?:\.\w+)*\._\w+", module.read_text(encoding="utf-8")))
    }
    assert found == {}
