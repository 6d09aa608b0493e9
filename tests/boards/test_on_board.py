"""Networks on boards: the chip that was read back, page by page, with gradients of the model of the chip."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import mho
from mho.boards import AsMatrix, Bench, OnBoard, SimulatedBoard
from mho.boards.placing import placed
from mho.devices import Ideal
from mho.errors import StaleChipWarning
from mho.programming import VIPI, Train, WriteVerify

from .cells import PULSES, QUIET, RULE

IDEAL = mho.Hardware(device=Ideal())


def on_ideal(rows=16, columns=16):
    return Bench(SimulatedBoard(Ideal(), rows, columns), Ideal())


NETWORKS = {
    "linear": (lambda: nn.Linear(6, 5), (3, 6)),
    "two layers": (lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), (2, 4, 6)),
    "convolution": (lambda: nn.Conv2d(2, 3, 3, stride=2, padding=1), (2, 2, 5, 5)),
    "groups": (lambda: nn.Conv1d(4, 4, 3, groups=2), (2, 4, 6)),
    "recurrent": (lambda: nn.LSTM(4, 3, batch_first=True), (2, 3, 4)),
    "transposed": (lambda: nn.ConvTranspose2d(2, 3, 3, stride=2), (2, 2, 4, 4)),
    "no vectors": (lambda: nn.Linear(6, 5), (0, 6)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_layer_on_an_ideal_board_is_the_digital_layer(name):
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    digital, x = make(), torch.randn(shape)
    analog = mho.convert(digital, IDEAL).eval()
    with on_ideal() as bench, OnBoard(analog, bench):
        found, wanted = analog(x), digital(x)
    found, wanted = (y[0] if isinstance(y, tuple) else y for y in (found, wanted))
    assert found.shape == wanted.shape and torch.allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize(
    "mapping",
    [
        mho.mapping.DifferentialPair(),
        mho.mapping.Offset(),
        mho.mapping.Offset(unit_column=True),
        mho.mapping.BitSlicing(),
    ],
)
def test_every_mapping_and_bias_rows_go_onto_the_board(mapping):
    torch.manual_seed(1)
    digital, x = nn.Linear(7, 5), torch.randn(4, 7)
    hardware = mho.Hardware(device=Ideal(), mapping=mapping)
    for rows in (0, 2):
        analog = mho.convert(digital, hardware, bias_rows=rows).eval()
        with on_ideal(32, 32) as bench, OnBoard(analog, bench) as there:
            on_board = analog(x)
            there.close()
            assert torch.allclose(on_board, analog(x), atol=1e-5)


def test_models_larger_than_the_board_go_page_by_page():
    torch.manual_seed(0)
    digital, x = nn.Sequential(nn.Linear(20, 9), nn.Tanh(), nn.Linear(9, 4)), torch.randn(3, 20)
    analog = mho.convert(digital, mho.Hardware(device=QUIET)).eval()
    board = SimulatedBoard(QUIET, 8, 8)
    with Bench(board, QUIET) as bench, OnBoard(analog, bench, RULE) as there:
        assert there.pages > 5
        y = analog(x)
        pulses = int(board.counts.sum())
        analog(x)
        assert int(board.counts.sum()) > pulses  # the pages were written again
        assert {block.page for block in there.blocks} == set(range(there.pages))
    whole = mho.convert(digital, mho.Hardware(device=QUIET)).eval()
    with Bench(SimulatedBoard(QUIET, 64, 64), QUIET) as bench, OnBoard(whole, bench, RULE) as there:
        assert there.pages == 1
        assert float((whole(x) - y).std().detach() / y.std().detach()) < 0.1


def test_blocks_of_a_page_do_not_overlap():
    sizes = {"a": (2, 1, 30, 5), "b": (1, 3, 7, 12), "c": (4, 1, 3, 3)}
    can = SimulatedBoard(Ideal(), 16, 10).capabilities
    blocks = placed(sizes, can)
    for page in {b.page for b in blocks}:
        used = torch.zeros(can.shape, dtype=torch.int64)
        for block in (b for b in blocks if b.page == page):
            used[block.on_board] += 1
        assert int(used.max()) == 1
    for path, size in sizes.items():
        covered = torch.zeros(size, dtype=torch.int64)
        for block in (b for b in blocks if b.path == path):
            covered[block.inside] += 1
        assert bool((covered == 1).all())


def test_gradients_are_those_of_the_chip_that_was_read_back():
    torch.manual_seed(0)
    analog = mho.convert(nn.Sequential(nn.Linear(5, 4)), mho.Hardware(device=QUIET)).eval()
    x = torch.randn(6, 5, requires_grad=True)
    with Bench(SimulatedBoard(QUIET, 16, 16), QUIET) as bench, OnBoard(analog, bench, RULE):
        analog.train()
        analog(x).square().sum().backward()
        y, weights = analog(x).detach(), mho.effective_weights(analog)["0"]
        assert torch.allclose(x.grad, 2 * y @ weights, atol=1e-5)
        assert torch.allclose(analog[0].weight.grad, 2 * y.t() @ x.detach(), atol=1e-5)
        assert torch.allclose(analog[0].bias.grad, 2 * y.sum(0), atol=1e-5)


def test_a_changed_weight_is_stale_until_the_board_is_programmed_again():
    analog = mho.convert(nn.Sequential(nn.Linear(5, 4)), mho.Hardware(device=QUIET)).eval()
    x, board = torch.randn(3, 5), SimulatedBoard(QUIET, 16, 16)
    with Bench(board, QUIET) as bench, OnBoard(analog, bench, RULE) as there:
        before, pulses = analog(x), int(board.counts.sum())
        analog.train()
        with torch.no_grad():
            analog[0].weight[0, 0] += 0.05
        with pytest.warns(StaleChipWarning):
            analog.eval()
        assert torch.allclose(analog(x), before, atol=1e-5)
        there.program()
        assert int(board.counts.sum()) - pulses < pulses / 2  # cells that were right got no pulse
        assert not torch.equal(analog(x), before) and not analog[0].crossbar.is_stale()
        assert analog[0].crossbar.written.failures == 0
        assert analog[0].crossbar.written.pulses == int(there.written["0"].pulses.sum())


def test_the_chip_of_a_board_is_saved_and_copied_and_its_copies_are_on_no_board(tmp_path):
    analog = mho.convert(nn.Sequential(nn.Linear(5, 4)), mho.Hardware(device=QUIET)).eval()
    x = torch.randn(3, 5)
    with Bench(SimulatedBoard(QUIET, 16, 16), QUIET) as bench, OnBoard(analog, bench, RULE) as there:
        other = copy.deepcopy(analog)
        assert other[0].crossbar._learner is None and torch.allclose(other(x), analog(x), atol=1e-4)
        with pytest.raises(ValueError, match="is on a board already"):
            OnBoard(analog, bench, RULE)
        board = bench.board
        board._state *= 0.9  # the cells drifted
        board._settle(torch.arange(256))
        there.refresh()
        assert not torch.equal(other[0].crossbar.chip.g, analog[0].crossbar.chip.g)
        torch.save(analog.state_dict(), tmp_path / "chip.pt")
    fresh = mho.convert(nn.Sequential(nn.Linear(5, 4)), mho.Hardware(device=QUIET)).eval()
    fresh.load_state_dict(torch.load(tmp_path / "chip.pt", weights_only=True))
    assert torch.equal(fresh(x), analog(x))


def test_wires_are_those_of_the_board():
    hardware = mho.Hardware(device=Ideal(), array=mho.array.Wires(row=1.0, column=1.0))
    analog = mho.convert(nn.Sequential(nn.Linear(4, 4)), hardware).eval()
    with on_ideal() as bench, pytest.raises(ValueError, match="the wires of a board are its own"):
        OnBoard(analog, bench)


def test_a_network_is_written_by_vipi_as_by_other_pulses():
    torch.manual_seed(0)
    rule = WriteVerify(
        pulse=VIPI(up=Train(voltage=0.6, width=1e-6), down=Train(voltage=-0.6, width=1e-6), most=1.5),
        tolerance=0.05,
        max_pulses=60,
    )
    analog = mho.convert(nn.Sequential(nn.Linear(5, 4)), mho.Hardware(device=QUIET)).eval()
    with Bench(SimulatedBoard(QUIET, 16, 16), QUIET, log=None) as bench, OnBoard(analog, bench, rule):
        assert analog[0].crossbar.written.failures == 0
    assert PULSES.up.width == rule.pulse.up.width


class StrangersBoard:
    """What a stranger wrote for the framework document."""

    def __init__(self):
        self.cells = None

    def write_matrix(self, matrix):
        self.cells = matrix.copy()
        return True

    def read_matrix(self):
        return self.cells * 1.01


@pytest.mark.parametrize("own", [True, False])
def test_the_example_of_the_framework_document_runs_on_a_strangers_class_and_on_a_board(own):
    from mho.compat.rram import TorchRRAMLinear

    with on_ideal(8, 4) as bench:
        rram_hw = StrangersBoard() if own else AsMatrix(bench)
        layer = TorchRRAMLinear(8, 4, quantization_bits=4, rram_interface=rram_hw)
        layer.program_rram_weights()
        y = layer(torch.rand(3, 8))
        assert y.shape == (3, 4) and rram_hw.read_matrix().shape == (4, 8)
