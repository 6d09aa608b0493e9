"""Fusion CSVs: the layers of a file, the law between two of them, bad input."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from mho.devices import Fusion, PulseTrain, States, fit, read_fusion
from mho.testing import check_device

LAYERS = {
    "0": ("AnalogConv2dMapped", 8, 5),
    "3": ("AnalogConv2dMapped", 16, 20),
    "8": ("AnalogLinearMapped", 10, 128),
}
TRUE = (0.01, 0.04, -0.02)  # of sigma / 40 uS


def conductances(seed=0):
    rng = np.random.default_rng(seed)
    made = {}
    for name, (_, height, width) in LAYERS.items():
        g = np.abs(rng.normal(0, 14, height * width))
        made[name] = np.minimum(g, 40.0)  # microsiemens; clipped like the export
    return made


def measured(target, seed):
    rng = np.random.default_rng(seed)
    sigma = 40 * sum(c * (target / 40) ** i for i, c in enumerate(TRUE))
    return target + sigma * rng.normal(size=len(target))


def written(path, g, names=True):
    """As aihwkit writes it: ids, classes, numbers of weights, heights, widths, names, then each layer."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([1, 4, 9])
        writer.writerow([kind for kind, *_ in LAYERS.values()])
        writer.writerow([height * width for _, height, width in LAYERS.values()])
        writer.writerow([height for _, height, _ in LAYERS.values()])
        writer.writerow([width for *_, width in LAYERS.values()])
        if names:
            writer.writerow(LAYERS)
        for layer in g.values():
            writer.writerow(layer.tolist())
    return path


@pytest.mark.parametrize("names", [True, False])
def test_the_layers_of_a_file(tmp_path, names) -> None:
    g = conductances()
    layers = read_fusion(written(tmp_path / "lenet.csv", g, names))
    assert [layer.name for layer in layers] == (list(LAYERS) if names else ["1", "4", "9"])
    assert [layer.number for layer in layers] == [1, 4, 9]
    for layer, (name, (kind, height, width)) in zip(layers, LAYERS.items(), strict=True):
        assert (layer.kind, layer.shape) == (kind, (height, width))
        np.testing.assert_allclose(layer.g, 1e-6 * g[name], rtol=1e-15)


def test_the_law_between_two_files(tmp_path) -> None:
    target = conductances()
    chip = {name: np.abs(measured(g, k)) for k, (name, g) in enumerate(target.items())}
    source = {
        "target": written(tmp_path / "out.csv", target),
        "conductance": written(tmp_path / "chip.csv", chip),
    }
    made = fit(source, Fusion())
    assert (
        made.card.source == "chip.csv"
        and made.device.g_max == pytest.approx(40e-6)
        and made.device.g_min < 0.2e-6
    )
    for name, true in zip(("c0", "c1", "c2"), TRUE, strict=True):
        assert abs(made[name].value - true) < 4.5 * made[name].error
    assert 0.2 < made.card.reduced_chi2 < 2.5
    check_device(made.device)
    # the targets and results as two columns, in siemens by their unit, are the same measurement
    columns = {
        name: np.concatenate(list(g.values())) for name, g in (("target", target), ("conductance", chip))
    }
    same = fit({f"{name}_uS": g for name, g in columns.items()}, Fusion(unit=1.0))
    assert same["c1"].value == pytest.approx(made["c1"].value, rel=1e-9)
    assert fit(source, Fusion(degree=None, groups=8)).device.program.g[0] > 0


def test_a_systematic_error_is_told(tmp_path) -> None:
    target = conductances()
    chip = {name: 0.9 * measured(g, 0).clip(0) for name, g in target.items()}
    paths = written(tmp_path / "a.csv", target), written(tmp_path / "b.csv", chip)
    made = fit(dict(zip(("target", "conductance"), paths, strict=True)), Fusion())
    assert "means miss their targets" in " ".join(made.card.notes)


def test_other_measurements_say_what_such_a_file_is(tmp_path) -> None:
    path = written(tmp_path / "lenet.csv", conductances())
    for how in (PulseTrain(), States()):
        with pytest.raises(
            ValueError, match=r"lenet.csv: a Fusion CSV .* read it with mho.devices.read_fusion"
        ):
            fit(path, how)
    with pytest.raises(ValueError, match=r'a law needs both; give {"target": "exported.csv"'):
        fit(path, Fusion())


@pytest.mark.parametrize(
    ("line", "text", "sentence"),
    [
        (
            3,
            "40,320,1279",
            r"line 9: layer '8' has 1280 conductances; its head says 1279, height 10 and width 128",
        ),
        (4, "8,x,10", "line 4: height = 'x' of a layer is not a whole number"),
        (2, "AnalogConv2d,AnalogLinear", "no Fusion CSV: it begins with five rows of one length"),
        (7, ",".join(["1.0"] * 39 + ["a"]), "line 7, conductance 40: 'a' is not a finite number"),
        (9, "", "2 rows of conductances for 3 layers; give each its row"),
    ],
)
def test_bad_files(tmp_path, line, text, sentence) -> None:
    path = written(tmp_path / "bad.csv", conductances())
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=sentence):
        read_fusion(path)


def test_files_of_two_networks(tmp_path) -> None:
    one, other = written(tmp_path / "a.csv", conductances()), tmp_path / "b.csv"
    other.write_text("1\nAnalogLinear\n4\n2\n2\nfc\n1,2,3,4\n")
    with pytest.raises(ValueError, match=r"a.csv has the layers 0 \(8, 5\), .* has fc \(2, 2\)"):
        fit({"target": one, "conductance": other}, Fusion())
    with pytest.raises(ValueError, match="4 conductances for 20 groups; at least two each: groups = 2"):
        fit({"target": other, "conductance": other}, Fusion())
