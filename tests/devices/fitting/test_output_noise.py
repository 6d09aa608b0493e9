"""The output-noise file of NeuroSim."""

from __future__ import annotations

import numpy as np
import pytest

from mho.devices import read_output_noise


def test_figures_of_a_file(tmp_path) -> None:
    output = np.arange(32)
    bow = 0.4 * np.sin(2 * np.pi * np.arange(32) / 31)
    mean = 0.97 * output + 0.6 + bow
    rows = [f"{o},{m!r},{s!r}" for o, m, s in zip(output, mean.tolist(), [0.3, 0.5] * 16, strict=True)]
    path = tmp_path / "output_noise.csv"
    path.write_text("\n".join(["output,mean,std", *rows[::-1]]))
    found = read_output_noise(path)
    np.testing.assert_allclose(found.mean, mean)
    slope, offset = np.linalg.lstsq(np.stack([output, np.ones(32)], 1), mean, rcond=None)[0]
    assert (found.gain, found.offset) == pytest.approx((slope - 1, offset))
    assert found.inl == pytest.approx(np.abs(mean - slope * output - offset).max())
    assert found.noise == pytest.approx(np.sqrt((0.3**2 + 0.5**2) / 2))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"output": [0, 1], "mean": [0, 1]}, "no column 'std'; it has 'output', 'mean'"),
        ({"output": [0, 1], "mean": [0, "?"], "std": [0, 0]}, "line 2, column 'mean': '\\?' is not a finite"),
        (
            {"output": [0, 1], "mean": [0, 1], "std": [0, -1]},
            "line 2: a standard deviation of -1 is negative",
        ),
        ({"output": [0, 0], "mean": [0, 1], "std": [0, 1]}, "at least two outputs, each once"),
    ],
)
def test_bad_input(table, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_output_noise(table)
