"""Numbers of numpy are numbers; truth values are none, and no device conducts more than a siemens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import mho
from mho import config as cfg
from mho.config import Finite, config
from mho.devices import PCM, Generic, JumpCell, Jumps, StuckAt, Switching, Temperature
from mho.devices.bias_laws import TableBias
from mho.devices.dynamics import VTEAM
from mho.devices.effects.failure import SuddenFailure
from mho.devices.effects.states import Measured
from mho.devices.error_laws import Table
from mho.devices.exponents import TableNu
from mho.errors import ConfigError

WHOLE = [np.int8(8), np.uint16(8), np.int64(8), np.array(8), *np.arange(8, 9)]
REAL = [
    np.float16(0.5),
    np.float32(0.5),
    np.float64(0.5),
    np.longdouble(0.5),
    np.array(0.5),
    *np.linspace(0.5, 1, 1),
]
TRUE = [np.True_, np.array(True), torch.tensor(True)]


@config
class Numbers:
    """What may be given in many ways."""

    number: Finite = 0.0
    many: tuple[Finite, ...] = ()
    amount: int | float = 0
    pairs: tuple[tuple[str, int], ...] = ()
    flag: bool = False


def named(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


@pytest.mark.parametrize("value", WHOLE, ids=named)
def test_whole_numbers(value: Any) -> None:
    adc, tile = mho.ADC(bits=value), mho.Tile(rows=value)
    assert type(adc.bits) is int and adc == mho.ADC(bits=8) and tile == mho.Tile(rows=8)
    assert type(Numbers(number=value).number) is float


@pytest.mark.parametrize("value", REAL, ids=named)
def test_real_numbers(value: Any) -> None:
    made = Numbers(number=value, many=(value, 1.0), amount=value)
    assert (type(made.number), type(made.many[0]), type(made.amount)) == (float, float, float)
    assert cfg.from_json(cfg.to_json(made)) == made == Numbers(number=0.5, many=(0.5, 1.0), amount=0.5)


def test_one_cell_is_one_cell() -> None:
    assert StuckAt(lrs=np.int64(1)) == StuckAt(lrs=1)  # 1.0 is all of them
    amount: Any = np.array(1)
    assert type(Numbers(amount=amount).amount) is int


def test_numbers_within_tuples() -> None:
    levels = mho.converters.Fixed(limit=np.float32(2.0))
    assert type(levels.limit) is float
    assert Numbers(pairs=(("a", np.int32(1)),)).pairs == (("a", 1),)


@pytest.mark.parametrize("value", TRUE, ids=named)
def test_truth_values_are_no_numbers(value: Any) -> None:
    assert Numbers(flag=value).flag is True
    for wrong in ({"number": value}, {"many": (value,)}):
        with pytest.raises(ConfigError, match="True: input should be a valid number"):
            Numbers(**wrong)
    with pytest.raises(ConfigError, match=r"PCM\.g_max = True: input should be a valid number"):
        PCM(g_max=value)
    with pytest.raises(ConfigError, match=r"ADC\.bits = True: input should be a valid integer"):
        mho.ADC(bits=value)


@pytest.mark.parametrize("value", [np.array([8]), np.float64(8.0), np.complex64(8), np.str_("8")], ids=named)
def test_what_is_no_whole_number_stays_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"ADC\.bits = .*valid integer"):
        mho.ADC(bits=value)


def test_verbs_take_them_too() -> None:
    model = torch.nn.Linear(4, 3)
    made, same = (mho.convert(model, mho.Hardware(device=PCM()), bias_rows=rows) for rows in (np.int64(2), 2))
    seed: Any = np.array(3)
    seconds: Any = np.array(60.0)
    mho.program(made, seed=seed)
    mho.program(same, seed=3)
    mho.age(made, seconds)
    mho.age(same, 60)
    assert torch.equal(*(mho.effective_weights(m)[""] for m in (made, same)))
    wrongs: list[Any] = [np.True_, np.array(True)]
    for wrong in wrongs:
        with pytest.raises(TypeError, match="seed = True"):
            mho.program(made, seed=wrong)
        with pytest.raises(TypeError, match="seconds = True"):
            mho.age(made, wrong)


# --- siemens ------------------------------------------------------------------------------------

JUMPS = {"change": (0.0, 1e-6), "cdf": ((0.5, 1.0), (0.5, 1.0))}
MICROSIEMENS: dict[str, Callable[[], object]] = {
    "PCM: g_max = 25.0 S": lambda: PCM(g_max=25),
    "PCM: g_min = 2.0 S": lambda: PCM(g_min=2.0, g_max=25.0),
    "Generic: g_max = 25.0 S": lambda: Generic(g_max=np.float32(25)),
    "Switching: g_max = 25.0 S": lambda: Switching(model=VTEAM(r_on=0.04, r_off=1000.0)),
    r"Jumps\.g\.1 = 25.0": lambda: Jumps(g=(0.0, 25.0), **JUMPS),  # type: ignore[arg-type]
    r"Table\.g\.1 = 25.0": lambda: Table(g=(0.0, 25.0), sigma=(0.0, 0.0)),
    r"Table\.sigma\.0 = 25.0": lambda: Table(g=(0.0, 25e-6), sigma=(25.0, 0.0)),
    r"TableBias\.mean\.1 = 25.0": lambda: TableBias(g=(0.0, 25e-6), mean=(0.0, 25.0)),
    r"TableNu\.g\.1 = 25.0": lambda: TableNu(g=(0.0, 25.0), mean=(0.1, 0.1), std=(0.0, 0.0)),
    r"Measured\.g\.1 = 25.0": lambda: Measured(g=(0.0, 25.0)),
    r"StuckAt\.g_lrs = 25.0": lambda: StuckAt(lrs=0.1, g_lrs=25.0),
    r"StuckAt\.g_unformed = 25.0": lambda: StuckAt(unformed=0.1, g_unformed=25.0),
    r"SuddenFailure\.g_lrs = 25.0": lambda: SuddenFailure(g_lrs=25.0, g_hrs=1e-6, p_lrs=(1.0, 0.0, 0.0, 0.0)),
    r"Temperature\.g_hrs = 25.0": lambda: Temperature(g_hrs=25.0),  # type: ignore[call-arg]
}


@pytest.mark.parametrize("name", MICROSIEMENS)
def test_microsiemens_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*no memory cell conducts more than 1 S; give siemens: "):
        MICROSIEMENS[name]()


def test_a_siemens_is_allowed() -> None:
    assert PCM(g_max=1).g_max == 1.0
    assert JumpCell(up=Jumps(g=(0.0, 1.0), **JUMPS)).g_max == 1.0  # type: ignore[arg-type]


def test_the_message_says_what_to_give() -> None:
    with pytest.raises(ConfigError, match="give siemens: 25e-6 for 25 microsiemens"):
        PCM(g_max=25)
