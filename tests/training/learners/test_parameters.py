"""One vector for all weights: names, Adam against torch's own, clipping."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.base.errors import DataError
from training.learners.networks import (
    Normalise,
    Statistics,
    dense,
    dense_numpy,
    dense_shapes,
    dropout_masks,
    orthogonal,
)
from training.learners.parameters import Adam, Layout, clip_by_norm

SHAPES = dense_shapes("a", (5, 7, 3)) | dense_shapes("b", (3, 1))


@pytest.fixture
def layout() -> Layout:
    return Layout(SHAPES)


@pytest.fixture
def vector(layout) -> torch.Tensor:
    return torch.randn(layout.total, generator=torch.Generator().manual_seed(1))


def test_split_and_join_are_each_others_inverse(layout, vector):
    assert torch.equal(layout.join(layout.split(vector)), vector)
    arrays = layout.arrays(vector)
    assert torch.equal(layout.from_arrays(arrays), vector)
    # views: acting sees what learning changes
    vector += 1.0
    assert torch.equal(layout.from_arrays(arrays), vector)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("a.0.bias"),
        lambda arrays: arrays.update(more=np.zeros(1, np.float32)),
        lambda arrays: arrays.update({"b.0.bias": np.zeros(2, np.float32)}),
        lambda arrays: arrays.update({"b.0.bias": np.zeros(1)}),
    ],
)
def test_weights_of_another_network_are_refused(layout, vector, change):
    arrays = layout.arrays(vector)
    change(arrays)
    with pytest.raises(DataError, match="another network"):
        layout.from_arrays(arrays)


@pytest.mark.parametrize("compiling", [False, True])
def test_adam_is_torchs(vector, compiling, monkeypatch):
    """Both the fused kernel and the formula that compiled updates use."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    reference = torch.nn.Parameter(vector.clone())
    peer = torch.optim.Adam([reference], lr=1e-2, eps=1e-5)
    adam = Adam(vector, 1e-2, eps=1e-5)
    generator = torch.Generator().manual_seed(2)
    for number in range(20):
        gradient = torch.randn(len(vector), generator=generator)
        reference.grad = gradient.clone()
        adam.lr.fill_(1e-2 / (1 + number))
        peer.param_groups[0]["lr"] = 1e-2 / (1 + number)
        peer.step()
        adam.step(vector, gradient)
    torch.testing.assert_close(vector, reference.detach(), rtol=1e-5, atol=1e-6)


def test_adam_goes_on_from_its_state(vector):
    gradients = torch.randn(6, len(vector), generator=torch.Generator().manual_seed(3))
    other = vector.clone()
    whole, later = Adam(vector, 1e-2), Adam(vector, 1.0)
    for gradient in gradients[:3]:
        whole.step(vector, gradient)
    mean = later.mean
    later.restore(whole.snapshot())
    other.copy_(vector)
    for gradient in gradients[3:]:
        whole.step(vector, gradient)
        later.step(other, gradient)
    assert torch.equal(vector, other)
    assert later.mean is mean
    with pytest.raises(DataError, match="another network"):
        Adam(vector[:3], 1.0).restore(whole.snapshot())


@pytest.mark.parametrize("most", [0.1, 1e6])
def test_clipping_is_torchs(vector, most):
    parameter = torch.nn.Parameter(vector.clone())
    parameter.grad = vector.clone()
    norm = torch.nn.utils.clip_grad_norm_([parameter], most)
    torch.testing.assert_close(clip_by_norm(vector, most), norm)
    torch.testing.assert_close(vector, parameter.grad)


@pytest.mark.parametrize("activation", ["relu", "tanh", None])
@pytest.mark.parametrize("linear_end", [False, True])
def test_numpy_computes_what_torch_computes(layout, vector, activation, linear_end):
    values = torch.randn(6, 5, generator=torch.Generator().manual_seed(4))
    expected = dense(layout.split(vector), "a", values, activation, linear_end=linear_end)
    rows = values.numpy().copy()
    found = dense_numpy(layout.arrays(vector), "a", rows, activation, linear_end=linear_end)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(rows, values)
    if linear_end and activation:
        bounded = dense(layout.split(vector), "a", values, activation)
        assert not torch.equal(bounded, expected)


@pytest.mark.parametrize("statistics", [None, Statistics(np.float32([1, 2]), np.float32([0.01, 3]))])
def test_rows_are_normalised_alike(statistics):
    rows = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    normalise = Normalise(statistics, torch.device("cpu"))
    found = normalise.rows(rows)
    assert found.shape == (3, 8)
    np.testing.assert_array_equal(found, normalise(torch.from_numpy(rows)).numpy())
    assert statistics is None or np.abs(found).max() == 10.0


def test_dropout_masks_keep_their_share_and_the_mean():
    masks = dropout_masks(0.2, (300, 100), 50, torch.Generator().manual_seed(5), torch.device("cpu"))
    assert [tuple(mask.shape) for mask in masks] == [(50, 300), (50, 100)]
    for mask in masks:
        torch.testing.assert_close(mask.unique(), torch.tensor([0.0, 1.25]))
        assert abs(float(mask.mean()) - 1.0) < 0.03
    assert dropout_masks(0.0, (3,), 5, torch.Generator(), torch.device("cpu")) == []


def test_orthogonal_rows_with_the_gain_of_the_layer_or_its_stack():
    weights = orthogonal(SHAPES, {"a.1": 0.01, "b": 3.0}, torch.Generator().manual_seed(6))
    for name, gain in (("a.0", 2**0.5), ("a.1", 0.01), ("b.0", 3.0)):
        matrix = weights[f"{name}.weight"]
        small = matrix @ matrix.T if len(matrix) < matrix.shape[1] else matrix.T @ matrix
        torch.testing.assert_close(small, gain**2 * torch.eye(len(small)), rtol=1e-4, atol=1e-5)
        assert not weights[f"{name}.bias"].any()
