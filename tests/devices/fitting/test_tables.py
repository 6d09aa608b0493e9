"""Tables as people have them, and what is wrong with them."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from mho.devices.fitting.siemens import Reading, conductances
from mho.devices.fitting.tables import CONDUCTANCE, CURRENT, TIME, read_table

UP_DOWN = "1e-6,9e-6\n2e-6,7e-6\n3e-6,6e-6\n"


def written(folder, text, name="table.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("head", "factor"),
    [
        ("conductance_S", 1.0),
        ("conductance_uS", 1e-6),
        ("Conductance (µS)", 1e-6),
        ("G [mS]", 1e-3),
        ("g_nS", 1e-9),
        ("conductance", 1.0),
        ("g", 1.0),
    ],
)
def test_units_of_heads(head, factor) -> None:
    g = conductances(read_table({head: [0.0, 5e-4]}), Reading())
    np.testing.assert_allclose(g, [0.0, 5e-4 * factor], rtol=1e-12)


def test_a_resistance_is_a_conductance() -> None:
    g = conductances(read_table({"R_kohm": [1.0, 20.0]}), Reading())
    np.testing.assert_allclose(g, [1e-3, 5e-5])


def test_milliseconds_and_millisiemens() -> None:
    table = read_table({"time (ms)": [1.0], "current_mA": [2.0], "g_mS": [3.0]})
    assert [float(table.take(q)[0]) for q in (TIME, CURRENT, CONDUCTANCE)] == [1e-3, 2e-3, 3e-3]


def test_a_word_is_no_unit() -> None:
    """Neither "seconds" nor "t" ends in a unit, and "cells" is no "cell" in seconds."""
    table = read_table({"seconds": [1.0], "cells": [4.0]})
    assert float(table.take(TIME)[0]) == 1.0
    assert read_table({"t": [2.0]}).take(TIME).tolist() == [2.0]


@pytest.mark.parametrize("mark", [",", ";", "\t", " "])
@pytest.mark.parametrize("head", [True, False])
def test_files(tmp_path, mark, head) -> None:
    text = ("\ufeff# from the probe station\n" + "g_S,time_s\n" * head + "1e-6,1\n\n2e-6,2\n").replace(
        ",", mark
    )
    path = written(tmp_path, text)
    table = read_table(path)
    assert table.headed is head
    assert table.columns == (("g_S", "time_s") if head else ("column 1", "column 2"))
    assert table.numbers(0).tolist() == [1e-6, 2e-6] and table.numbers(1).tolist() == [1, 2]
    assert table.lines() == [2 + head, 4 + head]
    assert table.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_tables_in_memory_are_alike() -> None:
    columns = {"g_S": [1e-6, 2e-6], "time_s": [1.0, 2.0]}
    tables = [read_table(columns), read_table(pd.DataFrame(columns))]
    for table in tables:
        assert table.numbers(1).tolist() == [1.0, 2.0] and table.headed
    assert tables[0].sha256 == tables[1].sha256 != read_table({**columns, "time_s": [1.0, 3.0]}).sha256
    array = read_table(np.array([[1e-6, 1.0], [2e-6, 2.0]]))
    assert not array.headed and array.numbers(0).tolist() == [1e-6, 2e-6]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "g_S,time_s\n1e-6,1\n2e-6,late\n",
            "csv, line 3, column 'time_s': 'late' is not a finite number",
        ),
        ("g_S,time_s\n1e-6,1\n2e-6\n", "line 3, column 'time_s': '' is not a finite number"),
        ("g_S,time_s\n1e-6,inf\n", "line 2, column 'time_s': 'inf'"),
        ("g_S,volts\n1e-6,1\n", "no column 'time_s'; it has 'g_S', 'volts'"),
        ("1e-6,1\n", "no heads: the first line holds numbers"),
        ("g_S\n1e-6,1\n", "line 2: 2 cells under 1 heads"),
        ("g_S,time_s\n", "a head line and no row"),
        ("# nothing\n\n", "no rows"),
    ],
)
def test_bad_files(tmp_path, text, sentence) -> None:
    with pytest.raises(ValueError, match="table.csv") as error:
        read_table(written(tmp_path, text)).take(TIME)
    assert sentence in str(error.value)


def test_not_a_table(tmp_path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    with pytest.raises(
        ValueError, match=r"not a text file \(byte 8 is 0x00\); give a table as text, CSV in UTF-8"
    ):
        read_table(tmp_path / "a.csv")
    with pytest.raises(TypeError, match="give the path of a CSV file"):
        read_table(3.0)
    with pytest.raises(TypeError, match="array of numbers"):
        read_table([["a", "b"]])
    with pytest.raises(ValueError, match="lengths 'a': 1, 'b': 2"):
        read_table({"a": [1], "b": [1, 2]})
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "none.csv")


def test_conductances_in_the_wrong_unit(tmp_path) -> None:
    path = written(tmp_path, "conductance\n0.5\n12.5\n")
    with pytest.raises(ValueError, match=r'line 3: a conductance of 12.5 S; .* unit="uS"'):
        conductances(read_table(path), Reading())
    for unit in (1e-6, "uS"):
        np.testing.assert_allclose(conductances(read_table(path), Reading(unit)), [0.5e-6, 12.5e-6])
    with pytest.raises(ValueError, match="says its unit already; leave unit = 1e-06 out"):
        conductances(read_table({"g_uS": [1.0]}), Reading(1e-6))
    with pytest.raises(ValueError, match="line 2: a conductance of -1 S is negative; .* zero="):
        conductances(read_table({"g": [0.5, -1.0]}), Reading())
    with pytest.raises(ValueError, match="line 1: a resistance of 0 ohm"):
        conductances(read_table({"r_ohm": [0.0]}), Reading())


def test_a_quotation_mark_alone_is_no_row(tmp_path):
    """It opens a cell that never ends: a line with text and without a cell."""
    path = tmp_path / "odd.csv"
    path.write_text('c1_uS\n1.000\n1.333\n1.667\n"\n')
    assert read_table(path).columns == ("c1_uS",)
