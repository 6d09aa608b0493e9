"""What changes weights behind torch's back is noticed: in evaluation, without reading the weights."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune
from torch.nn.utils.parametrizations import weight_norm

import mho
from mho.chip import weight_changes as changes
from mho.errors import StaleChipWarning

HARDWARE = mho.Hardware(device=mho.devices.PCM(read_scale=0.0), tile=mho.Tile(rows=8))
LAYERS: dict[str, tuple[Callable[[], nn.Module], torch.Tensor]] = {
    "one array": (lambda: nn.Linear(6, 4), torch.linspace(-1, 1, 18).view(3, 6)),
    "several": (lambda: nn.GRU(6, 4), torch.linspace(-1, 1, 36).view(2, 3, 6)),
    "computed": (lambda: weight_norm(nn.Linear(6, 4)), torch.linspace(-1, 1, 18).view(3, 6)),
}


def programmed(name: str = "one array", bias_rows: int = 0) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    make, x = LAYERS[name]
    analog = mho.convert(make(), HARDWARE, bias_rows=bias_rows).eval()
    mho.program(analog, seed=0)
    return analog, x


def warned(analog: nn.Module, x: torch.Tensor) -> int:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        analog(x)
    assert all(w.category is StaleChipWarning for w in seen)
    return len(seen)


def arrays(analog: nn.Module) -> list[mho.nn.Crossbar]:
    return [m for m in analog.modules() if isinstance(m, mho.nn.Crossbar)]


OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "SGD, foreach": lambda p: torch.optim.SGD(p, lr=0.1, foreach=True),
    "SGD, fused": lambda p: torch.optim.SGD(p, lr=0.1, fused=True),
    "Adam, foreach": lambda p: torch.optim.Adam(p, lr=0.1, foreach=True),
    "Adam, fused": lambda p: torch.optim.Adam(p, lr=0.1, fused=True),
    "AdamW, fused": lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
    "Adagrad, fused": lambda p: torch.optim.Adagrad(p, lr=0.1, fused=True),
}


def _first(analog: nn.Module) -> nn.Parameter:
    return next(p for p in analog.parameters() if p.dim() == 2)


def _whole_vector(analog: nn.Module) -> None:
    vector = nn.utils.parameters_to_vector(analog.parameters()).detach()
    nn.utils.vector_to_parameters(1.5 * vector, analog.parameters())


def _assigned(analog: nn.Module) -> None:
    for parameter in analog.parameters():
        parameter.data = parameter.data + 0.1


def _copied(analog: nn.Module) -> None:
    with torch.no_grad():
        for parameter in analog.parameters():
            parameter.copy_(parameter + 0.1)


EDITS: dict[str, Callable[[nn.Module], None]] = {
    "vector_to_parameters": _whole_vector,
    ".data = ...": _assigned,
    "copy_": _copied,
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_step_in_evaluation_is_noticed(kind: str, layer: str) -> None:
    """Each array warns once after a step that changed it, and is silent when nothing happened since."""
    analog, x = programmed(layer)
    optimizer = OPTIMIZERS[kind](list(analog.parameters()))
    assert warned(analog, x) == 0
    for _ in range(3):
        optimizer.zero_grad()
        out = analog(x)
        (out[0] if isinstance(out, tuple) else out).square().sum().backward()
        optimizer.step()
        assert all(a.is_stale() for a in arrays(analog))
        assert (warned(analog, x), warned(analog, x)) == (len(arrays(analog)), 0)
    mho.program(analog, seed=1)
    assert warned(analog, x) == 0 and not any(a.is_stale() for a in arrays(analog))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_in_evaluation_is_noticed(edit: str, layer: str) -> None:
    analog, x = programmed(layer)
    EDITS[edit](analog)
    assert all(a.is_stale() for a in arrays(analog))
    assert (warned(analog, x), warned(analog, x)) == (len(arrays(analog)), 0)


@pytest.mark.parametrize("kind", ["SGD, fused", "Adam, fused"])
def test_a_bias_on_rows_of_the_array(kind: str) -> None:
    """It is on the array; a digital one is not, and its steps are of no concern."""
    for bias_rows in (2, 0):
        analog, x = programmed(bias_rows=bias_rows)
        optimizer = OPTIMIZERS[kind]([analog.bias])
        analog(x).square().sum().backward()
        optimizer.step()
        assert analog.is_stale() == bool(bias_rows) and warned(analog, x) == bool(bias_rows)
        analog.bias.data = analog.bias.data + 1.0
        assert warned(analog, x) == bool(bias_rows)


def test_a_change_through_an_alias_is_seen_by_those_who_read() -> None:
    """``.data.add_`` leaves no trace but in the values: forwards pass, ``is_stale`` and ``eval`` do not."""
    for edit in (
        lambda w: w.data.add_(0.1),
        lambda w: w.data.zero_(),
        lambda w: w.detach().numpy().__setitem__(0, 1.0),
    ):
        analog, x = programmed()
        edit(_first(analog))
        assert warned(analog, x) == 0 and analog.is_stale()
        with pytest.warns(StaleChipWarning):
            analog.eval()


def test_steps_of_others_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are read only after a step of an optimizer that holds them; a forward reads none."""
    analog, x = programmed()
    other = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([other], lr=0.1, fused=True)
    reads = []
    whole = mho.nn.Crossbar.fingerprint
    monkeypatch.setattr(mho.nn.Crossbar, "fingerprint", lambda self: reads.append(self) or whole(self))
    for _ in range(2):
        other.sum().backward()
        optimizer.step()
        assert warned(analog, x) == 0
    assert reads == []
    optimizer.add_param_group({"params": list(analog.parameters())})
    analog(x).square().sum().backward()
    optimizer.step()
    assert (warned(analog, x), warned(analog, x)) == (1, 0)
    assert len(reads) == 1


def test_moves_and_copies_change_nothing() -> None:
    """Neither for a fresh chip nor for one that was reported stale."""
    for stale in (False, True):
        analog, x = programmed("several")
        if stale:
            _copied(analog)
            assert warned(analog, x) == len(arrays(analog))
        assert warned(analog.to(torch.float64).to(torch.float32), x) == 0
        for twin in (copy.deepcopy(analog), pickle.loads(pickle.dumps(analog))):
            assert warned(twin, x) == stale * len(arrays(analog))  # new tensors: looked at once


def test_counts_go_with_their_parameters() -> None:
    gc.collect()
    before = len(changes.STEPS)
    analog, _ = programmed()
    assert len(changes.STEPS) == before + 1
    del analog
    gc.collect()
    assert len(changes.STEPS) == before


def test_a_compiled_step_is_noticed() -> None:
    """What a graph writes is counted; torch itself breaks the graph of a step, so it is not whole."""
    torch._dynamo.reset()
    analog, x = programmed()
    optimizer = torch.optim.SGD(analog.parameters(), lr=0.1)
    step = torch.compile(optimizer.step, backend="aot_eager")
    for _ in range(2):
        analog(x).square().sum().backward()
        step()
        assert warned(analog, x) == 1 and analog.is_stale()


def test_a_forward_compiles_whole() -> None:
    torch._dynamo.reset()
    analog, x = programmed()
    compiled = torch.compile(analog, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(x), analog(x), atol=1e-5)


def test_importing_mho_leaves_torch_as_it_was() -> None:
    """No hook in optimizers before a chip is programmed, and no compiler."""
    code = (
        "import sys, mho, torch; from torch.optim import optimizer as o; "
        "assert not o._global_optimizer_post_hooks and 'torch._dynamo' not in sys.modules; "
        "m = mho.convert(torch.nn.Linear(3, 2), mho.Hardware()); mho.program(m, seed=0); "
        "assert len(o._global_optimizer_post_hooks) == 1 and 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def _mask_in_place(analog: nn.Module) -> None:
    analog.weight_mask.zero_()


def _pruned_again(analog: nn.Module) -> None:
    prune.random_unstructured(analog, "weight", amount=0.5)


def _masked_in_place(analog: nn.Module) -> None:
    analog.parametrizations.weight[0].mask.zero_()


class _Mask(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(4, 6))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight * self.mask


def _masked() -> nn.Module:
    layer = nn.Linear(6, 4)
    parametrize.register_parametrization(layer, "weight", _Mask())
    return layer


MASKS: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], None]]] = {
    "mask of a pruned layer": (
        lambda: prune.random_unstructured(nn.Linear(6, 4), "weight", amount=0.3),
        _mask_in_place,
    ),
    "pruned again": (
        lambda: prune.random_unstructured(nn.Linear(6, 4), "weight", amount=0.3),
        _pruned_again,
    ),
    "pruned later": (lambda: nn.Linear(6, 4), _pruned_again),
    "mask of a parametrisation": (_masked, _masked_in_place),
    "mask of a recurrent layer": (
        lambda: prune.random_unstructured(nn.GRU(6, 4), "weight_hh_l0", amount=0.3),
        lambda analog: analog.weight_hh_l0_mask.zero_(),
    ),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_that_changed_in_evaluation_is_noticed(name: str) -> None:
    """Weights are computed from buffers too."""
    make, change = MASKS[name]
    torch.manual_seed(0)
    analog = mho.convert(make(), HARDWARE).eval()
    mho.program(analog, seed=0)
    x = torch.linspace(-1, 1, 18).view(3, 6)
    assert (warned(analog, x), warned(analog, x)) == (0, 0)
    change(analog)
    assert any(a.is_stale() for a in arrays(analog))
    assert (warned(analog, x), warned(analog, x)) == (1, 0)
    mho.program(analog, seed=1)
    assert warned(analog, x) == 0


@pytest.mark.parametrize(
    "verb",
    [
        lambda compiled: compiled.eval(),
        lambda compiled: mho.age(compiled, 60.0),
        mho.compensate,
        lambda compiled: mho.degrade(compiled, mho.devices.StuckAt(lrs=0.1), seed=0),
    ],
    ids=["eval", "age", "compensate", "degrade"],
)
def test_of_a_compiled_model_the_verbs_notice(verb: Callable[[nn.Module], None]) -> None:
    """No forward of a graph looks; the documentation says so."""
    torch._dynamo.reset()
    analog, x = programmed()
    compiled = torch.compile(analog, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        assert warned(compiled, x) == 0
        analog.weight.add_(1.0)
        assert warned(compiled, x) == 0
    with pytest.warns(StaleChipWarning):
        verb(compiled)
