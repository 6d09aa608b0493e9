"""Directions, ascent and curvature on losses that are known, and the study at a small size."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from mho.experiments.fitting import Schedule
from mho.experiments.harness import run
from mho.experiments.landscape import (
    ARMS,
    CLIPPED,
    NOISE,
    PLAIN,
    LandscapeStudy,
    differences,
    networks,
    profiles,
    summarise,
    trained,
)
from mho.experiments.models import SmallCNN
from mho.experiments.sharpness import SCALES, Landscape

TINY = LandscapeStudy(
    model=SmallCNN(first=4, second=4, hidden=16),
    training=Schedule(epochs=2, learning_rate=0.05),
    trainings=2,
    directions=3,
    ascent=3,
    images=60,
)


@pytest.fixture(scope="module")
def landscape() -> Landscape:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 4)).double()
        images, labels = torch.randn(40, 1, 4, 4).double(), torch.randint(4, (40,))
    return Landscape(network, images, labels)


def test_filters_move_by_a_fraction_of_their_own_norm(landscape: Landscape) -> None:
    unit = landscape.random("filter", 0)
    moved = landscape._moved(unit, "filter", 0.3)
    for name, w in landscape.weights.items():
        change = (moved[name] - w).flatten(1).norm(dim=1)
        assert torch.allclose(change, 0.3 * w.flatten(1).norm(dim=1))


def test_layers_move_by_a_fraction_of_their_largest_weight(landscape: Landscape) -> None:
    moved = landscape._moved(landscape.random("layer", 0), "layer", 0.3)
    for name, w in landscape.weights.items():
        rms = (moved[name] - w).square().mean().sqrt()
        assert float(rms) == pytest.approx(0.3 * float(w.abs().max()))
    assert all("bias" not in name for name in moved)


def test_filter_directions_do_not_see_a_factor_that_the_next_layer_undoes() -> None:
    """ReLU networks whose weights differ by such a factor are the same network (Li et al. 2018)."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = nn.Sequential(nn.Linear(6, 8, bias=False), nn.ReLU(), nn.Linear(8, 3)).double()
        x, y = torch.randn(50, 6).double(), torch.randint(3, (50,))
    first = Landscape(network, x, y)
    before = first.at(first.random("filter", 0), "filter", 0.5)
    with torch.no_grad():
        network[0].weight *= 7.0
        network[2].weight /= 7.0
    second = Landscape(network, x, y)
    assert second.at(second.random("filter", 0), "filter", 0.5) == pytest.approx(before)


@pytest.mark.parametrize("scale", SCALES)
def test_curvature_is_the_largest_eigenvalue(landscape: Landscape, scale) -> None:
    """Against the dense Hessian in weights over their radius."""
    names = list(landscape.weights)
    sizes = [landscape.weights[n].numel() for n in names]

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = flat.split(sizes)
        weights = {n: p.view_as(landscape.weights[n]) for n, p in zip(names, parts, strict=True)}
        return nn.functional.cross_entropy(landscape._scores(weights), landscape.labels)

    flat = torch.cat([landscape.weights[n].flatten() for n in names])
    hessian = torch.autograd.functional.hessian(loss, flat)
    each = []
    for n in names:
        w = landscape.weights[n]
        if scale == "layer":
            each.append(torch.full_like(w, float(w.abs().max())))
        else:
            each.append(w.flatten(1).square().mean(1).sqrt().view(-1, *[1] * (w.dim() - 1)).expand_as(w))
    factor = torch.cat([e.flatten() for e in each])
    values = torch.linalg.eigvalsh(factor[:, None] * hessian * factor[None, :])
    largest = float(values[values.abs().argmax()])
    assert landscape.curvature(scale, 0, steps=300) == pytest.approx(largest, rel=1e-3)


@pytest.mark.parametrize("scale", SCALES)
def test_worst_is_worse_than_any_random_direction(landscape: Landscape, scale) -> None:
    start = landscape.random(scale, 0)
    worst = landscape.worst(start, scale, 0.2, steps=30)
    highest = landscape.at(worst, scale, 0.2)[0]
    others = [landscape.at(landscape.random(scale, k), scale, 0.2)[0] for k in range(100)]
    assert highest > max(others)
    again = landscape.worst(landscape.random(scale, 1), scale, 0.2, steps=30)  # from another start
    assert landscape.at(again, scale, 0.2)[0] == pytest.approx(highest, rel=0.03)
    norms = [u.norm() if scale == "layer" else u.flatten(1).norm(dim=1) for u in worst.values()]
    assert all(torch.allclose(n, torch.ones_like(n)) for n in norms)


def test_small_steps_along_the_gradient_are_the_closed_form(landscape: Landscape) -> None:
    """For small strengths the worst direction is the gradient, group by group."""
    strength = 1e-5
    worst = landscape.worst(landscape.random("layer", 0), "layer", strength, steps=60)
    rise = (landscape.at(worst, "layer", strength)[0] - landscape.at(None)[0]) / strength
    slope = landscape._gradient(landscape.weights)
    expected = sum(
        float(slope[n].norm() * w.abs().max() * math.sqrt(w.numel())) for n, w in landscape.weights.items()
    )
    assert rise == pytest.approx(expected, rel=1e-3)


def test_arms_share_start_and_batches() -> None:
    data = TINY.data.load(None)
    silent = LandscapeStudy(**{**TINY.__dict__, "noise": 0.0})
    plain, quiet = (trained(silent, arm, 0, data) for arm in (PLAIN, NOISE))
    for a, b in zip(plain.parameters(), quiet.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-4)
    noisy, clipped = (trained(TINY, arm, 0, data) for arm in (NOISE, CLIPPED))
    assert not torch.allclose(plain[0].weight, noisy[0].weight, atol=1e-3)
    for module in clipped:
        if hasattr(module, "weight"):
            assert module.weight.abs().max() < 3.0 * module.weight.std()
    other = trained(TINY, PLAIN, 1, data)
    assert not torch.allclose(plain[0].weight, other[0].weight, atol=1e-2)


@pytest.mark.exhaustive
def test_study_and_its_figures(tmp_path) -> None:
    from mho.report.landscape import landscape_figure, regulariser_figure

    found = run(TINY, tmp_path).table
    assert len(networks(found)) == 6 and set(found["arm"]) == set(ARMS)
    assert len(profiles(found)) == 6 * 2 * 2 * 6
    rows = TINY.measure({"arm": NOISE, "training": 1}, TINY.data.load(None))
    own = networks(found).query("arm == 'noise' and training == 1").iloc[0]
    assert own["test_loss"] == pytest.approx(rows[0]["test_loss"], rel=1e-4)
    kept = profiles(found).query("arm == 'noise' and training == 1")
    assert kept["loss"].to_numpy() == pytest.approx(np.array([r["loss"] for r in rows]), rel=1e-3)
    summary = summarise(found)
    assert len(summary) == 3 * 2 * 2 * 6 and (summary["low"] <= summary["mean"]).all()
    worst = summary.query("direction == 'worst' and strength > 0")["mean"].to_numpy()
    assert (worst > summary.query("strength == 0")["mean"].min()).all()
    gap = differences(found).query("figure == 'loss gap' and arm == 'noise'").iloc[0]
    table = networks(found).assign(gap=networks(found)["test_loss"] - networks(found)["train_loss"])
    wide = table.pivot_table(index="training", columns="arm", values="gap")
    assert gap["difference"] == pytest.approx((wide[NOISE] - wide[PLAIN]).mean())
    figure = landscape_figure(found)
    assert len(figure.axes) == 4 and all(axes.get_yscale() == "log" for axes in figure.axes)
    assert figure.axes[0].lines[0].get_ydata()[0] == pytest.approx(
        profiles(found).query("arm == 'plain' and strength == 0")["loss"].mean()
    )
    figure.savefig(tmp_path / "a.png")
    regulariser_figure(found).savefig(tmp_path / "b.png")
