"""Descriptions: checked when made, frozen, and the same after a trip through JSON or YAML."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import os
import pkgutil
import stat
import subprocess
import sys
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import InstanceOf

import mho
from mho import config as cfg
from mho.config import Count, Finite, Fraction, NonNegative, Positive, config, kind_of
from mho.devices.dynamics import VTEAM
from mho.devices.pulsed import ReRamSB
from mho.errors import ConfigError

for module in pkgutil.walk_packages(mho.__path__, "mho."):
    importlib.import_module(module.name)

# Values for fields without a default where any value of the right type will not do.
EXAMPLES: dict[str, dict[str, Any]] = {
    "array.Simulated": {"model": mho.devices.dynamics.VTEAM()},
    "array.Swept": {"model": mho.devices.dynamics.VTEAM(), "amplitude": 1.0, "frequency": 5e7},
    "converters.Fixed": {"limit": 2.0},
    "devices.Endurance": {"cycles": 1e6, "law": mho.devices.GradualFailure(p_lrs=(1e3, 0.1, 0.2, 0.3))},
    "devices.FiniteStates": {"states": mho.devices.UniformG(count=5)},
    "devices.GradualFailure": {"p_lrs": (1e3, 0.1, 0.2, 0.3)},
    "devices.Independent": {"sigma": 0.1},
    "devices.Inverse": {"sigma": 0.1},
    "devices.Proportional": {"sigma": 0.1},
    "devices.LogNormal": {"sigma": 0.1},
    "devices.JumpCell": {"up": mho.devices.Jumps(g=(0.0, 1e-5), change=(0.0, 1e-6), cdf=((0.0, 1.0),) * 2)},
    "devices.Jumps": {"g": (0.0, 1e-5), "change": (0.0, 1e-6), "cdf": ((0.0, 1.0), (0.2, 0.9))},
    "devices.Loop": {"model": mho.devices.dynamics.VTEAM(), "free": ("r_on", "k_off")},
    "devices.Polynomial": {"coefficients": (0.1, -0.2)},
    "devices.RandomTelegraphNoise": {"step": mho.devices.Proportional(sigma=0.05)},
    "devices.Spread": {"mean": 1e5, "std": 1e4},
    "devices.TorchDistribution": {"name": "LogNormal", "parameters": (("loc", 7.0), ("scale", 0.2))},
    "devices.ReadDisturb": {
        "model": mho.devices.dynamics.VTEAM(r_on=1e4, r_off=1e9),
        "reads": 10.0,
        "pulse": 1e-9,
        "device": mho.devices.Ideal(g_min=1e-6),
    },
    "devices.RetentionFailure": {"law": mho.devices.GradualFailure(p_lrs=(1e3, 0.1, 0.2, 0.3))},
    "devices.SuddenFailure": {"g_lrs": 1e-4, "g_hrs": 1e-6, "p_hrs": (1e3, 0.1, 0.2, 0.3)},
    "devices.Table": {"g": (0.0, 1e-5), "sigma": (1e-6, 2e-6)},
    "devices.Temperature": {"kelvin": 350.0, "activation": 0.1, "alpha": 1e-3},
    "devices.TableNu": {"g": (0.0, 1e-5), "mean": (0.1, 0.05), "std": (0.0, 0.01)},
    "devices.Uniform": {"width": mho.devices.Proportional(sigma=0.3)},
    "experiments.SweepFolder": {"experiment": "experiments.ChipStudy"},
    "mapping.DevicePair": {"states": (1e-6, 3e-6)},
    "mapping.EvenLevels": {"count": 3},
    "mapping.LogLevels": {"per_sign": 3, "ratio": 10.0},
    "mapping.SingleDevice": {"states": (1e-6, 3e-6)},
    "programming.Train": {"voltage": -0.3, "width": 1e-11},
    "programming.VIPI": {
        "up": mho.programming.Train(voltage=0.5, width=1e-6),
        "down": mho.programming.Train(voltage=-0.5, width=1e-6),
        "most": 1.0,
    },
    "programming.VoltagePulses": {
        "up": mho.programming.Train(voltage=-0.3, width=1e-11),
        "down": mho.programming.Train(voltage=0.1, width=1e-9),
    },
    "training.AlphaBlending": {
        "levels": mho.mapping.EvenLevels(count=3),
        "annealing": mho.training.Annealing(steps=4),
    },
    "training.Annealing": {"steps": 4},
    "experiments.LearnStudy": {"settings": (mho.experiments.learn.LearnStudy().settings[0],)},
    "training.Quantizer": {"levels": mho.mapping.EvenLevels(count=3)},
    "training.STEQuantizer": {"levels": mho.mapping.EvenLevels(count=3)},
}
KINDS = {
    kind: made
    for kind, made in cfg.kinds().items()
    if made.__module__.split(".")[0] == "mho" and not inspect.isabstract(made)
}


def sample(wanted: Any) -> Any:
    """A value of an annotated type."""
    origin, parts = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return sample(parts[0])
    if origin is tuple:
        one = sample(parts[0])
        return (one, 2 * one) if isinstance(one, (int, float)) else (one,)
    if origin is Literal:
        return parts[0]
    if origin in (Union, UnionType):
        return None if type(None) in parts else sample(parts[0])
    plain = {bool: False, int: 2, float: 0.5, str: "text"}
    if wanted in plain:
        return plain[wanted]
    return example(next(kind for kind, made in KINDS.items() if issubclass(made, wanted)))


def example(kind: str) -> Any:
    """A description of that kind; fields without a default get a value of their type."""
    made = KINDS[kind]
    missing = dataclasses.MISSING
    needed = [
        f.name for f in dataclasses.fields(made) if f.default is missing and f.default_factory is missing
    ]
    types = get_type_hints(made, include_extras=True)
    try:
        return made(**(EXAMPLES.get(kind) or {name: sample(types[name]) for name in needed}))
    except ConfigError as error:
        raise AssertionError(f"give {kind} an example in EXAMPLES: {error}") from None


def test_the_search_finds_descriptions() -> None:
    assert {"Hardware", "Tile", "devices.PCM", "mapping.Fixed", "converters.Fixed", "training.Recipe"} <= set(
        KINDS
    )


# --- there and back ---------------------------------------------------------------------------


@st.composite
def varied(draw: st.DrawFn, value: Any) -> Any:
    """A description like this one with other numbers; itself where they do not hold together."""
    if dataclasses.is_dataclass(value):
        changes = {f.name: draw(varied(getattr(value, f.name))) for f in dataclasses.fields(value)}
        try:
            return dataclasses.replace(value, **changes)
        except ConfigError:
            return value
    if isinstance(value, bool):
        return draw(st.booleans())
    if isinstance(value, int):
        return value + draw(st.integers(-1, 3))
    if isinstance(value, float):
        return value * draw(st.floats(0.25, 1.75))
    if isinstance(value, tuple):
        return tuple(draw(varied(v)) for v in value)
    return value


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8)
@given(data=st.data())
def test_round_trip_of_every_description(kind: str, data: st.DataObject) -> None:
    value = data.draw(varied(example(kind)))
    text = cfg.to_json(value)
    assert json.loads(text)["kind"] == kind and json.loads(text)["format"] == cfg.FORMAT
    back = cfg.from_json(text)
    assert type(back) is type(value) and back == value and hash(back) == hash(value)
    assert cfg.digest(back) == cfg.digest(value)
    assert cfg.to_json(back) == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml"])
def test_round_trip_through_files(kind: str, suffix: str, tmp_path: Path) -> None:
    value = example(kind)
    path = tmp_path / "a folder" / f"description{suffix}"
    cfg.save(value, path)
    back = cfg.load(path)
    assert type(back) is type(value) and back == value
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_hardware_through_its_own_methods(tmp_path: Path) -> None:
    hardware = mho.Hardware(
        device=mho.devices.PCM(g_max=20e-6, nu=mho.devices.ConstantNu(mean=0.05, std=0.01)),
        mapping=mho.mapping.SignificancePairs(
            factors=(1.0, 2.0, 4.0), scale=mho.mapping.Percentile(fraction=0.99)
        ),
        tile=mho.Tile(rows=None, columns=128, full=True),
        dac=mho.DAC(steps=254, range=mho.converters.Learned(initial=2.0)),
        adc=mho.ADC(bits=6, range=mho.converters.Fixed(limit=4.0, low=-1.0), zero=False),
    )
    assert mho.Hardware.from_json(hardware.to_json()) == hardware
    for name in ("h.json", "h.yaml"):
        hardware.save(str(tmp_path / name))
        assert mho.Hardware.load(str(tmp_path / name)) == hardware


def test_yaml_by_hand(tmp_path: Path) -> None:
    """25e-6 is a number, not a text."""
    path = tmp_path / "chip.yaml"
    path.write_text(
        "kind: Hardware\n"
        "device: {kind: devices.PCM, g_max: 25e-6, g_min: 1E-7}\n"
        "tile:\n  kind: Tile\n  rows: 64\n"
    )
    wanted = mho.Hardware(device=mho.devices.PCM(g_max=25e-6, g_min=1e-7), tile=mho.Tile(rows=64))
    assert mho.Hardware.load(str(path)) == wanted


@config
class OwnPCM(mho.devices.PCM):
    """A user's own device, with one field more."""

    batch: Count = 1


def test_a_subclass_never_comes_back_as_its_base() -> None:
    hardware = mho.Hardware(device=OwnPCM(batch=7))
    back = mho.Hardware.from_json(hardware.to_json())
    assert type(back.device) is OwnPCM and back == hardware
    assert back != mho.Hardware(device=mho.devices.PCM())
    assert kind_of(OwnPCM) == "devices.OwnPCM"


# --- digests ----------------------------------------------------------------------------------


def test_equal_descriptions_have_equal_digests() -> None:
    assert cfg.digest(mho.Tile(rows=3)) == cfg.digest(mho.Tile(columns=256, rows=3))
    assert cfg.digest(mho.devices.Ideal(g_max=1)) == cfg.digest(mho.devices.Ideal(g_max=1.0))
    assert cfg.digest(mho.devices.Ideal(g_min=-0.0)) == cfg.digest(mho.devices.Ideal(g_min=0.0))
    digests = [cfg.digest(example(kind)) for kind in KINDS]
    assert len(set(digests)) == len(digests)
    assert all(0 <= d < 2**63 for d in digests)
    # a chip saved today is known by this number tomorrow
    assert cfg.digest(mho.mapping.Fixed(weight=0.25)) == 2984020330014879935


def test_digests_are_those_of_another_process() -> None:
    code = "import mho; from mho.config import digest; print(digest(mho.Hardware(device=mho.devices.PCM())))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == cfg.digest(mho.Hardware(device=mho.devices.PCM()))


def test_a_field_that_came_later_is_in_no_digest_at_its_default() -> None:
    @config
    class Grown:
        """A description as it was first released."""

        rows: Count = 4

    before, default = cfg.digest(Grown(rows=8)), cfg.digest({"device": Grown()})

    @config  # type: ignore[no-redef]
    class Grown:
        """The same, a version later."""

        rows: Count = 4
        columns: Count = cfg.later(default=2)

    assert cfg.digest(Grown(rows=8)) == before and cfg.digest({"device": Grown()}) == default
    assert cfg.digest(Grown(rows=8, columns=3)) != before
    assert cfg.to_dict(Grown())["columns"] == 2
    assert cfg.from_dict(cfg.to_dict(Grown(columns=3))) == Grown(columns=3)


# --- files are whole or not there -------------------------------------------------------------


@pytest.mark.parametrize("before", [None, "the old content"])
def test_a_write_that_fails_leaves_nothing_half_written(before: str | None, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    if before is not None:
        path.write_text(before)

    def write(temporary: Path) -> None:
        temporary.write_text("half of i")
        assert path.exists() == (before is not None)  # not yet
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cfg.write_whole(path, write)
    assert [p.name for p in tmp_path.iterdir()] == ([] if before is None else ["results.json"])
    assert before is None or path.read_text() == before


def test_a_written_file_replaces_the_old_one_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "chips.pt"
    seen = []

    def write(temporary: Path) -> None:
        assert temporary.parent == path.parent and temporary.suffix == ".pt"
        temporary.write_bytes(b"x" * 100)
        seen.append(path.exists() and path.read_bytes())

    cfg.write_whole(path, write)
    path.write_bytes(b"old")
    with path.open("rb") as reader:  # somebody reads while it is written
        cfg.write_whole(path, write)
        assert reader.read() == b"old"
    assert seen == [False, b"old"]
    assert path.read_bytes() == b"x" * 100
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)  # others may read it too


# --- wrong descriptions -----------------------------------------------------------------------


@config
class Part:
    """One field of each type."""

    positive: Positive = 1.0
    not_negative: NonNegative = 0.0
    finite: Finite = 0.0
    fraction: Fraction = 0.5
    count: Count = 1
    flag: bool = False
    choice: Literal["tensor", "column"] = "tensor"
    many: tuple[Positive, ...] = ()
    device: InstanceOf[mho.devices.Device] = mho.devices.Ideal()

    def validate(self) -> None:
        """A check across fields."""
        if self.flag and self.count == 1:
            raise ValueError("flag = True needs count = 2 or more")


WRONG = {
    "not positive": ({"positive": 0.0}, r"Part\.positive = 0\.0: input should be greater than 0"),
    "negative": ({"not_negative": -1.0}, r"Part\.not_negative = -1\.0: .*greater than or equal to 0"),
    "nan": ({"positive": float("nan")}, r"Part\.positive = nan: .*finite"),
    "infinite": ({"finite": float("inf")}, r"Part\.finite = inf: .*finite"),
    "more than all": ({"fraction": 1.5}, r"Part\.fraction = 1\.5: .*less than or equal to 1"),
    "none at all": ({"count": 0}, r"Part\.count = 0: .*greater than or equal to 1"),
    "text for a number": ({"count": "8"}, r"Part\.count = '8': .*valid integer"),
    "truth for a number": ({"count": True}, r"Part\.count = True: .*valid integer"),
    "number for truth": ({"flag": 1}, r"Part\.flag = 1: .*boolean"),
    "half a thing": ({"count": 2.0}, r"Part\.count = 2\.0: .*integer"),
    "no such choice": ({"choice": "colum"}, r"Part\.choice = 'colum': .*'tensor' or 'column'"),
    "one of many": ({"many": (1.0, -1.0)}, r"Part\.many\.1 = -1\.0: .*greater than 0"),
    "a name": ({"device": "PCM"}, r"Part\.device = 'PCM': this is a name; give .* devices\.PCM\(\.\.\.\)"),
    "a description of a file": ({"device": {"kind": "devices.PCM"}}, r"from_dict\(\.\.\.\) makes one of it"),
    "a model": ({"device": VTEAM(r_on=1e4, r_off=1e6)}, r"model of switching; .*Switching\(model=VTEAM\("),
    "a cell": ({"device": ReRamSB()}, r"how a cell answers pulses; .*Pulsed\(cell=SoftBounds\("),
    "nothing like a device": ({"device": 3}, r"Part\.device = 3: give one of .*devices\.PCM\(\.\.\.\)"),
    "a class": (
        {"device": mho.devices.PCM},
        r"Part\.device = .*this is a class; give an instance, PCM\(\.\.\.\)",
    ),
    "unknown key": (
        {"fracton": 1.0},
        r"Part has no 'fracton'; did you mean 'fraction'\? \(it has: choice, count, ",
    ),
    "nothing like it": ({"zzz": 1.0}, r"Part has no 'zzz' \(it has"),
    "across fields": ({"flag": True}, r"Part: flag = True needs count = 2 or more"),
    "two at once": ({"positive": -1.0, "count": 0}, r"positive = -1\.0.*; .*count = 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_values_are_named(name: str) -> None:
    values, message = WRONG[name]
    with pytest.raises(ConfigError, match=message):
        Part(**values)
    if name not in ("a name", "a description of a file", "a class", "nan", "infinite", "one of many"):
        with pytest.raises(ConfigError, match=message):
            cfg.from_dict({"kind": "Part", **values})


def test_descriptions_are_frozen_and_take_keywords_only() -> None:
    tile = mho.Tile(rows=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        tile.rows = 4  # type: ignore[misc]
    with pytest.raises(TypeError, match="positional"):
        mho.DAC(8)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="Fixed needs limit"):
        mho.converters.Fixed()  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"DAC\.bits = 0"):
        dataclasses.replace(mho.DAC(), bits=0)


DOCUMENTS = {
    "not JSON": ("{", "not JSON"),
    "a list": ("[1, 2]", "an object with a 'kind'"),
    "no kind": ("{}", "an object with a 'kind'"),
    "of tomorrow": ('{"format": 2, "kind": "Tile"}', "format = 2: this mho reads format 1; update mho"),
    "a misspelt kind": (
        '{"kind": "devices.PMC"}',
        r"no 'devices\.PMC'; did you mean 'devices\.PCM'\?.*must be imported",
    ),
    "a misspelt key": ('{"kind": "Tile", "row": 3}', r"Tile has no 'row'; did you mean 'rows'\?"),
    "a misspelt key inside": (
        '{"kind": "Hardware", "device": {"kind": "devices.PCM", "gmax": 1e-6}}',
        r"PCM has no 'gmax'; did you mean 'g_max'\?",
    ),
    "a wrong value": ('{"kind": "Tile", "rows": 0}', r"Tile\.rows = 0"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_wrong_documents_are_named(name: str, tmp_path: Path) -> None:
    text, message = DOCUMENTS[name]
    with pytest.raises(ConfigError, match=message):
        cfg.from_json(text)
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        cfg.load(tmp_path / "x.json")
    if name != "not JSON":  # YAML reads JSON
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(ConfigError, match=message):
            cfg.load(tmp_path / "x.yaml")


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.json, \.yaml or \.yml"):
        cfg.save(mho.Tile(), tmp_path / "tile.toml")
    (tmp_path / "tile.toml").touch()
    with pytest.raises(ConfigError, match=r"must end in \.json, \.yaml or \.yml"):
        cfg.load(tmp_path / "tile.toml")
    (tmp_path / "tile.yaml").write_text("a: [1,")
    with pytest.raises(ConfigError, match="not YAML"):
        cfg.load(tmp_path / "tile.yaml")
    cfg.save(mho.Tile(), tmp_path / "tile.json")
    with pytest.raises(ConfigError, match="describes a Tile, not a Hardware"):
        mho.Hardware.load(str(tmp_path / "tile.json"))


def test_two_descriptions_of_one_kind_are_refused() -> None:
    """A name in JSON means one class."""
    with pytest.raises(ConfigError, match=r"two descriptions are of kind 'devices\.PCM'.*rename yours"):

        @config
        class PCM(mho.devices.PCM):
            """Not the first of its name."""


@pytest.mark.parametrize("kind", ["PCM", "mho.devices.PCM", "mho.PCM", "devices.PCM"])
def test_names_that_python_has_are_kinds(kind: str) -> None:
    assert cfg.from_dict({"kind": kind, "g_max": 20e-6}) == mho.devices.PCM(g_max=20e-6)


def test_a_name_of_two_descriptions_says_which(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'Ideal' may be any of array\.Ideal, devices\.Ideal: write which"):
        cfg.from_dict({"kind": "Ideal"})
    path = tmp_path / "hardware.yaml"
    path.write_text("kind: Hardware\ndevice: {kind: PCM}\nadc: {kind: ADC, bits: 6}\n")
    assert mho.Hardware.load(path) == mho.Hardware(device=mho.devices.PCM(), adc=mho.ADC(bits=6))
