"""Units of measured columns: every fit reads every unit in every layout as the same conductances."""

from __future__ import annotations

import functools
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mho import config
from mho.devices import Fusion, JumpTable, Loop, PulseTrain, Retention, States, fit
from mho.devices.dynamics import LinearIonDrift, sine
from mho.devices.fitting.heads import CELLS, read_head, read_unit
from mho.errors import ConfigError

from ...compositions.covering import covering

V = 0.1  # volts, of every read
UNITS = ("S", "mS", "uS", "µS", "nS", "ohm", "kohm", "kOhm", "MΩ", "A", "uA", "nA")
NAMES = {"S": "conductance", "ohm": "resistance", "A": "current"}
RNG = np.random.default_rng(0)

# --- measured tables, in siemens: (name, role) -> numbers; the roles are those of `written_in` ---

TIME = np.geomspace(20.0, 2e4, 6)
CELL_1, CELL_2 = (18e-6 * (TIME / 20) ** -nu * np.exp(0.01 * RNG.normal(size=6)) for nu in (0.05, 0.07))
PULSES = np.linspace(0, 1, 12)
UP = 5e-6 + 40e-6 * np.expm1(-2 * PULSES) / np.expm1(-2) + 0.2e-6 * RNG.normal(size=12)
DOWN = 45e-6 - 40e-6 * np.expm1(-3 * PULSES) / np.expm1(-3) + 0.2e-6 * RNG.normal(size=12)
TARGETS = np.repeat([5e-6, 10e-6, 15e-6, 20e-6], 5)
RESULTS = TARGETS + 0.3e-6 * RNG.normal(size=20)
MEANS = np.array([2e-6, 5e-6, 10e-6, 20e-6])
STEPS = np.tile([0.1e-6, 0.5e-6, 1e-6], 2)
FITS = {
    "retention, wide": (
        {
            ("time_s", ""): TIME,
            ("c1", "cell"): CELL_1,
            ("c2", "cell"): CELL_2,
            ("temperature_K", ""): 300 + TIME,
        },
        Retention(),
    ),
    "retention, one cell": ({("time_s", ""): TIME, ("c1", "cell"): CELL_1}, Retention()),
    "retention, long": (
        {
            ("cell", ""): np.repeat([1, 2], 6),
            ("time_s", ""): np.tile(TIME, 2),
            ("", "cell"): np.concatenate([CELL_1, CELL_2]),
        },
        Retention(),
    ),
    "pulses, up and down": ({("up", "cell"): UP, ("down", "cell"): DOWN}, PulseTrain()),
    "pulses, one column": ({("pulse", ""): np.arange(12), ("", "cell"): UP}, PulseTrain()),
    "states": ({("mean", "cell"): MEANS, ("std", "std"): 0.05 * MEANS + 0.1e-6}, States(degree=1)),
    "results": ({("target", "cell"): TARGETS, ("", "cell"): RESULTS}, States(degree=1)),
    "fusion": ({("target", "cell"): TARGETS, ("", "cell"): RESULTS}, Fusion(groups=4, degree=1)),
    "jumps": (
        {
            ("", "cell"): np.repeat([5e-6, 20e-6], 3),
            ("dG", "change"): STEPS,
            ("CDF", ""): np.tile([0, 0.4, 1], 2),
        },
        JumpTable(),
    ),
}
STYLES = {
    "c1_uS": "{}_{}".format,
    "c1 (uS)": "{} ({})".format,
    "c1 [uS]": "{} [{}]".format,
    "c1/uS": "{}/{}".format,
    "c1 in uS": "{} in {}".format,
    "C1 / uS": lambda name, unit: f"{name.title()} / {unit}",
}


def written_in(unit, columns, style=STYLES["c1_uS"]):
    """The table as somebody writes it who measured in `unit`: heads and numbers."""
    kind, factor = read_unit(unit)
    siemens = [numbers for (_, role), numbers in columns.items() if role == "cell"]
    made = {}
    for (name, role), numbers in columns.items():
        if not role:
            made[name] = numbers
            continue
        if kind == "ohm":
            numbers = 1 / numbers if role == "cell" else numbers / siemens[0] ** 2
        elif kind == "A":
            numbers = V * numbers
        made[style(name or NAMES[kind], unit)] = numbers / factor
    return made


def commented(mark):
    def write(table, path):
        np.savetxt(path, np.stack(list(table.values()), 1), delimiter=mark, header=mark.join(table))
        return path

    return write


def headed(mark, comment=""):
    def write(table, path):
        rows = [table, *zip(*(map(repr, map(float, column)) for column in table.values()), strict=True)]
        path.write_text(comment + "\n".join(mark.join(row) for row in rows), encoding="utf-8")
        return path

    return write


def with_a_line_of_units(table, path):
    heads = [re.fullmatch(r"(.*?)(?:_([^_]*))?", head).groups() for head in table]
    rows = [[name for name, _ in heads], [unit or "" for _, unit in heads]]
    rows += zip(*(map(repr, map(float, column)) for column in table.values()), strict=True)
    path.write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    return path


def across(table, path):
    lines = [",".join([head, *map(repr, map(float, column))]) for head, column in table.items()]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def turned(write):
    return lambda table, path: write(dict(reversed(table.items())), path)


LAYOUTS = {
    "commas": headed(","),
    "semicolons": headed(";"),
    "tabs": headed("\t"),
    "blanks": headed(" "),
    "comments above": headed(",", "# from the probe station\n% chip 3, cell 4\n\n"),
    "last column first": turned(headed(",")),
    "behind #, commas": commented(","),
    "behind #, semicolons": commented(";"),
    "behind #, tabs": commented("\t"),
    "behind #, blanks": commented(" "),
    "behind #, last column first": turned(commented(",")),
    "a line of units": with_a_line_of_units,
    "a row for each quantity": across,
    "mapping": lambda table, path: table,
    "data frame": lambda table, path: pd.DataFrame(table),
}


def read_at(measurement, unit):
    return replace(measurement, v_read=V) if read_unit(unit)[0] == "A" else measurement


@functools.cache
def reference(name):
    columns, how = FITS[name]
    return fit(written_in("S", columns), how)


def check_same(made, wanted):
    assert [e.name.partition("(")[0] for e in made.card.parameters] == [
        e.name.partition("(")[0] for e in wanted.card.parameters
    ]
    for a, b in zip(made.card.parameters, wanted.card.parameters, strict=True):
        assert a.value == pytest.approx(b.value, rel=1e-5, abs=1e-9 if not b.unit else 1e-14)
    np.testing.assert_allclose(
        np.sort(made.points["measured"]), np.sort(wanted.points["measured"]), rtol=1e-6
    )


def takes(name, unit):
    return name != "jumps" or read_unit(unit)[0] != "ohm"


def may_be(row) -> bool:
    """A fit in a layout and a unit; Fusion reads files of its own, changes of jumps are never in ohms."""
    name, layout, unit = row
    if name == "fusion" and layout not in (None, "mapping", "data frame"):
        return False
    return None in (name, unit) or takes(name, unit)


@pytest.mark.parametrize(
    ("name", "layout", "unit"), covering([list(FITS), list(LAYOUTS), ["uS", "kohm", "nA"]], may_be)
)
def test_every_layout_is_the_same_measurement(name, layout, unit, tmp_path) -> None:
    columns, how = FITS[name]
    source = LAYOUTS[layout](written_in(unit, columns), tmp_path / "t.csv")
    check_same(fit(source, read_at(how, unit)), reference(name))


@pytest.mark.parametrize(("name", "unit", "style"), covering([list(FITS), list(UNITS), list(STYLES)]))
def test_every_unit_is_the_same_measurement(name, unit, style) -> None:
    if not takes(name, unit):
        with pytest.raises(ValueError, match="holds changes in ohms; .* give dG"):
            fit(written_in(unit, FITS[name][0]), FITS[name][1])
        return
    columns, how = FITS[name]
    check_same(fit(written_in(unit, columns, STYLES[style]), read_at(how, unit)), reference(name))


@pytest.mark.parametrize("name", FITS)
def test_amperes_need_their_read_voltage(name) -> None:
    columns, how = FITS[name]
    table = written_in("nA", columns)
    with pytest.raises(ValueError, match=r"holds currents; .* say v_read \(volts\), or give a column"):
        fit(table, how)
    for head, volts in (("Vread_V", V), ("read voltage (mV)", 1e3 * V), ("meas_v", V), ("ReadVoltage", V)):
        rows = len(next(iter(table.values())))
        check_same(fit({**table, head: np.full(rows, volts)}, how), reference(name))
        with pytest.raises(ValueError, match=r"v_read = 0.2 V, but the column .* says 0.1 V"):
            fit({**table, head: np.full(rows, volts)}, replace(how, v_read=2 * V))
    assert fit(table, replace(how, v_read=V)).device.v_read == V


# --- tables without heads ------------------------------------------------------------------------

BARE = {
    "retention, one cell": ("time_s", ""),
    "retention, wide": ("time_s", "c1", "c2"),
    "pulses, up and down": ("up", "down"),
    "jumps": ("", "dG", "CDF"),
}


def bare(name, unit, path, mark="\t"):
    columns = {key: value for key, value in FITS[name][0].items() if "temperature" not in key[0]}
    np.savetxt(path, np.stack(list(written_in(unit, columns).values()), 1), delimiter=mark)
    return path


@pytest.mark.parametrize("mark", [",", ";", "\t", " "])
@pytest.mark.parametrize("name", BARE)
def test_a_table_without_heads_has_the_unit_that_is_told(name, mark, tmp_path) -> None:
    for unit in UNITS:
        if takes(name, unit):
            path = bare(name, unit, tmp_path / "t.csv", mark)
            check_same(fit(path, replace(read_at(FITS[name][1], unit), unit=unit)), reference(name))
    array = np.loadtxt(bare(name, "uS", tmp_path / "t.csv"))
    check_same(fit(array, replace(FITS[name][1], unit="uS")), reference(name))


@pytest.mark.parametrize(
    ("ohms", "written"),
    [(ohms, unit) for ohms in (2e3, 5e3, 5e4, 2e5, 1e6, 9e6) for unit in ("ohm", "kohm", "Mohm")],
)
@pytest.mark.parametrize("told", [1.0, 1e-3, 1e-6])
def test_advice_names_units_that_make_a_cell_of_it(ohms, written, told, tmp_path) -> None:
    """Numbers in ohms, taken for siemens: what is refused is read as it is once the unit is named."""
    numbers = ohms / read_unit(written)[1] * (TIME / 20) ** 0.05  # the largest comes last, and drifts down
    np.savetxt(tmp_path / "t.csv", np.stack([TIME, numbers], 1))
    if numbers.max() * told <= 1e-3:
        return  # a conductance that cells have: nothing tells that it is none
    with pytest.raises(ValueError, match="Name the unit in the head, or say unit=") as error:
        fit(tmp_path / "t.csv", Retention(unit=told))
    proposed = re.findall(r'"(\w+)" \(then ([\d.e+-]+) S\)', str(error.value))
    assert written in [unit for unit, _ in proposed]
    assert max(float(then) for _, then in proposed) <= 1e-3
    assert fit(tmp_path / "t.csv", Retention(unit=written)).device.g_max == pytest.approx(1 / ohms, rel=1e-6)


def test_five_kilohms_are_never_five_millisiemens(tmp_path) -> None:
    """Whatever units a refusal proposes, following them gives no 5 mS, in any layout without a unit."""
    for numbers in (5e3, 5.0, 5e-3):
        r = numbers * (TIME / 20) ** -0.03
        tables = {
            "wide": {"time_s": TIME, "c1": r},
            "long": {"time_s": TIME, "resistance": r},
            "pulses": r[:, None],
            "two columns": {"up": r[::-1], "down": r},
            "states": {"mean": r[::-1], "std": 0.01 * r},
        }
        for name, table in tables.items():
            how = {"wide": Retention(), "long": Retention(), "states": States(degree=0)}.get(
                name, PulseTrain()
            )
            if name == "long" and numbers == 5e3:
                assert fit(table, how).device.g_max == pytest.approx(1 / 5e3, rel=1e-6)  # ohms, as it says
                continue
            with pytest.raises(ValueError, match="Name the unit in the head, or say unit=") as error:
                fit(table, how)
            for _, then in re.findall(r'"(\w+)" \(then ([\d.e+-]+) S\)', str(error.value)):
                assert float(then) < 1e-3 or name == "long"  # "ohm" is named where the head says resistance


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ([0.2, 0.15, 0.1, 0.05, 0.01, 0.005], "line 1: a conductance of 0.2 S; .* are believed"),
        ([9e-17, 8e-17, 7e-17, 6e-17, 5e-17, 4e-17], "line 1: a conductance of 9e-17 S; .* are believed"),
        ([18.0, 17, 16, 15, 14, 13], 'line 1: a conductance of 18 S; .* unit="uS"'),
    ],
)
def test_numbers_that_no_cell_has_are_refused(numbers, sentence) -> None:
    for head in ("c1", "conductance"):
        with pytest.raises(ValueError, match=sentence):
            fit({"time_s": TIME, head: numbers}, Retention())
    if numbers[0] < 1:
        assert fit({"time_s": TIME, "c1_S": numbers}, Retention()).device.g_max >= max(numbers) / 1.5
        with pytest.raises(ValueError, match='"S", if they are siemens indeed'):
            fit({"time_s": TIME, "c1": numbers}, Retention())
        assert fit({"time_s": TIME, "c1": numbers}, Retention(unit="S")).device.g_max >= max(numbers) / 1.5


# --- what is no cell -----------------------------------------------------------------------------

NO_CELLS = (
    *("temperature_K", "T (K)", "temp", "Temperature (°C)", "T_C", "Vread_V", "voltage_V", "V (mV)", "bias"),
    *("cycle", "Cycle number", "index", "address", "row", "wordline", "pulses", "sample", "duration_s"),
    *("power (uW)", "humidity (%)", "energy_pJ", "T", "", "Unnamed: 0"),
)


@pytest.mark.parametrize("unit", ["uS", "kohm", "nA"])
@pytest.mark.parametrize("head", NO_CELLS)
def test_what_is_no_cell_stays_beside(head, unit) -> None:
    numbers = np.full(6, V) if read_head(head).kind == "V" else np.geomspace(9e-6, 2e-6, 6)
    numbers = 1e3 * numbers if head == "V (mV)" else numbers
    columns, how = FITS["retention, wide"]
    cells = {key: value for key, value in columns.items() if "temperature" not in key[0]}
    made = fit({head: numbers, **written_in(unit, cells)}, read_at(how, unit))
    check_same(made, reference("retention, wide"))
    told = any("passed over" in note and repr(head) in note for note in made.card.notes)
    assert told != (read_head(head).kind == "V" and unit == "nA")
    with pytest.raises(ValueError, match="no column of conductances beside the time"):
        fit({"time_s": TIME, head: numbers}, Retention())


def test_heads_that_disagree_are_refused() -> None:
    cells = {"time_s": TIME, "c1_uS": 1e6 * CELL_1}
    for head, numbers in (("c2", CELL_2), ("c2_kohm", 1e-3 / CELL_2), ("i_0", CELL_2), ("note", CELL_2)):
        with pytest.raises(ValueError, match="the heads of the cells differ: 'c1_uS' says conductances, "):
            fit({**cells, head: numbers}, Retention(v_read=V))
    with pytest.raises(
        ValueError, match="the name of 'conductance 1_kohm' says conductances, its unit resistances"
    ):
        fit({"time_s": TIME, "conductance 1_kohm": CELL_1}, Retention())
    with pytest.raises(ValueError, match="'conductance_uS' and 'G (S)' may both|'g_uS' and 'G_S' may both"):
        fit({"time_s": TIME, "g_uS": CELL_1, "G_S": CELL_2}, Retention())
    with pytest.raises(ValueError, match="is 'g' a quantity, or a cell like 'f'"):
        fit({"time_s": TIME, "f": CELL_1, "g": CELL_2}, Retention())
    with pytest.raises(ValueError, match="one of the columns 'target' and 'g_uS' has a unit"):
        fit({"target": TARGETS, "g_uS": 1e6 * RESULTS}, States())


def test_letters_of_cells_are_no_units() -> None:
    """``cell_A`` is in amperes where it stands alone, but not beside ``cell_B``."""
    columns, _ = FITS["retention, wide"]
    numbers = [value for (_, role), value in columns.items() if role]
    for names in (
        ("cell_A", "cell_B"),
        ("cell A", "cell S"),
        ("cell_C", "cell_K"),
        ("r2c3", "r2c4"),
        ("a", "b"),
    ):
        made = fit({"time_s": TIME, **dict(zip(names, numbers, strict=True))}, Retention())
        check_same(made, reference("retention, wide"))


def test_a_unit_is_said_once() -> None:
    columns, how = FITS["retention, wide"]
    with pytest.raises(
        ValueError, match="the head 'c1_kohm' says its unit already; leave unit = \"kohm\" out"
    ):
        fit(written_in("kohm", columns), replace(how, unit="kohm"))
    table = {"time_s": TIME, "resistance": 1e-3 / CELL_1}
    check_same(fit(table, Retention(unit="kohm")), reference("retention, one cell"))
    for unit in (1e-6, "uS"):
        with pytest.raises(
            ValueError, match=r'says conductances and the head \'resistance\' resistances; .* "kohm"'
        ):
            fit(table, Retention(unit=unit))


@pytest.mark.parametrize("measurement", [Retention, PulseTrain, States, JumpTable, Fusion])
def test_the_unit_of_a_measurement(measurement, tmp_path) -> None:
    for unit in ("kohm", "µS", 1e-6, 1):
        how = measurement(unit=unit)
        config.save(how, tmp_path / "how.json")
        assert config.load(tmp_path / "how.json") == how
    for unit in ("V", "K", "ms", "volts", "", "cells", 0.0, -1e-6, float("nan"), True, None, ("uS",)):
        with pytest.raises(ConfigError, match=r'unit = .*give a name, such as "uS", "kohm" or "nA"'):
            measurement(unit=unit)


def test_currents_read_at_a_negative_voltage() -> None:
    table = {"time_s": TIME, "i_0": -V * CELL_1, "i_1": -V * CELL_2, "meas_v": np.full(6, -V)}
    check_same(fit(table, Retention()), reference("retention, wide"))
    del table["meas_v"]
    with pytest.raises(ValueError, match="is negative; were they read at a negative voltage"):
        fit(table, Retention(v_read=V))
    with pytest.raises(ValueError, match="line 1: a read voltage of 0 V"):
        fit({**table, "meas_v": np.zeros(6)}, Retention())


def test_pulses_are_no_read_voltage() -> None:
    """The volts of a pulse train are those of its pulses, and a column of pulse voltages divides nothing."""
    table = {"voltage_V": np.ones(12), "current_nA": 1e9 * V * UP}
    with pytest.raises(ValueError, match="say v_read"):
        fit(table, PulseTrain())
    wanted = reference("pulses, one column")
    check_same(fit(table, PulseTrain(v_read=V)), wanted)
    with pytest.raises(ValueError, match="say v_read"):
        fit({"time_s": TIME, "pulse_v": np.full(6, 2.0), "i_0": V * CELL_1}, Retention())


def test_a_raw_log_of_arc_is_in_ohms(tmp_path) -> None:
    """A formed cell of 300 ohm beside the chosen one is no reason to doubt the unit."""
    rows = ["1,1,300.0,1.0,1e-06,P,R2,0.5", *(f"3,4,{1 / g!r},1.5,1e-06,P,R2,0.5" for g in UP.tolist())]
    head = "Wordline,Bitline,Resistance,Amplitude (V),Pulse width (s),Tag,ReadTag,ReadVoltage"
    for above in ([head], ["Session 1", "Mon Oct 26 12:00:00 2020", head], []):
        (tmp_path / "t.csv").write_text("\n".join([*above, *rows]))
        check_same(fit(tmp_path / "t.csv", PulseTrain(cell=(3, 4))), reference("pulses, one column"))


# --- heads behind # ------------------------------------------------------------------------------


def test_the_last_comment_that_fits_names_the_columns(tmp_path) -> None:
    rows = "\n".join(f"{1e-3 / g!r},{t!r}" for g, t in zip(CELL_1.tolist(), TIME.tolist(), strict=True))
    path = tmp_path / "t.csv"
    for above in (
        "# resistance (kohms),time (s)\n",
        "#resistance/kOhm,t/s\n",
        "% R [kΩ]; time [s]\n",
        "# R_kohm time_s\n",
        "# time (s),conductance (uS)\n# cell 3, read at .1 V\n# R kohm,time s\n# made by x\n",
        "# R kohm time s\n",
    ):
        path.write_text(above + rows, encoding="utf-8")
        check_same(fit(path, Retention()), reference("retention, one cell"))
    path.write_text("# time (s),R (uohm)\nR_kohm,time_s\n" + rows)  # a head line comes before a comment
    check_same(fit(path, Retention()), reference("retention, one cell"))


def test_comments_that_are_no_heads(tmp_path) -> None:
    rows = "\n".join(f"{t!r},{g!r}" for g, t in zip(CELL_1.tolist(), TIME.tolist(), strict=True))
    for above in ("# chip 3, cell 4\n", "# 2026-11-29, 14:02\n", "# made by x\n", "# 1, 2\n", "#\n"):
        (tmp_path / "t.csv").write_text(above + rows)
        check_same(fit(tmp_path / "t.csv", Retention()), reference("retention, one cell"))


# --- loops ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("unit", ["A", "mA", "uA"])
def test_units_of_loops(style, unit) -> None:
    trace = LinearIonDrift(r_off=14e3).simulate(*sine(1.0, 1.0, samples=40))
    current = trace.current.flatten().numpy() / read_unit(unit)[1]
    write = STYLES[style]
    table = {
        write("time", "ms"): 1e3 * trace.time.numpy(),
        write("voltage", "mV"): 1e3 * trace.voltage.numpy(),
        write("current", unit): current,
    }
    how = Loop(model=LinearIonDrift(), free=("r_off",))
    assert fit(table, how)["r_off"].value == pytest.approx(14e3, rel=1e-3)


def test_currents_of_a_loop_that_no_cell_has() -> None:
    table = {"time": [0.0, 1.0, 2.0], "voltage": [0.0, 1.0, 0.0], "current": [0.0, 0.5, 0.0]}
    with pytest.raises(ValueError, match="up to 0.5 A under 1 V; name their unit in the head"):
        fit(table, Loop(model=LinearIonDrift(), free=("r_off",)))


@pytest.mark.parametrize(
    ("text", "name", "unit", "factor"),
    [
        ("c1_uS", "c1", "S", 1e-6),
        ("c1 (Mohm)", "c1", "ohm", 1e6),
        ("current_A", "current", "A", 1.0),
        ("I [nA]", "i", "A", 1e-9),
        ("resistance (ohms)", "resistance", "ohm", 1.0),
        ("R_kOhm", "r", "ohm", 1e3),
        ("kΩ", "", "ohm", 1e3),
        ("G/uS", "g", "S", 1e-6),
        ("R (kilohms)", "r", "ohm", 1e3),
        ("G (microsiemens) cell 3", "g cell 3", "S", 1e-6),
        ("t/s", "t", "s", 1.0),
        ("time_h", "time", "s", 3600.0),
        ("T (K)", "t", "K", 1.0),
        ("R_min", "r min", "", None),
        ("cell A", "cell a", "", None),
        ("R_S", "r s", "", None),
        ("cell (1,2)", "cell (1,2)", "", None),
        ("states", "states", "", None),
        ("A", "a", "", None),
    ],
)
def test_heads(text, name, unit, factor) -> None:
    head = read_head(text)
    assert (head.name, head.unit, head.factor) == (name, unit, factor)
    assert set(CELLS) == {"S", "ohm", "A"}
