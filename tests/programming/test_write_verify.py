"""Write-verify on statistical devices: convergence, distributions, costs, edges."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import stats

from mho.devices import PCM, Generic, Ideal, Independent, ReRAMCMO, StuckAt, Switching
from mho.errors import ConfigError
from mho.hardware import Hardware
from mho.programming import Correction, ProgrammingResult, SingleShot, Site, WriteVerify, write_verify
from mho.random import normal

NOISY = Generic(program=Independent(sigma=0.05), g_max=20e-6)


def targets(
    device: object = NOISY, shape: tuple[int, ...] = (2, 1, 40, 50), dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    unit = torch.rand(shape, generator=generator, dtype=dtype)
    return device.g_min + (device.g_max - device.g_min) * unit  # type: ignore[attr-defined]


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-9, atol=0)


def same(a: ProgrammingResult, b: ProgrammingResult) -> bool:
    return all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


@pytest.mark.parametrize("device", [NOISY, PCM(read_scale=0.0), ReRAMCMO(read_scale=0.0)])
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_cells_are_within_tolerance_or_failed(device, relative: bool, dtype: torch.dtype) -> None:
    g = targets(device, dtype=dtype)
    done = WriteVerify(tolerance=0.02, relative=relative).write(device, g, 0)
    limit = 0.02 * (g if relative else device.g_max)
    assert torch.equal((done.g - g).abs() > limit, done.failed)
    assert done.failed.float().mean() < 1e-3
    assert done.g.dtype == dtype and done.pulses.dtype == torch.int32
    assert done.pulses.min() == 1 and all(v.shape == g.shape for v in vars(done).values())


def test_one_pulse_is_the_single_shot() -> None:
    g = targets()
    once, shot = WriteVerify(max_pulses=1).write(NOISY, g, 3, "fc"), SingleShot().write(NOISY, g, 3, "fc")
    assert torch.equal(once.g, shot.g) and bool((once.pulses == 1).all())
    assert torch.equal(shot.g, NOISY.programmed(g, normal(g.shape, 3, "fc", "program").to(g)))
    assert bool(shot.energy.isnan().all()) and not shot.failed.any()


def test_cells_that_need_one_pulse_keep_the_law_inside_the_tolerance() -> None:
    """Those accepted at once: the normal error of the device, truncated to the tolerance."""
    device = Generic(program=Independent(sigma=0.02), g_max=20e-6)
    g = torch.full((1, 1, 200, 200), 10e-6, dtype=torch.float64)
    done = WriteVerify(tolerance=0.02).write(device, g, 0)
    first = done.pulses == 1
    share = math.erf(1 / math.sqrt(2))
    assert abs(float(first.double().mean()) - share) < 4 * math.sqrt(share * (1 - share) / g.numel())
    error = ((done.g - g) / (0.02 * device.g_max))[first]
    assert stats.kstest(error.numpy(), stats.truncnorm(-1, 1).cdf).pvalue > 1e-3


def test_corrections_carry_the_error_of_their_step() -> None:
    """After the second pulse the error is sigma1 sigma2 xi1 xi2: a product of two normals."""
    g = torch.full((1, 1, 100, 100), 10e-6, dtype=torch.float64)
    twice = WriteVerify(tolerance=1e-9, max_pulses=2).write(NOISY, g, 0)
    first = SingleShot().write(NOISY, g, 0)
    ratio = (twice.g - g) / (first.g - g).abs() / 0.05  # the range is g_max
    assert stats.kstest(ratio.flatten().numpy(), "norm").pvalue > 1e-3
    exact = WriteVerify(pulse=Correction(scale=0.0), tolerance=1e-9, max_pulses=2).write(NOISY, g, 0)
    close(exact.g, g)


def test_tighter_tolerance_takes_more_pulses_and_ends_nearer() -> None:
    g = targets()
    done = [WriteVerify(tolerance=t).write(NOISY, g, 0) for t in (0.1, 0.03, 0.01, 0.003, 0.001)]
    pulses = [float(d.pulses.double().mean()) for d in done]
    errors = [float((d.g - g).square().mean()) for d in done]
    assert pulses == sorted(set(pulses)) and errors == sorted(set(errors), reverse=True)
    for loose, tight in itertools.pairwise(done):  # in each cell: the same draws, a later stop
        assert bool((tight.pulses >= loose.pulses).all())


def test_read_noise_lets_cells_pass_that_lie_outside() -> None:
    g = targets()
    quiet = WriteVerify(tolerance=0.01).write(NOISY, g, 0)
    noisy = WriteVerify(tolerance=0.01, read_noise=0.02).write(NOISY, g, 0)
    assert float((quiet.g - g).abs().max()) <= 0.01 * NOISY.g_max
    assert float(((noisy.g - g).abs() > 0.01 * NOISY.g_max).double().mean()) > 0.2
    loud = Generic(program=Independent(sigma=0.05), read=Independent(sigma=0.02), g_max=20e-6)
    own = WriteVerify(tolerance=0.01).write(loud, g, 0)
    assert torch.equal(own.g, noisy.g)  # noise of the device and noise of the reader, of the same size


def test_energy_and_time_are_those_of_the_pulses_and_reads() -> None:
    g = torch.full((1, 1, 3, 4), 10e-6, dtype=torch.float64)
    pulse = Correction(voltage=2.0, width=1e-6)
    free = WriteVerify(pulse=pulse, read_time=0.0).write(Ideal(g_min=2e-6), g, 0)
    close(free.energy, torch.full_like(g, 4.0 * 6e-6 * 1e-6))
    close(free.seconds, torch.full_like(g, 1e-6))
    read = WriteVerify(pulse=pulse, read_time=1e-5).write(Ideal(g_min=2e-6, v_read=0.5), g, 0)
    close(read.energy - free.energy, torch.full_like(g, 0.25 * 10e-6 * 1e-5))
    close(read.seconds, torch.full_like(g, 1.1e-5))
    many = WriteVerify(pulse=pulse, tolerance=1e-3, read_time=1e-5).write(NOISY, targets(), 0)
    assert int(many.pulses.max()) > 2
    close(many.seconds, many.pulses.double() * 1.1e-5)


def test_targets_beyond_reach_fail_and_end() -> None:
    device = Ideal(g_min=2e-6)
    g = torch.tensor([[[[30e-6, 0.0, 2e-6, 25e-6]]]], dtype=torch.float64)
    stuck = Generic(g_min=2e-6, clip=True)
    done = WriteVerify(max_pulses=7).write(stuck, g, 0)
    assert done.failed.flatten().tolist() == [True, True, False, False]
    assert done.pulses.flatten().tolist() == [7, 7, 1, 1]
    assert done.g.flatten().tolist() == [25e-6, 2e-6, 2e-6, 25e-6]
    assert not WriteVerify().write(device, targets(device), 0).failed.any()


@pytest.mark.parametrize("shape", [(1, 1, 1, 7), (2, 1, 5, 1), (1, 1, 0, 4), (1, 1, 1, 1)])
def test_edges_of_shape(shape: tuple[int, ...]) -> None:
    for pulse in (Correction(), Correction(disturb=0.01)):
        done = WriteVerify(pulse=pulse).write(NOISY, torch.full(shape, 10e-6), 0)
        assert all(v.shape == shape for v in vars(done).values())


def test_relative_tolerance_of_nothing_needs_exactly_nothing() -> None:
    g = torch.zeros(1, 1, 1, 200)
    done = WriteVerify(relative=True, max_pulses=5).write(NOISY, g, 0)
    assert torch.equal(done.failed, done.g > 0)


# --- draws -----------------------------------------------------------------------------------


def test_seeds_and_paths_name_the_draws_bit_for_bit() -> None:
    verify, g = WriteVerify(read_noise=0.01, tolerance=0.005), targets()
    one = verify.write(NOISY, g, 1, "a")
    assert same(one, verify.write(NOISY, g, 1, "a"))
    assert not torch.equal(one.g, verify.write(NOISY, g, 2, "a").g)
    assert not torch.equal(one.g, verify.write(NOISY, g, 1, "b").g)


def test_neither_chunks_nor_tiles_change_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    verify, g = WriteVerify(read_noise=0.01, tolerance=0.005), targets()
    whole = verify.write(NOISY, g, 1)
    site = Site(((0, 7), (7, 40)), ((0, 50),), ((1.0, -1.0),), lambda g: g)
    assert same(whole, verify.write(NOISY, g, 1, "", site))
    monkeypatch.setattr(write_verify, "_CHUNK", 123)
    assert same(whole, verify.write(NOISY, g, 1))


# --- disturbance -----------------------------------------------------------------------------


def test_a_step_disturbs_its_row_and_its_column() -> None:
    pulse = Correction(disturb=0.1, scale=0.0)
    g = torch.full((1, 1, 3, 4), 10e-6, dtype=torch.float64)
    step = torch.zeros_like(g)
    step[0, 0, 1, 2] = 2e-6
    moved = pulse.apply(Ideal(), (g,), g, step, 1, lambda: torch.zeros_like(g))
    wanted = g.clone()
    wanted[0, 0, 1] += 0.2e-6
    wanted[0, 0, :, 2] += 0.2e-6
    wanted[0, 0, 1, 2] = 12e-6
    close(moved.memory[0], wanted)
    assert int((moved.energy > 0).sum()) == int((moved.seconds > 0).sum()) == 1


def test_the_first_writes_disturb_the_cells_written_before() -> None:
    g = torch.full((1, 1, 2, 3), 10e-6, dtype=torch.float64)
    start = Correction(disturb=0.1).start(Ideal(g_max=1.0), g, torch.zeros_like(g))
    later = torch.tensor([[3.0, 2.0, 1.0], [2.0, 1.0, 0.0]], dtype=torch.float64)  # in the row, in the column
    close(start.memory[0][0, 0], 10e-6 * (1 + 0.1 * later))


def test_write_verify_repairs_a_weak_disturbance_and_says_where_it_cannot() -> None:
    g = targets()
    weak = WriteVerify(pulse=Correction(disturb=0.005), max_pulses=100).write(NOISY, g, 0)
    assert not weak.failed.any() and float((weak.g - g).abs().max()) <= 0.01 * NOISY.g_max
    alone = WriteVerify().write(NOISY, g, 0)
    assert weak.pulses.double().mean() > alone.pulses.double().mean()
    strong = WriteVerify(pulse=Correction(disturb=0.5), max_pulses=20).write(NOISY, g, 0)
    assert torch.equal((strong.g - g).abs() > 0.01 * NOISY.g_max, strong.failed) and strong.failed.any()


def test_disturbance_stays_in_its_tile() -> None:
    verify, g = WriteVerify(pulse=Correction(disturb=0.005)), targets()
    site = Site(((0, 20), (20, 40)), ((0, 30), (30, 50)), ((1.0, -1.0),), lambda g: g)
    before = verify.write(NOISY, g, 0, "", site)
    other = g.clone()
    other[..., 20:, 30:] = 5e-6
    after = verify.write(NOISY, other, 0, "", site)
    assert torch.equal(before.g[..., :20, :], after.g[..., :20, :])
    assert torch.equal(before.g[..., 20:, :30], after.g[..., 20:, :30])
    assert not torch.equal(before.g, verify.write(NOISY, g, 0).g)


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": -0.01}, "tolerance"),
        ({"max_pulses": 0}, "max_pulses"),
        ({"read_noise": -1.0}, "read_noise"),
        ({"read_time": -1.0}, "read_time"),
        ({"pulse": "isp"}, "pulse"),
        ({"pulses": 3}, "did you mean"),
    ],
)
def test_bad_descriptions(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        WriteVerify(**values)


def test_bad_targets() -> None:
    with pytest.raises(ValueError, match="copy, group, row, column"):
        WriteVerify().write(NOISY, torch.zeros(3, 4), 0)
    with pytest.raises(ValueError, match="float32 or float64"):
        WriteVerify().write(NOISY, torch.zeros(1, 1, 3, 4, dtype=torch.int64), 0)
    g = torch.zeros(1, 1, 3, 4)
    g[0, 0, 1, 1] = math.nan
    with pytest.raises(ValueError, match="1 of 12 conductances are NaN"):
        WriteVerify().write(NOISY, g, 0)
    with pytest.raises(TypeError, match="seed"):
        WriteVerify().write(NOISY, torch.zeros(1, 1, 3, 4), 0.5)  # type: ignore[arg-type]


def test_statistical_pulses_do_not_fit_a_switching_model() -> None:
    with pytest.raises(ConfigError, match="VoltagePulses"):
        Hardware(device=Switching(), programming=WriteVerify())


def test_a_verifying_read_has_the_noise_of_its_own_short_time() -> None:
    """Phase-change noise is that of the octaves since the pulse: at t0 many more than a microsecond after."""
    cell = PCM(program_scale=0.0)
    g = torch.full((1, 1, 1, 200_000), 10e-6, dtype=torch.float64)
    for delay, octaves in ((1e-6, math.log(1.25e-6 / 5e-7)), (1e-3, math.log(1.00025e-3 / 5e-7)), (0.0, 0.0)):
        wanted = float(cell.read_fraction(g[..., :1])) * 10e-6 * math.sqrt(octaves)
        assert float(cell.verify_std(g, delay).mean()) == pytest.approx(wanted, rel=1e-9, abs=0)
    late = float(cell.read_std(g, g, 0.0).mean())
    assert late == pytest.approx(float(cell.verify_std(g, cell.t0).mean()), rel=1e-9, abs=0)
    assert torch.equal(StuckAt(lrs=0.1, device=cell).verify_std(g, 1e-6), cell.verify_std(g, 1e-6))
    assert torch.equal(NOISY.verify_std(g, 1e-6), NOISY.read_std(g, g, 0.0))


def test_short_delays_verify_better() -> None:
    device, g = PCM(), targets(PCM())
    errors = {}
    for delay in (None, 1e-6):
        done = WriteVerify(tolerance=0.01, delay=delay).write(device, g, seed=0)
        errors[delay] = float(((done.g - g) / device.g_max).square().mean().sqrt())
    assert errors[1e-6] < 0.8 * errors[None]
