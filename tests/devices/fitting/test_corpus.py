"""Files as laboratories write them: a generated corpus, each read as the numbers that it was made of."""

from __future__ import annotations

import io

import numpy as np
import pytest

from mho.devices import Loop, PulseTrain, Retention, fit
from mho.devices.dynamics import LinearIonDrift
from mho.devices.fitting.naming import named
from mho.devices.fitting.tables import CURRENT, TIME, VOLTAGE, read_table

from ...compositions.covering import covering

T = np.array([20.0, 63.0, 200.0, 1234.5, 20000.0])
G = 18e-6 * (T / 20) ** -0.05
V_READ = 0.2

# --- retention: how a time and a conductance are written -----------------------------------------

QUANTITIES = {  # heads with their units, and the numbers under them
    "time_s,g_uS": (T, 1e6 * G),
    "t/s,G/µS": (T, 1e6 * G),
    "time (h),G (µS)": (T / 3600, 1e6 * G),
    "Time [min],Conductance [nS]": (T / 60, 1e9 * G),
    "Zeit_s,R (kΩ)": (T, 1e-3 / G),
    "elapsed time (ms),I (uA)": (1e3 * T, 1e6 * V_READ * G),
}
DIALECTS = {  # separator and decimal mark
    "commas": (",", "."),
    "semicolons": (";", "."),
    "tabs": ("\t", "."),
    "blanks": ("  ", "."),
    "semicolons, decimal commas": (";", ","),
    "tabs, decimal commas": ("\t", ","),
}
ENCODINGS = ("utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be")
ABOVE = {  # what stands above the heads, and below them
    "nothing": ([], "{heads}"),
    "a title": (["Sample 12", "Chip A - cell 3", ""], "{heads}"),
    "settings": (["Operator;me", "Temperature (K) 300", "Date 2019-05-12 10:20:30"], "{heads}"),
    "behind #": (["# made by x"], "# {heads}"),
    "behind %": (["% made by x", "%"], "% {heads}"),
    "a line of units": ([], "{names}\n{units}"),
    "Origin": ([], "{names}\n{units}\n{comments}"),
    "units behind #": ([], "# {names}\n# {units}"),
}
ENDS = {"unix": "\n", "windows": "\r\n", "old mac": "\r"}


def taken_apart(head):
    """Name and unit of a head."""
    for mark in ("(", "[", "/", "_"):
        if mark in head:
            name, _, unit = head.partition(mark)
            return name.strip(), unit.strip(")] ")
    raise AssertionError(head)


def written(quantities, dialect, above, end):
    heads = quantities.split(",")
    mark, decimal = DIALECTS[dialect]
    titles, pattern = ABOVE[above]
    if dialect == "blanks":
        titles = [title.replace(",", " ") for title in titles]
    parts = [taken_apart(head) for head in heads]
    said = pattern.format(
        heads=mark.join(heads),
        names=mark.join(name for name, _ in parts),
        units=mark.join(unit for _, unit in parts),
        comments=mark.join("cell 3" if dialect != "blanks" else "cell3" for _ in parts),
    )
    rows = [
        mark.join(f"{x:.10g}".replace(".", decimal) for x in row)
        for row in zip(*QUANTITIES[quantities], strict=True)
    ]
    return ENDS[end].join([*titles, *said.split("\n"), *rows, ""])


def encoded(text, encoding):
    western = encoding in ("latin-1", "cp1252")  # they have no omega
    return (text.replace("Ω", "ohm") if western else text).encode(encoding)


CORPUS = covering([list(QUANTITIES), list(DIALECTS), ENCODINGS, list(ABOVE), list(ENDS)])


def check(path, **how):
    made = fit(path, Retention(**how))
    assert made.device.g_max == pytest.approx(18e-6, rel=1e-6)
    assert made["nu"].value == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize(("quantities", "dialect", "encoding", "above", "end"), CORPUS)
def test_every_layout_is_the_same_cell(tmp_path, quantities, dialect, encoding, above, end) -> None:
    path = tmp_path / "cell.dat"
    path.write_bytes(encoded(written(quantities, dialect, above, end), encoding))
    check(path, v_read=V_READ if "I (" in quantities else None)


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    assert len(CORPUS) + len(LOGS) >= 60


def test_a_workbook(tmp_path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Settings"
    book.active.append(["operator", "me"])
    sheet = book.create_sheet("Run1")
    for row in (["Sample 12"], ["time", "G"], ["s", "µS"], *zip(T.tolist(), (1e6 * G).tolist(), strict=True)):
        sheet.append(row)
    book.save(tmp_path / "cell.xlsx")
    check(tmp_path / "cell.xlsx")
    other = book.create_sheet("Run2")
    other.append([1.0, 2.0])
    book.save(tmp_path / "two.xlsx")
    with pytest.raises(
        ValueError, match=r"Excel workbook with 2 sheets with numbers .Run1, Run2.; save .* as CSV"
    ):
        read_table(tmp_path / "two.xlsx")
    (tmp_path / "old.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 and more")
    with pytest.raises(ValueError, match=r"before 2007 \(.xls\); save it as .xlsx"):
        read_table(tmp_path / "old.xls")


# --- logs of instruments -------------------------------------------------------------------------

TIMES = np.linspace(0.0, 1.0, 9)
VOLTS = np.sin(2 * np.pi * TIMES)
AMPERES = 1e-4 * VOLTS


def table(*columns, mark=",", first=""):
    return "\n".join(first + mark.join(f"{x:+.6E}" for x in row) for row in zip(*columns, strict=True)) + "\n"


LOGS = {
    "oscilloscope": ("x-axis,1,2\nsecond,Volt,Ampere\n" + table(TIMES, VOLTS, AMPERES), {}),
    "oscilloscope, a shunt of 1 kohm": (
        "x-axis,1,2\nsecond,Volt,Volt\n" + table(TIMES, VOLTS, 1e3 * AMPERES),
        {"voltage": "1", "current_mA": "2"},
    ),
    "oscilloscope, by number": (
        "x-axis,1,2\nsecond,Volt,Volt\n" + table(TIMES, VOLTS, 1e3 * AMPERES),
        {"voltage": 2, "current_mA": 3},
    ),
    "oscilloscope, without units": (
        "x-axis,1,2\n" + table(TIMES, VOLTS, AMPERES),
        {"time": 1, "voltage": 2, "current": 3},
    ),
    "oscilloscope, with settings": (
        'Model,MSO-X 3024\nSerial,MY123\n"Sample Rate",1E+9\nx-axis,1,2\ns,V,A\n'
        + table(TIMES, VOLTS, AMPERES),
        {},
    ),
    "Keithley 2600": (
        "Smu1.Time[1][1],Smu1.V[1][1],Smu1.I[1][1]\n" + table(TIMES, VOLTS, AMPERES),
        {},
    ),
    "Keithley 2600, two units": (
        "Smu1.Time[1][1],Smu1.V[1][1],Smu1.I[1][1],Smu2.V[1][1]\n" + table(TIMES, VOLTS, AMPERES, 0 * VOLTS),
        {"voltage": "Smu1.V[1][1]"},
    ),
    "Keithley 4200, pulses": (
        "TimeOutput\tVMeasCh1\tIMeasCh1\n" + table(TIMES, VOLTS, AMPERES, mark="\t"),
        {},
    ),
    "Keithley 4200, two channels": (
        "TimeOutput,VMeasCh1,IMeasCh1,VMeasCh2,IMeasCh2\n"
        + table(TIMES, VOLTS, AMPERES, 0 * VOLTS, 0 * VOLTS),
        {"voltage": "VMeasCh1", "current": "IMeasCh1"},
    ),
    "Keithley 4200, sheet": ("Time,AV,AI\n" + table(TIMES, VOLTS, AMPERES), {}),
    "Keithley KickStart": (
        "Instrument,2450\nSerial Number,0123\n\nIndex,SMU-1 Voltage (V),SMU-1 Current (A),SMU-1 Time (s)\n"
        + table(np.arange(9), VOLTS, AMPERES, TIMES),
        {},
    ),
    "B1500": (
        "SetupTitle, I/V Sweep\nPrimitiveTest, I/V Sweep\nTestParameter, Measurement.Primary.Start, 0\n"
        "MetaData, TestRecord.RecordTime, 05/12/2019 10:10:10\nAnalysisSetup, Analysis.Setup.Title, a\n"
        "Dimension1, 9, 9, 9\nDataName, Time, V1, I1\n" + table(TIMES, VOLTS, AMPERES, first="DataValue, "),
        {},
    ),
    "B1500, in its own names": (
        "SetupTitle, pulses\nMetaData, TestRecord.Count, 3\nDataName, TimeCh1, VMeasCh1, IMeasCh1\n"
        + table(TIMES, VOLTS, AMPERES, first="DataValue, "),
        {},
    ),
    "a European one": (
        ("Zeit [ms];Spannung [V];Strom [µA]\n" + table(1e3 * TIMES, VOLTS, 1e6 * AMPERES, mark=";")).replace(
            ".", ","
        ),
        {},
    ),
    "no heads": (table(TIMES, VOLTS, AMPERES), {"time": 1, "voltage": 2, "current": 3}),
    "Fortran": (
        table(TIMES, VOLTS, AMPERES, mark=" ").replace("E", "D"),
        {"time": 1, "voltage": 2, "current_A": 3},
    ),
    "Tektronix, settings beside the numbers": (
        "Record Length,9,,+0.0,+0.0,+0.0\nSample Interval,0.125,,"
        + ",,,".join(table(TIMES, VOLTS, AMPERES).strip().splitlines(keepends=True)[1:]),
        {"time": 4, "voltage": 5, "current": 6},
    ),
    "PicoScope": (
        "Time,Channel A,Channel B\n(ms),(V),(uA)\n\n" + table(1e3 * TIMES, VOLTS, 1e6 * AMPERES),
        {},
    ),
    "a mark at the end of each line": (
        "time;V;I;\ns;V;A;\n" + table(TIMES, VOLTS, AMPERES, mark=";").replace("\n", ";\n"),
        {},
    ),
    "a clock": (
        "time,V (V),I (A)\n"
        + "\n".join(
            f"00:00:{t:09.6f},{v:.6E},{i:.6E}" for t, v, i in zip(TIMES, VOLTS, AMPERES, strict=True)
        ),
        {},
    ),
}


@pytest.mark.parametrize("name", LOGS)
def test_logs_of_instruments(tmp_path, name) -> None:
    text, columns = LOGS[name]
    path = tmp_path / "log.csv"
    path.write_bytes(text.encode("latin-1"))
    how = Loop(model=LinearIonDrift(), free=("r_off",), columns=columns)
    read = named(read_table(path), how.columns)
    for quantity, truth in ((TIME, TIMES), (VOLTAGE, VOLTS), (CURRENT, AMPERES)):
        np.testing.assert_allclose(read.si(read.only(quantity)), truth, rtol=1e-5, atol=1e-12)


# --- cycles of pulses ----------------------------------------------------------------------------

UP = 5e-6 + 40e-6 * np.expm1(-2 * np.linspace(0, 1, 60)) / np.expm1(-2)
DOWN = 45e-6 - 40e-6 * np.expm1(-3 * np.linspace(0, 1, 60)) / np.expm1(-3)
CYCLES = np.array(
    [np.concatenate([UP, DOWN]) + 0.2e-6 * np.random.default_rng(k).normal(size=120) for k in range(5)]
)
TRAINS = {
    "one column of five cycles": ({"g_uS": 1e6 * CYCLES.ravel()}, {"up": 60}),
    "one column, both said": ({"g_uS": 1e6 * CYCLES.ravel()}, {"up": 60, "down": 60}),
    "a cycle in each column": ({f"cycle {k + 1}_uS": 1e6 * g for k, g in enumerate(CYCLES)}, {"up": 60}),
    "a number for each cycle": (
        {"pulse": np.arange(120), **{str(k): 1e6 * g for k, g in enumerate(CYCLES)}},
        {"up": 60, "unit": "uS"},
    ),
    "a cell in each column": ({f"cell {k + 1} (uS)": 1e6 * g for k, g in enumerate(CYCLES)}, {"up": 60}),
}


@pytest.mark.parametrize("name", TRAINS)
def test_cycles_of_pulses(tmp_path, name) -> None:
    columns, how = TRAINS[name]
    text = io.StringIO()
    np.savetxt(
        text, np.stack(list(columns.values()), 1), delimiter=",", header=",".join(columns), comments=""
    )
    (tmp_path / "train.csv").write_text(text.getvalue())
    made = fit(tmp_path / "train.csv", PulseTrain(**how))
    for direction, first, last in (("up", 5e-6, 45e-6), ("down", 45e-6, 5e-6)):
        assert made[f"{direction}.g_first"].value == pytest.approx(first, abs=0.2e-6)
        assert made[f"{direction}.g_last"].value == pytest.approx(last, abs=0.2e-6)
        assert made[f"{direction}.noise"].value == pytest.approx(0.2e-6, rel=0.1)
    assert len(made.points["x"]) == 600
    assert any("spread of the cells" in text for text in made.card.left_out) == ("cell" in name.split()[:2])


def test_uneven_cycles_are_told_apart_or_refused() -> None:
    uneven = np.concatenate([UP, DOWN[:40], UP, DOWN[:40]])
    with pytest.raises(
        ValueError, match=r"up = 60, but the other 140 points do not only fall.* down = 60, for"
    ):
        fit({"g_S": uneven}, PulseTrain(up=60))
    made = fit({"g_S": uneven}, PulseTrain(up=60, down=40))
    assert made["down.g_last"].value == pytest.approx(DOWN[39], rel=0.05)


# --- what cannot be read -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "how", "sentences"),
    [
        (
            "x-axis,1,2\nsecond,Volt,Volt\n0,1,2\n1,2,3\n",
            Loop(model=LinearIonDrift(), free=("r_off",)),
            [
                "'1 (Volt)' and '2 (Volt)'",
                "line 1: 'x-axis,1,2', line 2: 'second,Volt,Volt'",
                'columns={"voltage"',
            ],
        ),
        (
            "x-axis,1,2\nsecond,Volt,Volt\n0,1,2\n1,2,3\n",
            Loop(model=LinearIonDrift(), free=("r_off",), columns={"voltage": 2, "current": 3}),
            ["'2 (Volt)' holds currents, its unit voltages", '{"current_mA": '],
        ),
        (
            "time_s,g_uS\n20,0,18,0\n200,0,17,1\n",
            Retention(),
            ["4 cells under 2 heads", "line 1: 'time_s,g_uS', line 2: '20,0,18,0'", "decimal mark"],
        ),
        (
            "time_s;g_uS\n1.234;18,0\n2.345;17,1\n3.456;16,9\n",
            Retention(),
            ["line 2: '1.234' in a table with decimal commas is 1234 or 1.234"],
        ),
        (
            "t_s,g_uS\n1,2\n2,3\nt_s,g_uS\n1,2\n2,3\n",
            Retention(),
            ["a second table begins below line 3", "line 4: 't_s,g_uS', line 5: '1,2'"],
        ),
        (
            "a,b\n1,2\n2,3\n",
            Retention(),
            ["no column 'time_s'", "line 1: 'a,b', line 2: '1,2'", 'columns={"time": 2}'],
        ),
        ("time_s,g_uS\n1,2\n", Retention(columns={"time": "tiem_s"}), ["did you mean 'time_s'?"]),
        ("time_s,g_uS\n1,2\n", Retention(columns={"time": 3}), ["'time' is column 3; there are 1 to 2"]),
        (
            "time_s,g_uS\n1,2\n",
            Retention(columns={"time": 1, "conductance": 1}),
            ["columns names one column 'time' and 'conductance'"],
        ),
        (
            "only words\nand more\n",
            Retention(),
            ["a head line and no row of numbers", "line 1: 'only words'"],
        ),
    ],
)
def test_what_cannot_be_read_says_where_and_what_helps(tmp_path, text, how, sentences) -> None:
    (tmp_path / "odd.csv").write_text(text)
    with pytest.raises(ValueError, match=r"odd\.csv") as error:
        fit(tmp_path / "odd.csv", how)
    for sentence in sentences:
        assert sentence in str(error.value)


def test_names_of_columns_are_part_of_the_description(tmp_path) -> None:
    from mho import config
    from mho.errors import ConfigError

    how = Retention(columns={"time": "x-axis", "current_mA": 3})
    assert config.from_json(config.to_json(how)) == how
    assert config.digest(Retention()) == config.digest(Retention(columns={}))
    with pytest.raises(ConfigError, match="'tiem' is no quantity that a table may hold"):
        Retention(columns={"tiem": 1})
    with pytest.raises(ConfigError, match="give what a column holds, and its head or number"):
        Retention(columns=["time"])
