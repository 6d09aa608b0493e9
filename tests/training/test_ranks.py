"""Two processes: DDP and FSDP against one process, their noise, their checkpoints and their chips."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

import mho
from mho.training import Recipe, WeightClip, attach

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo"),
]
SCRIPT = Path(__file__).with_name("ranks.py")
_spec = importlib.util.spec_from_file_location("ranks", SCRIPT)
assert _spec is not None and _spec.loader is not None
ranks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(ranks)

TASKS = ("ddp", "seeds", "chips", "fsdp", "late", "low")
Outcomes = list[dict[str, Any]]  # of each rank


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, Outcomes]:
    """What two processes gave, which are started once for all tasks."""
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *start, str(SCRIPT), str(folder), *TASKS],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Stale" not in done.stderr, done.stderr[-3000:]
    return {task: [torch.load(folder / f"{task}{rank}.pt") for rank in range(2)] for task in TASKS}


@pytest.fixture(scope="module")
def single(folder: Path) -> dict[str, Any]:
    return ranks.one(folder)


@pytest.mark.parametrize("recipe", ["quiet", "clipped"])
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_are_one(
    kind: str, recipe: str, outcomes: dict[str, Outcomes], single: dict[str, Any]
) -> None:
    """Without noise: the same losses and the same weights, clips in place included."""
    one = single[recipe]
    for rank in outcomes[kind]:
        two = rank[recipe]
        assert two["losses"] == pytest.approx(one["losses"], abs=1e-5)
        assert max(abs(a - b) for a, b in zip(one["losses"], one["losses"][1:], strict=False)) > 0.01
        assert two["state"].keys() == one["state"].keys()
        for name, value in one["state"].items():
            torch.testing.assert_close(two["state"][name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("recipe", list(ranks.RECIPES))
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_the_chip_is_that_of_the_whole_model(kind: str, recipe: str, outcomes: dict[str, Outcomes]) -> None:
    """Programmed and aged in two processes, or in one from the collected weights: equal to the last bit."""
    first, second = (rank[recipe] for rank in outcomes[kind])
    whole = ranks.network()
    attach(whole, ranks.RECIPES[recipe])
    whole.eval()  # it clips, which the ranks have done
    whole.load_state_dict(first["state"])
    mho.program(whole, seed=7)
    mho.age(whole, 31_536_000)
    g = mho.conductances(whole)
    assert g.keys() == first["g"].keys() == {"conv", "fc.0", "fc.2", *(p for p in g if "lstm.arrays" in p)}
    for path, value in g.items():
        assert torch.equal(value, first["g"][path]) and torch.equal(value, second["g"][path])
    torch.manual_seed(11)
    with torch.no_grad():
        y = whole(ranks.data()[0][0])
    torch.testing.assert_close(first["y"], y, rtol=1e-4, atol=1e-5)


def test_each_rank_draws_noise_of_its_own_stream(outcomes: dict[str, Outcomes]) -> None:
    """Ranks that are seeded alike draw alike; seeded apart, no two forwards of any rank are equal."""
    first, second = outcomes["seeds"]
    for a, b in zip(first["alike"], second["alike"], strict=True):
        assert torch.equal(a, b)
    outputs: list[Tensor] = [*first["apart"], *second["apart"]]
    assert all(not torch.equal(a, b) for k, a in enumerate(outputs) for b in outputs[k + 1 :])


def test_ranks_may_train_on_chips_of_their_own(outcomes: dict[str, Outcomes]) -> None:
    """DDP sends the buffers of rank 0, unless it is told not to."""
    wanted = []
    for seed in range(2):
        model = ranks.network()
        mho.program(model, seed=seed)
        wanted.append(mho.conductances(model)["fc.0"])
    for rank, found in enumerate(outcomes["chips"]):
        assert torch.equal(found["shared"], wanted[0]) and torch.equal(found["own"], wanted[rank])


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled:UserWarning")
def test_a_sharded_checkpoint_loads_in_one_process(outcomes: dict[str, Outcomes], folder: Path) -> None:
    """Weights alone into a new model, and weights with the chip."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    saved = outcomes["fsdp"][0]["checkpoint"]
    state = {"model": ranks.network().state_dict()}
    dcp.load(state, checkpoint_id=str(folder / "weights"))
    model = ranks.network()
    model.load_state_dict(state["model"])
    for name, value in model.state_dict().items():
        assert torch.equal(value, saved["state"][name])
    mho.program(model, seed=7)
    mho.age(model, 31_536_000)

    dcp_to_torch_save(str(folder / "chip"), str(folder / "chip.pt"))
    other = ranks.network()
    other.load_state_dict(torch.load(folder / "chip.pt")["model"])
    assert other.state_dict().keys() == model.state_dict().keys()
    for path, g in mho.conductances(model).items():
        assert torch.equal(g, saved["g"][path]) and torch.equal(g, mho.conductances(other)[path])
    torch.manual_seed(11)
    with torch.no_grad():
        y = other.eval()(ranks.data()[0][0])
    torch.testing.assert_close(y, saved["y"], rtol=1e-4, atol=1e-5)


def test_learned_things_come_before_sharding(outcomes: dict[str, Outcomes]) -> None:
    """Refused, and nothing is changed then."""
    for messages in outcomes["late"]:
        for name, message in (
            ("attach", "the weight of '0' is sharded already, and ScaleParameter adds a Parameter: attach"),
            ("detach", "the weight of '0' is sharded: learned scales and clips cannot be folded into it"),
            ("detach, gathered", "the weight of '0' is sharded: learned scales and clips cannot be folded"),
        ):
            assert messages[name].startswith(message)


def test_clips_reach_the_part_in_low_precision(outcomes: dict[str, Outcomes]) -> None:
    """With bfloat16 in the forward the Parameter itself is clipped in float32."""
    torch.manual_seed(0)
    plain = mho.convert(nn.Linear(40, 31), mho.Hardware())
    attach(plain, Recipe(modifiers=(WeightClip(sigmas=1.0),)))
    before = plain.weight.detach().clone()
    plain(torch.ones(2, 40))
    for weight in outcomes["low"]:
        assert torch.equal(weight, plain.weight)
    assert not torch.equal(plain.weight, before)
