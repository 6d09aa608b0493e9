"""The rules of the bench: what is not repeated, not believed, not sent; and how it ends."""

from __future__ import annotations

import pytest
import torch

from mho.boards import (
    BadAnswer,
    Bench,
    BoardError,
    Calibration,
    Capabilities,
    Cells,
    LineFaults,
    LostReply,
    Pulses,
    SimulatedBoard,
    Unreliable,
    Wiring,
    disturb_voltage,
    log_report,
    write,
)
from mho.devices import PCM, Ideal, Switching
from mho.devices.dynamics import VTEAM, LinearStep
from mho.programming import Correction, WriteVerify

from .cells import NOISY, QUIET, RULE, targets

ONE = Cells(torch.tensor([1]), torch.tensor([2]))


def one_pulse(volts=1.0, seconds=1e-6):
    return Pulses(ONE, torch.tensor([volts]).double(), torch.tensor([seconds]).double())


class Watched(SimulatedBoard):
    """A board that counts how often it was made safe."""

    safes = 0

    def safe(self):
        self.safes += 1


def test_a_pulse_without_an_answer_is_not_sent_again_before_a_read():
    board = Unreliable(SimulatedBoard(QUIET, 4, 4), LineFaults(unanswered_every=1))
    with Bench(board, QUIET) as bench:
        assert not bool(bench.pulse(one_pulse()))
        with pytest.raises(BoardError, match="pulse of row 1, column 2, attempt 1: .* read the cell before"):
            bench.pulse(one_pulse())
        bench.read(ONE)
        assert not bool(bench.pulse(one_pulse()))
        assert int(board.board.counts.sum()) == 2


@pytest.mark.parametrize(
    ("wiring", "kind"),
    [
        (Wiring(nan=(1, 2)), "NaN"),
        (Wiring(overflow=(1, 2)), "overflow"),
        (Wiring(shorted=(1, 2)), "compliance"),
    ],
)
def test_what_is_no_measurement_is_an_error_with_verb_address_and_attempts(wiring, kind):
    with Bench(SimulatedBoard(QUIET, 4, 4, wiring=wiring), QUIET, attempts=3) as bench:
        with pytest.raises(BadAnswer, match="read of row 1, column 2, attempt 3") as found:
            bench.conductances()
        error = found.value
        assert (error.kind, error.verb, error.attempts) == (kind, "read", 3)
        with pytest.raises(BadAnswer, match="multiply of vector 0, column 2, attempt 3"):
            bench.multiply(torch.ones(1, 4))


def test_not_a_number_of_scpi_is_told_from_an_overflow():
    board = SimulatedBoard(QUIET, 2, 2)
    plain = board.read
    board.read = lambda cells, volts: plain(cells, volts)._replace(amperes=torch.full((4,), 9.91e37).double())
    with Bench(board, QUIET) as bench, pytest.raises(BadAnswer) as found:
        bench.read()
    assert found.value.kind == "NaN"


def test_a_stale_value_is_an_error():
    board = SimulatedBoard(QUIET, 4, 4, wiring=Wiring(stale=True))
    with Bench(board, QUIET) as bench:
        bench.read(ONE)
        with pytest.raises(BadAnswer, match="attempt 5: the measurement is an old one"):
            bench.read(ONE)


def test_lost_replies_of_reads_are_asked_for_again_and_end_in_an_error():
    board = Unreliable(SimulatedBoard(QUIET, 4, 4), LineFaults(lost_every=2))
    with Bench(board, QUIET) as bench:
        reads = [bench.conductances() for _ in range(4)]
        assert all(torch.equal(reads[0], g) for g in reads) and board.transactions == 7
    words = "read of 16 cells from row 0, column 0 on, attempt 5"
    silent = Unreliable(SimulatedBoard(QUIET, 4, 4), LineFaults(dropped_every=1))
    with Bench(silent, QUIET) as bench, pytest.raises(LostReply, match=words):
        bench.conductances()


def test_reads_stay_below_the_voltage_that_moves_cells():
    assert 0.48 < disturb_voltage(QUIET, 1e-3) < 0.5
    assert disturb_voltage(PCM(), 1.0) == PCM().v_read
    model = VTEAM()
    limit = disturb_voltage(Switching(model=model), 1e-3)
    state = torch.tensor(sum(map(float, model.bounds)) / 2, dtype=torch.float64)
    span = float(model.bounds[1]) - float(model.bounds[0])
    assert float((model.step(state, limit, 1e-3) - state).abs()) <= 1e-3 * span
    assert disturb_voltage(Switching(model=model), 1e-3) >= disturb_voltage(Switching(model=model), 1.0)
    words = "a read above 0.49.* V moves the cells"
    with Bench(SimulatedBoard(QUIET, 4, 4), QUIET) as bench, pytest.raises(ValueError, match=words):
        bench.read(volts=0.5)
    with pytest.raises(ValueError, match="moves the cells"):
        Bench(SimulatedBoard(QUIET, 4, 4), QUIET, v_read=0.6)


def test_pulses_that_the_board_cannot_send_are_not_sent():
    board = SimulatedBoard(QUIET, 4, 4)
    with Bench(board, QUIET) as bench:
        for pulses, words in (
            (one_pulse(volts=6.0), "volts = 6 V for row 1, column 2: the board sends -5 V to 5 V"),
            (one_pulse(seconds=20.0), "seconds = 20 s"),
            (one_pulse(volts=float("nan")), "volts = nan V"),
        ):
            with pytest.raises(ValueError, match=words):
                bench.pulse(pulses)
    assert int(board.counts.sum()) == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, LostReply])
def test_the_lines_are_grounded_on_every_error(error):
    board = Watched(QUIET, 4, 4)

    def fail(*given):
        raise error("in the middle")

    board.read = fail
    bench = Bench(board, QUIET)
    with pytest.raises(error):
        bench.read()
    assert board.safes >= 1
    with pytest.raises(ZeroDivisionError), Bench(Watched(QUIET, 2, 2), QUIET) as other:
        raise ZeroDivisionError
    assert other.board.safes == 1


def test_ctrl_c_is_not_lost_where_the_board_cannot_be_made_safe():
    board = SimulatedBoard(QUIET, 2, 2)

    def interrupt(*given):
        raise KeyboardInterrupt

    def unreachable():
        raise BoardError("the instrument was not reached")

    bench = Bench(board, QUIET)
    board.read, board.safe = interrupt, unreachable
    with pytest.warns(UserWarning, match="see that the lines are grounded"), pytest.raises(KeyboardInterrupt):
        bench.read()
    with pytest.raises(BoardError, match="see that the lines are grounded"):
        bench.safe()


def test_write_verify_ends_in_the_conductances_of_a_run_without_faults():
    goal = targets(12, 10)

    def run(device, faults, **more):
        board = Unreliable(SimulatedBoard(device, 12, 10), faults)
        with Bench(board, device, **more) as bench:
            done = write(bench, goal, RULE)
        return board.board, done, bench

    board, done, _ = run(QUIET, LineFaults())
    assert not bool(done.failed.any()) and bool(((done.g - goal).abs() <= 0.02 * QUIET.g_max).all())
    assert torch.equal(board.counts, done.pulses.long())
    for faults in (
        LineFaults(lost_every=3),
        LineFaults(dropped_every=4),
        LineFaults(lost_every=10, unanswered_every=5, dropped_every=7),
    ):
        other, found, bench = run(QUIET, faults)
        assert torch.equal(other.conductances(), board.conductances())
        assert torch.equal(found.pulses, done.pulses) and torch.equal(found.g, done.g)
        report = log_report(bench.log)
        assert torch.equal(report.pulses, done.pulses.long()) and report.lost > 0
        assert not report.unknown.number
    _, noisy, _ = run(NOISY, LineFaults(lost_every=10, unanswered_every=4))
    assert not bool(noisy.failed.any())


def test_every_hundredth_single_pulse_may_go_unanswered():
    goal, single = (
        targets(6, 6),
        Capabilities(rows=6, columns=6, at_once=1),
    )  # each pulse has an answer of its own
    boards = []
    for faults in (LineFaults(), LineFaults(lost_every=10, unanswered_every=100)):
        board = Unreliable(SimulatedBoard(QUIET, 6, 6, capabilities=single), faults)
        with Bench(board, QUIET) as bench:
            write(bench, goal, RULE)
        boards.append(board)
    quiet, lossy = boards
    assert lossy.transactions > quiet.transactions and int(lossy.board.counts.sum()) > 200
    assert torch.equal(quiet.board.conductances(), lossy.board.conductances())
    assert torch.equal(quiet.board.counts, lossy.board.counts)


def test_a_pulse_that_never_happens_is_an_error_that_names_the_cell():
    board = SimulatedBoard(QUIET, 4, 4)

    def nothing(pulses):
        raise LostReply("no answer in time")

    board.pulse = nothing
    with (
        Bench(board, QUIET, attempts=3) as bench,
        pytest.raises(
            BoardError, match="pulse of row 0, column 0, attempt 3: no answer, and the cell did not"
        ),
    ):
        write(bench, targets(4, 4), RULE)


def test_energy_and_pulses_of_the_log_are_those_of_the_programming():
    goal = targets(6, 6)
    rule = WriteVerify(pulse=RULE.pulse, tolerance=0.02, read_time=0.0)
    with Bench(SimulatedBoard(NOISY, 6, 6), NOISY) as bench:
        done = write(bench, goal, rule)
        bench.conductances()
        bench.conductances()
    report = log_report(bench.log)
    assert torch.equal(report.pulses, done.pulses.long())
    assert torch.allclose(report.energy, done.energy, rtol=1e-12)
    summary = rule.summary(done, goal, NOISY.g_max)
    assert summary is not None and summary.pulses == int(report.pulses.sum())
    noise = report.read_noise.square().mean().sqrt()  # 36 cells, three reads each
    assert 0.7 < float(noise) / (0.005 * NOISY.g_max) < 1.3
    assert "pulses" in str(report) and report.refused == 0


def test_boards_that_set_targets_are_told_them_until_reads_agree():
    goal = targets(8, 8) * 2
    board = Unreliable(SimulatedBoard(PCM(), 8, 8), LineFaults(lost_every=4))
    with Bench(board, PCM()) as bench:
        done = write(bench, goal, WriteVerify(tolerance=0.05, max_pulses=30))
    assert not bool(done.failed.any()) and int(done.pulses.max()) > 1
    with Bench(SimulatedBoard(PCM(), 8, 8), PCM()) as bench:
        once = write(bench, goal, WriteVerify(tolerance=1e-6, max_pulses=1))
    assert bool(once.failed.any())


def test_a_part_of_the_array_is_written_and_the_rest_left_alone():
    board, mask = SimulatedBoard(QUIET, 4, 4), torch.eye(4, dtype=torch.bool)
    with Bench(board, QUIET) as bench:
        done = write(bench, targets(4, 4), RULE, mask=mask)
    assert bool((board.counts > 0)[mask].all()) and int(board.counts[~mask].sum()) == 0
    assert bool(done.g[~mask].isnan().all()) and bool(done.g[mask].isfinite().all())


def test_bad_arguments_are_refused_before_anything_is_asked():
    with Bench(SimulatedBoard(QUIET, 4, 4), QUIET) as bench:
        for ask, words in (
            (lambda: write(bench, targets(3, 4), RULE), r"g_target has shape \(3, 4\)"),
            (lambda: write(bench, targets(4, 4), WriteVerify(pulse=Correction())), "a board sends volts"),
            (lambda: bench.multiply(torch.full((2, 4), 1.5)), "from -1 to 1"),
            (lambda: Bench(SimulatedBoard(QUIET, 2, 2), QUIET, resume=True), "give the file of the log"),
        ):
            with pytest.raises(ValueError, match=words):
                ask()
    with (
        Bench(SimulatedBoard(QUIET, 4, 4)) as bench,
        pytest.raises(ValueError, match="say what the cells are"),
    ):
        write(bench, targets(4, 4), RULE)


def test_products_are_driven_whole_or_bit_by_bit():
    x = torch.linspace(-1, 1, 15, dtype=torch.float64).view(3, 5)
    whole = SimulatedBoard(Ideal(), 5, 4)
    whole.set(Cells.all((5, 4)), torch.linspace(1e-6, 20e-6, 20))
    y = Bench(whole, Ideal()).multiply(x)
    assert torch.allclose(y, x * Ideal().v_read @ whole.conductances(), rtol=1e-9)
    from dataclasses import replace

    whole._capabilities = replace(whole.capabilities, row_levels=False)
    bits = Bench(whole, Ideal()).multiply(x)
    assert float((bits - y).abs().max()) < float(y.abs().max()) / 2**7
    exact = (x * 255).round() / 255
    assert torch.allclose(Bench(whole, Ideal()).multiply(exact), bits, rtol=1e-12)
    gains = Calibration(torch.full((4,), 2.0).double(), torch.zeros(4).double())
    assert torch.allclose(2 * Bench(whole, Ideal(), calibration=gains).multiply(x), bits)


def test_steps_of_another_model_are_found_too():
    device = Switching(model=LinearStep(step_up=2e-6, step_down=1e-6))
    assert 0.4 < disturb_voltage(device, 10.0) < 0.5
