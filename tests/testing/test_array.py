"""Every array and every law keeps its contract; the checks see what they are there to see."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from mho.array import (
    AlternateColumns,
    Approximate,
    Array,
    Ideal,
    Law,
    NonlinearCells,
    Ohmic,
    PairedArray,
    Polynomial,
    Series,
    SharedColumns,
    Sinh,
    Table,
    Wires,
)
from mho.config import NonNegative, config
from mho.testing import check_array, check_law

from ..array import nodal

LINES = {
    "plain": Wires(row=3.0, column=2.0),
    "ends": Wires(row=3.0, column=2.0, driver=50.0, sense=20.0),
    "both ends": Wires(row=30.0, column=20.0, far_driver=5.0, far_sense=0.0),
    "no rows": Wires(row=0.0, column=40.0),
    "rough": Wires(row=1e3, column=2e3, sense=1e3),
}
EACH = Wires(row=(1.0, 20.0, 300.0), column=(5.0, 0.0), driver=(0.0, 10.0, 1e6), sense=7.0)


def solved(wires: Wires, g: Tensor) -> Tensor:
    """The dense solve of the network."""
    names = ("driver", "sense", "far_driver", "far_sense")
    ends = {name: getattr(wires, name) for name in names}
    return torch.from_numpy(nodal.effective(g.numpy(), wires.row, wires.column, **ends))


@pytest.mark.parametrize("name", LINES)
def test_wires_are_the_nodal_solution(name: str) -> None:
    wires = LINES[name]
    check_array(wires, truth=partial(solved, wires))


@pytest.mark.parametrize("kind", [AlternateColumns, SharedColumns])
def test_pairs(kind: type[PairedArray]) -> None:
    check_array(kind(wires=LINES["rough"]))
    check_array(kind(wires=LINES["both ends"]), size=(3, 2), truth=partial(solved, LINES["both ends"]))


def test_wires_with_a_resistance_for_each_line() -> None:
    check_array(EACH, size=(3, 2), truth=partial(solved, EACH))


def test_the_others() -> None:
    check_array(Ideal(), truth=lambda g: g)
    check_array(Approximate(row=1.0, column=2.0, driver=10.0))
    check_array(Approximate(row=1.0, column=2.0, coefficients=(1.0, 1.0, 0.1, 0.2, 0.1)))


LAWS = [
    Ohmic(),
    Sinh(v_c=0.1),
    Polynomial(coefficients=(0.2, -0.25)),
    Table(v=(0.0, 0.1, 0.3), h=(0.0, 0.1, 0.5)),
    Table(v=(-0.3, 0.0, 0.1, 0.3), h=(-0.1, 0.0, 0.1, 0.5)),
    Series(cell=Ohmic(), selector=Sinh(v_c=0.05), selector_g=1e-5),
]


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_laws(law: Law) -> None:
    check_law(law, voltage=0.35)


@pytest.mark.parametrize(
    ("base", "checked"),
    [
        (
            Array,
            (
                *LINES.values(),
                *(k(wires=EACH) for k in (AlternateColumns, SharedColumns)),
                Ideal(),
                Approximate(row=0.0, column=0.0),
            ),
        ),
        (Law, LAWS),
    ],
)
def test_every_class_is_checked(base: type, checked: tuple) -> None:
    def all_of(kind: type) -> set[type]:
        return {kind}.union(*(all_of(k) for k in kind.__subclasses__()))

    own = {k for k in all_of(base) if k.__module__.startswith("mho.") and k.__name__[0] != "_"}
    own -= all_of(NonlinearCells)  # no matrix describes them: tests/array/test_cells.py
    assert own - {base, PairedArray} == {type(part) for part in checked}


# --- broken ones -------------------------------------------------------------------------------


@config
class SoundArray(Array):
    """One resistance in front of each row; the broken ones replace a method of it."""

    ohms: NonNegative = 100.0

    def effective_conductance(self, g: Tensor) -> Tensor:
        return g / (1 + self.ohms * g.sum(-1, keepdim=True))


SOUND = SoundArray.effective_conductance


def changed(change: Callable[[Tensor, Tensor], Tensor]) -> Callable[[SoundArray, Tensor], Tensor]:
    return lambda self, g: change(SOUND(self, g), g)


def in_place(self: SoundArray, g: Tensor) -> Tensor:
    g.mul_(0.999)
    return SOUND(self, g)


def one_row(eff: Tensor, g: Tensor) -> Tensor:
    """All current through the first row."""
    share = torch.zeros_like(eff)
    share[..., 0, :] = 1
    return eff.sum(-2, keepdim=True) * share


BROKEN = {
    "in place": (in_place, "in place"),
    "one tile": (changed(lambda eff, g: eff[0] if g.dim() > 2 and len(g) else eff), "shape"),
    "always float32": (changed(lambda eff, g: eff.float()), "dtype"),
    "infinite": (changed(lambda eff, g: eff / (g > 0)), "finite"),
    "noise of its own": (changed(lambda eff, g: eff * (1 + 1e-9 * torch.rand_like(eff))), "the same for the"),
    "looks at other tiles": (changed(lambda eff, g: eff * (1 - g.mean() * 1e3)), "other tiles"),
    "more than there is": (changed(lambda eff, g: eff * 1.02), "more current than ideal"),
    "more from one row": (changed(one_row), "one row is"),
    "negative": (changed(lambda eff, g: eff - 1e-5 * (g > 0)), "negative"),
    "leaks": (changed(lambda eff, g: eff + 1e-12), "without conductances"),
    "rough in float32": (changed(lambda eff, g: eff * (0.999 if g.dtype.itemsize == 4 else 1)), "float64"),
    "no gradient": (changed(lambda eff, g: eff.detach()), "must reach"),
    "the gradient of ideal wires": (changed(lambda eff, g: g + (eff - g).detach()), "gradients must be"),
}


def test_a_sound_array_passes() -> None:
    check_array(SoundArray())
    check_array(SoundArray(ohms=0.0), size=(7, 1), truth=lambda g: g)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_array_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    replacement, message = BROKEN[name]
    monkeypatch.setattr(SoundArray, "effective_conductance", replacement)
    with pytest.raises(AssertionError, match=message):
        check_array(SoundArray())


def test_another_truth_and_broken_copies_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="truth given, for 5 x 4"):
        check_array(SoundArray(), truth=lambda g: g)
    monkeypatch.setattr(SoundArray, "effective_copies", lambda self, g, analog: 1.1 * g)
    with pytest.raises(AssertionError, match="effective_copies must not carry more"):
        check_array(SoundArray())
    with pytest.raises(AssertionError, match=r"must derive from mho.array.Array"):
        check_array(object())


@config
class SoundLaw(Law):
    """A correct law; the broken ones replace a method of it."""

    def current(self, v: Tensor, g: Tensor) -> Tensor:
        return g * (v + v**3)

    def slope(self, v: Tensor, g: Tensor) -> Tensor:
        return g * (1 + 3 * v**2)


BROKEN_LAWS = {
    "a battery": ("current", lambda self, v, g: g * (v + 0.01), "against the voltage"),
    "falls": ("current", lambda self, v, g: g * (v - 20 * v**3).abs() * v.sign(), "rise with"),
    "leaks": ("current", lambda self, v, g: (g + 1e-9) * (v + v**3), "without conductance"),
    "looks at the others": ("current", lambda self, v, g: g * v * (1 + v.max()), "other cells"),
    "in place": ("current", lambda self, v, g: g.mul_(1.001) * v, "in place"),
    "always float32": ("current", lambda self, v, g: (g * v).float(), "dtype"),
    "wrong slope": ("slope", lambda self, v, g: g * (1 + 2.9 * v**2), "slope must be"),
    "no gradient": ("current", lambda self, v, g: g * v + (g * v**3).detach(), "by the conductance"),
}


def test_a_sound_law_passes() -> None:
    check_law(SoundLaw())


@pytest.mark.parametrize("name", BROKEN_LAWS)
def test_a_broken_law_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, replacement, message = BROKEN_LAWS[name]
    monkeypatch.setattr(SoundLaw, method, replacement)
    with pytest.raises(AssertionError, match=message):
        check_law(SoundLaw())
