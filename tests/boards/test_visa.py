"""A source-measure unit over pyvisa and TCP, in front of a simulated 64 x 64 array."""

from __future__ import annotations

import signal
import sys
from types import SimpleNamespace

import pytest
import torch

import mho
from mho.boards import (
    Bench,
    BoardError,
    Capabilities,
    Cells,
    LineFaults,
    LostReply,
    OnBoard,
    Replay,
    SimulatedBoard,
    log_report,
    write,
)
from mho.boards.visa import SCPI, TSP, Loopback, SourceMeasureBoard, open_visa
from mho.devices import Switching
from mho.devices.dynamics import LinearStep
from mho.programming import WriteVerify

from .cells import NOISY, PULSES, QUIET, STEPS, targets

QUICK = Switching(model=LinearStep(step_up=2e-6, step_down=2e-6, slope_up=0.15, slope_down=0.15))
RULE = WriteVerify(pulse=PULSES, tolerance=0.03, max_pulses=40)
SIZE = 64


def opened(server, timeout, at_once, dialect=None, size=SIZE):
    can = Capabilities(rows=size, columns=size, at_once=at_once)
    return SourceMeasureBoard(open_visa(server.address, timeout), size, size, dialect, capabilities=can)


def test_64_by_64_cells_are_read_in_64_round_trips():
    with Loopback(SimulatedBoard(QUIET, SIZE, SIZE)) as server:
        board = opened(server, 5.0, SIZE)
        with Bench(board, QUIET) as bench:
            bench.read(Cells(torch.tensor([0]), torch.tensor([0])))  # sets the instruments up
            before = board.round_trips
            assert torch.equal(bench.conductances(), server.board.board.conductances())
            assert board.round_trips - before == 64


@pytest.fixture(scope="module")
def undisturbed():
    """What a run without faults leaves."""
    whole = SimulatedBoard(QUICK, SIZE, SIZE)
    with Bench(whole, QUICK) as bench:
        write(bench, targets(SIZE, SIZE), RULE)
    return whole


def test_lost_replies_and_unanswered_pulses_leave_the_same_conductances(tmp_path, undisturbed):
    faults = LineFaults(lost_every=10, unanswered_every=100)
    goal, path = targets(SIZE, SIZE), tmp_path / "run.jsonl"
    with Loopback(SimulatedBoard(QUICK, SIZE, SIZE), faults=faults) as server:
        board = opened(server, 0.2, 160)
        with Bench(board, QUICK, log=path, attempts=8) as bench:
            done = write(bench, goal, RULE)
        there = server.board.board
        assert server.board._pulsed >= 100 and server.board.transactions >= 200
    assert not bool(done.failed.any())
    assert torch.equal(there.conductances(), undisturbed.conductances())
    assert torch.equal(there.counts, undisturbed.counts)
    report = log_report(path)
    assert report.lost >= 20 and torch.equal(report.pulses, there.counts)
    with Bench(Replay(path), QUICK) as bench:
        again = write(bench, goal, RULE)
    assert torch.equal(again.g, done.g) and torch.equal(again.energy, done.energy)


def test_answers_that_come_late_are_not_taken_for_others():
    faults = LineFaults(late_every=3, late_seconds=0.15)
    with Loopback(SimulatedBoard(NOISY, 8, 8), faults=faults) as server:
        board = opened(server, 0.1, 64, size=8)
        with Bench(board, NOISY, attempts=8) as bench:
            reads = torch.stack([bench.conductances() for _ in range(6)])
            write(bench, targets(8, 8), RULE)
            now, truth = bench.conductances(), server.board.board.conductances()
    assert float((reads - 1e-6).abs().max()) < 0.3e-6 and log_report(bench.log).lost > 2
    assert float((now - truth).abs().max()) < 6 * 0.005 * NOISY.g_max


@pytest.mark.parametrize("dialect", [SCPI(), TSP()])
def test_a_power_cut_over_the_socket_is_gone_on_from(tmp_path, dialect):
    goal, path = targets(8, 8), tmp_path / "run.jsonl"
    whole = SimulatedBoard(QUICK, 8, 8)
    with Bench(whole, QUICK) as bench:
        write(bench, goal, RULE)
    with Loopback(SimulatedBoard(QUICK, 8, 8), dialect, LineFaults(power_cut=6)) as server:
        board = opened(server, 0.1, 64, dialect, 8)
        with pytest.raises(LostReply), Bench(board, QUICK, log=path, attempts=2) as bench:
            write(bench, goal, RULE)
        assert log_report(path).unknown.number > 0
        server.board.on = True
        with Bench(opened(server, 1.0, 64, dialect, 8), QUICK, log=path, resume=True) as bench:
            write(bench, goal, RULE)
        assert torch.equal(server.board.board.conductances(), whole.conductances())
        assert torch.equal(log_report(path).pulses, whole.counts)


@pytest.fixture
def interruptible():
    """Ctrl-C raises, also in a process that a shell started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_in_the_middle_of_a_run_leaves_all_lines_on_ground(interruptible):
    with Loopback(SimulatedBoard(QUIET, 8, 8)) as server:
        instrument, board = server._instrument, opened(server, 1.0, 16, size=8)
        session, rounds = board.session, iter(range(12))

        def read():
            if next(rounds, None) is None:
                signal.raise_signal(signal.SIGINT)
            return session.read()

        board.session = SimpleNamespace(write=session.write, read=read, close=session.close)
        with pytest.raises(KeyboardInterrupt), Bench(board, QUIET) as bench:
            write(bench, targets(8, 8), RULE)
        opened(server, 1.0, 16, size=8).close()  # the server has heard all that was said before
        assert not instrument._on and all(buses == {"C"} for buses in instrument._buses)


def test_a_header_map_leads_to_the_lines():
    class Lines(SCPI):
        """A matrix whose lines are counted from the end."""

        def relay(self, bus, line):
            return super().relay(bus, 7 - line)

    back = tuple(range(7, -1, -1))
    held = targets(4, 4)
    with Loopback(SimulatedBoard(QUIET, 4, 4), Lines()) as server:
        with Bench(server.board, QUIET) as bench:
            write(bench, held, RULE)
        board = SourceMeasureBoard(open_visa(server.address), 4, 4, SCPI(), header=back)
        found = board.read(Cells.all((4, 4)), 0.1).amperes
        assert torch.equal(found.view(4, 4) / 0.1, 0.1 * server.board.board.conductances() / 0.1)
        board.close()
        with pytest.raises(ValueError, match="each once"):
            SourceMeasureBoard(open_visa(server.address), 4, 4, header=back[:-1])


def test_relays_that_would_short_lines_are_an_error_of_the_instrument():
    class Careless(SCPI):
        def opened(self, relays):
            return "SOUR1:VOLT 0.0"

    with Loopback(SimulatedBoard(QUIET, 4, 4)) as server:
        board = SourceMeasureBoard(open_visa(server.address), 4, 4, Careless())
        with Bench(board, QUIET) as bench, pytest.raises(BoardError, match="lies on the buses A and C"):
            bench.read()


def test_rows_of_several_voltages_are_refused():
    with Loopback(SimulatedBoard(QUIET, 4, 4)) as server:
        board = opened(server, 1.0, 16, size=4)
        with pytest.raises(BoardError, match="rows have one voltage or ground"):
            board.multiply(torch.tensor([[0.1, 0.2, 0.0, 0.0]]).double(), torch.arange(4))
        board.close()


def test_without_pyvisa_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvisa", None)
    with pytest.raises(ImportError, match=r'pip install "mho\[lab\]"'):
        open_visa("TCPIP0::127.0.0.1::5025::SOCKET")


def test_an_instrument_that_is_not_there_is_named():
    with pytest.raises(BoardError, match="look at the address"):
        SourceMeasureBoard(open_visa("TCPIP0::127.0.0.1::1::SOCKET", timeout=0.2), 4, 4)


# --- a layer in the loop -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    from mho.experiments.data import Digits

    data = Digits().load()
    x, y = data.train.tensors
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(6):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    test, truth = data.test.tensors
    return model, (x, y), (test[:150], truth[:150])


def test_a_layer_on_the_instruments_is_as_good_as_the_simulated_chip_and_learns_there(digits):
    model, (x, y), (test, truth) = digits
    device = Switching(model=STEPS, read=NOISY.read)
    dac = mho.DAC(bits=4, signed=False, range=mho.converters.Fixed(limit=float(x.max())))
    analog = mho.convert(model, mho.Hardware(device=device, dac=dac)).eval()
    rule = WriteVerify(pulse=PULSES, tolerance=0.06, max_pulses=40)  # a coarse one leaves something to learn

    def accuracy():
        with torch.no_grad():
            y = analog(test)
        return float((y.argmax(1) == truth).double().mean()), y

    with Loopback(SimulatedBoard(device, SIZE, SIZE)) as server:
        bench = Bench(opened(server, 5.0, 1024), device)
        with bench, OnBoard(analog, bench, rule) as there:
            assert there.pages == 1
            before, on_board = accuracy()
            there.close()
            simulated, modelled = accuracy()  # the chip that was read back
            n = len(truth)
            assert abs(before - simulated) <= 2 * (2 * simulated * (1 - simulated) / n) ** 0.5
            assert float((on_board - modelled).std() / modelled.std()) < 0.1
            for array in there.arrays.values():
                array.crossbar._learner = array
            optimizer = torch.optim.SGD(analog.parameters(), lr=0.3)
            some, labels = x[:100], y[:100]
            losses = []
            for _ in range(2):
                analog.train()
                for part, label in zip(some.split(50), labels.split(50), strict=True):
                    optimizer.zero_grad()
                    loss = torch.nn.functional.cross_entropy(analog(part), label)
                    loss.backward()
                    optimizer.step()
                    there.program()
                    losses.append(float(loss.detach()))
                analog.eval()
            after, _ = accuracy()
    assert losses[2] < losses[0] and losses[3] < losses[1]
    assert after > before
