"""The fifteen lines of numpy on the page about chip files give the products of other layers too."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import mho

PAGE = Path(__file__).parents[2] / "docs" / "chip-file.md"
(READER,) = (
    block for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    if "import numpy" in block
)  # fmt: skip
HARDWARE = {
    "pairs": {},
    "one scale for each column": {
        "mapping": mho.mapping.DifferentialPair(scale=mho.mapping.Maximum(per_column=True))
    },
    "bit slices": {"mapping": mho.mapping.BitSlicing()},
    "stuck cells, coarse converters": {
        "device": mho.devices.StuckAt(lrs=0.05, device=mho.devices.PCM(read_scale=0.0)),
        "dac": mho.DAC(bits=4),
        "adc": mho.ADC(bits=5, signed=True),
    },
    "an even number of levels": {"adc": mho.ADC(steps=100)},
}


@pytest.mark.parametrize("name", HARDWARE)
def test_the_product_of_a_layer(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {
        "device": mho.devices.PCM(read_scale=0.0),
        "dac": mho.DAC(bits=8),
        "adc": mho.ADC(bits=8),
        "tile": mho.Tile(rows=24, columns=16),
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x, model = torch.randn(7, 50), torch.nn.Sequential(torch.nn.Linear(50, 20, bias=False))
    analog = mho.convert(model, mho.Hardware(**(given | HARDWARE[name]))).eval()
    mho.calibrate(analog, [x])
    mho.program(analog, seed=1)
    mho.age(analog, 1e6)
    mho.compensate(analog)
    mho.save_chip(analog, "chip.safetensors")
    names = {"x": x}
    exec(compile(READER, str(PAGE), "exec", dont_inherit=True), names)
    with torch.no_grad():
        wanted = analog(x).numpy()
    assert np.abs(names["y"] - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_the_reader_has_fifteen_lines_and_needs_numpy_alone():
    assert len(READER.splitlines()) == 15
    code = (
        "import sys; sys.modules['torch'] = sys.modules['mho'] = sys.modules['safetensors'] = None\n"
        + "\n".join(READER.splitlines()[:2])
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert set(re.findall(r"^import (.*)$", READER, re.MULTILINE)) == {"json, pathlib", "numpy as np"}
