"""The log: replayed bit for bit, gone on with after a power cut, refused when damaged."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mho.boards import (
    BadAnswer,
    Bench,
    BoardError,
    Cells,
    LineFaults,
    PowerCut,
    Replay,
    SimulatedBoard,
    Unreliable,
    Wiring,
    characterise,
    last_read,
    log_report,
    pulse_table,
    read_log,
    write,
)
from mho.boards.visa import Loopback, SourceMeasureBoard, open_visa
from mho.config.sealed import DamagedFileError
from mho.devices import PulseTrain, Switching, fit
from mho.devices.dynamics import LinearStep

from .cells import DOWN, NOISY, QUIET, RULE, UP, targets

GOAL = targets(8, 6)


def logged(path, faults=None, device=NOISY):
    board = Unreliable(SimulatedBoard(device, 8, 6), faults or LineFaults())
    with Bench(board, device, log=path) as bench:
        done = write(bench, GOAL, RULE)
        product = bench.multiply(torch.linspace(0, 1, 16).view(2, 8))
    return done, product


def test_a_replay_gives_the_same_bits(tmp_path):
    path = tmp_path / "run.jsonl"
    done, product = logged(path, LineFaults(lost_every=6, dropped_every=5))
    with Bench(Replay(path), NOISY) as bench:
        again = write(bench, GOAL, RULE)
        assert torch.equal(bench.multiply(torch.linspace(0, 1, 16).view(2, 8)), product)
        for name in ("g", "pulses", "failed", "energy", "seconds"):
            assert torch.equal(getattr(again, name), getattr(done, name))
        with pytest.raises(BoardError, match="the log ends here"):
            bench.read()
    assert torch.equal(last_read(path), log_report(path).last)


def test_a_replay_of_another_program_says_so(tmp_path):
    path = tmp_path / "run.jsonl"
    logged(path)
    with Bench(Replay(path), NOISY) as bench, pytest.raises(BoardError, match="others than those of the log"):
        bench.read(Cells(torch.tensor([0]), torch.tensor([0])))
    with pytest.raises(BoardError, match="capabilities are others"):
        Replay(path, then=SimulatedBoard(NOISY, 3, 3))


def test_errors_are_replayed_too(tmp_path):
    path = tmp_path / "run.jsonl"
    board = SimulatedBoard(QUIET, 4, 4, wiring=Wiring(nan=(1, 1)))
    with Bench(board, QUIET, log=path) as bench, pytest.raises(BadAnswer):
        bench.read()
    with Bench(Replay(path), QUIET) as bench, pytest.raises(BadAnswer, match="row 1, column 1, attempt 5"):
        bench.read()


@pytest.mark.parametrize("cut", [2, 9, 10, 17])
def test_after_a_power_cut_the_run_goes_on_from_there(tmp_path, cut):
    path = tmp_path / "run.jsonl"
    whole = SimulatedBoard(QUIET, 8, 6)
    with Bench(whole, QUIET) as bench:
        write(bench, GOAL, RULE)
    board = Unreliable(SimulatedBoard(QUIET, 8, 6), LineFaults(power_cut=cut, lost_every=4))
    with pytest.raises(PowerCut), Bench(board, QUIET, log=path) as bench:
        write(bench, GOAL, RULE)
    report = log_report(path)
    cut_in_pulse = read_log(path)[-2].get("stage") == "sent" or "of" in read_log(path)[-2]
    sent = int(board.board.counts.sum())
    known = int(report.pulses.sum())
    assert known <= sent <= known + report.unknown.number and (report.unknown.number > 0 or not cut_in_pulse)
    board.on = True
    with Bench(board, QUIET, log=path, resume=True) as bench:
        done = write(bench, GOAL, RULE)
    assert not bool(done.failed.any())
    assert torch.equal(board.board.conductances(), whole.conductances())
    assert torch.equal(board.board.counts, whole.counts)  # no pulse twice, and none left out
    report = log_report(path)
    assert torch.equal(report.pulses, whole.counts) and not report.unknown.number


def test_a_run_that_is_cut_again_and_again_ends_as_one_that_is_not(tmp_path):
    path = tmp_path / "run.jsonl"
    whole = SimulatedBoard(QUIET, 8, 6)
    with Bench(whole, QUIET) as bench:
        write(bench, GOAL, RULE)
    cells = SimulatedBoard(QUIET, 8, 6)
    for cut in (2, 1, 3, 4, 1, 6, 0):
        board = Unreliable(cells, LineFaults(power_cut=cut, lost_every=3))
        with contextlib.suppress(PowerCut), Bench(board, QUIET, log=path, resume=path.exists()) as bench:
            done = write(bench, GOAL, RULE)
    assert torch.equal(cells.conductances(), whole.conductances()) and torch.equal(cells.counts, whole.counts)
    assert torch.equal(log_report(path).pulses, whole.counts)
    with Bench(Replay(path), QUIET) as bench:
        assert torch.equal(write(bench, GOAL, RULE).g, done.g)


def test_a_program_that_died_before_its_answer_goes_on_too(tmp_path):
    path = tmp_path / "run.jsonl"
    board = SimulatedBoard(QUIET, 8, 6)
    with Bench(board, QUIET, log=path) as bench:
        sent = board.pulse

        def die(pulses):
            sent(pulses)
            if int(board.counts.sum()) > 100:
                raise MemoryError

        board.pulse = die
        with pytest.raises(MemoryError):
            write(bench, GOAL, RULE)
    with path.open("ab") as file:
        file.write(b'{"n": 99, "verb": "re')  # a line that was being written
    assert log_report(path).unknown.number > 0
    board.pulse = sent
    with Bench(board, QUIET, log=path, resume=True) as bench:
        done = write(bench, GOAL, RULE)
    assert not bool(done.failed.any())
    whole = SimulatedBoard(QUIET, 8, 6)
    with Bench(whole, QUIET) as bench:
        write(bench, GOAL, RULE)
    assert torch.equal(board.counts, whole.counts) and torch.equal(log_report(path).pulses, whole.counts)


def test_a_damaged_log_is_refused(tmp_path):
    path = tmp_path / "run.jsonl"
    logged(path)
    content = path.read_bytes()
    place = content.index(b"amperes") + 40
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(DamagedFileError, match="run.jsonl, line"):
        read_log(path)
    other = tmp_path / "other.jsonl"
    other.write_text("")
    with pytest.raises(DamagedFileError, match="no log of a bench"):
        log_report(other)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is there already"):
        Bench(SimulatedBoard(NOISY, 8, 6), NOISY, log=path)


def test_a_line_of_the_log_is_read_by_numpy_alone(tmp_path):
    path = tmp_path / "run.jsonl"
    with Bench(SimulatedBoard(QUIET, 5, 5), QUIET, log=path) as bench:
        g = bench.conductances()
    (read,) = [e for e in map(json.loads, path.read_text().splitlines()) if e["verb"] == "read"]
    packed = read["answer"]["amperes"]
    amperes = np.frombuffer(base64.b64decode(packed["f8"]), "<f8").reshape(packed["shape"])
    assert np.array_equal(amperes / read["arguments"]["volts"], g.flatten().numpy())


def test_the_fit_of_a_log_finds_the_cells_that_were_on_the_board(tmp_path):
    path = tmp_path / "train.jsonl"
    noise = 0.05e-6
    model = LinearStep(
        step_up=0.5e-6, slope_up=0.05, step_down=0.6e-6, slope_down=0.06, noise_up=noise, noise_down=noise
    )
    device, pulses = Switching(model=model), 40
    with Loopback(SimulatedBoard(device, 4, 4)) as server:
        board = SourceMeasureBoard(open_visa(server.address), 4, 4)
        with Bench(board, device, log=path) as bench:
            characterise(
                bench, Cells(torch.tensor([1]), torch.tensor([2])), UP, DOWN, pulses=pulses, cycles=2
            )
    found = fit(pulse_table(Path(path)), PulseTrain(v_read=0.1))
    wanted = {
        "up.curvature": model.slope_up * (pulses - 1),
        "down.curvature": model.slope_down * (pulses - 1),
        "up.noise": noise,
        "down.noise": noise,
    }
    for name, truth in wanted.items():
        assert abs(found[name].value - truth) <= 2.58 * found[name].error, name  # 99 % of the fits
        assert found[name].error < 0.1 * truth, name
    fitted = found.device
    for name in ("step_up", "step_down", "slope_up", "slope_down"):
        assert abs(getattr(fitted, name) / getattr(model, name) - 1) < 0.05, name
    assert (fitted.v_up, fitted.v_down, fitted.width) == (1.0, -1.0, 1e-6)


def test_a_train_with_a_lost_reply_is_no_measurement():
    board = Unreliable(SimulatedBoard(QUIET, 4, 4), LineFaults(unanswered_every=3))
    with Bench(board, QUIET) as bench, pytest.raises(BoardError, match="known to its last pulse"):
        characterise(bench, Cells(torch.tensor([0]), torch.tensor([0])), UP, DOWN, pulses=9)
    with Bench(SimulatedBoard(QUIET, 2, 2), QUIET) as bench:
        bench.read()
        with pytest.raises(ValueError, match="no cell was pulsed"):
            pulse_table(bench.log)
