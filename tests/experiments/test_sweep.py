import json
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import time
import types
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from mho.experiments import budgets
from mho.experiments.budgets import BudgetStudy
from mho.experiments.engines import Engine, LocalEngine, RayEngine
from mho.experiments.experiment import Place, measure
from mho.experiments.plan import description, make_plan
from mho.experiments.progress import Progress
from mho.experiments.store import OtherStudyError
from mho.experiments.sweep import LOG, TABLE, run
from mho.experiments.wires import WireStudy
from mho.experiments.worker import run_cell

STUDY = {
    "kind": "experiments.ChipStudy",
    "chips": 1,
    "model": {"kind": "experiments.SmallCNN", "first": 2, "second": 2, "hidden": 8},
    "training": {"epochs": 1},
}
DOCUMENT = {
    "study": STUDY,
    "grid": {"hardware.adc.bits": [3, 4, 5, 6, 7, 8], "seed": [0, 1]},
}


class Here(Engine):
    """Runs every job in this process, the last one first; may be stopped."""

    def __init__(self, stop_after=None):
        self.stop_after, self.ran = stop_after, []

    def run(self, jobs):
        for number in reversed(range(len(jobs))):
            if len(self.ran) == self.stop_after:
                raise KeyboardInterrupt
            self.ran.append(jobs[number])
            yield number, run_cell(jobs[number])


@pytest.fixture(scope="module")
def small():
    return make_plan({"study": STUDY, "grid": {"hardware.adc.bits": [4, 8], "seed": [0, 1]}})


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    return run(small, folder, Here()), folder


# --- one process ---------------------------------------------------------------------------------


def test_rows_are_in_the_order_of_the_plan_with_fields_and_figures(finished):
    table, folder = finished
    assert table["cell"].tolist() == [0, 1, 2, 3]
    assert table["hardware.adc.bits"].tolist() == [4, 4, 8, 8] and table["seed"].tolist() == [0, 1, 0, 1]
    assert {"accuracy", "digital_accuracy", "energy", "cells"} <= set(table.columns)
    assert (table["error"] == "").all()
    assert table["energy"][:2].max() < table["energy"][2:].min() and (table["cells"] > 0).all()
    read = pd.read_csv(folder / TABLE, dtype={"error": str}).fillna({"error": ""})
    pd.testing.assert_frame_equal(read, table, check_dtype=False)


def test_figures_are_those_of_the_experiment_run_alone(small, finished, tmp_path):
    table, _ = finished
    alone = measure(description(small.cells[2]), Place(tmp_path, tmp_path))
    assert alone["accuracy"] == table["accuracy"][2] and alone["energy"] == table["energy"][2]


def test_a_stopped_sweep_goes_on_and_runs_no_cell_twice(small, finished, tmp_path):
    first, second = Here(stop_after=2), Here()
    with pytest.raises(KeyboardInterrupt):
        run(small, tmp_path, first)
    assert len((tmp_path / LOG.name).read_text().splitlines()) == 2
    assert len(pd.read_csv(tmp_path / TABLE)) == 2
    table = run(small, tmp_path, second)
    assert len(first.ran) == len(second.ran) == 2
    assert {j["folder"] for j in first.ran}.isdisjoint(j["folder"] for j in second.ran)
    assert (tmp_path / TABLE).read_bytes() == (finished[1] / TABLE).read_bytes()
    pd.testing.assert_frame_equal(table, finished[0])


def test_a_line_that_was_cut_short_is_run_again(small, finished, tmp_path):
    run(small, tmp_path, Here())
    text = (tmp_path / LOG.name).read_text()
    (tmp_path / LOG.name).write_text(text[:-30])
    engine = Here()
    run(small, tmp_path, engine)
    assert len(engine.ran) == 1
    assert (tmp_path / TABLE).read_bytes() == (finished[1] / TABLE).read_bytes()


def test_a_sweep_may_grow(small, finished):
    more = make_plan({"study": STUDY, "grid": {"hardware.adc.bits": [4, 6, 8], "seed": [0, 1]}})
    engine = Here()
    table = run(more, finished[1], engine)
    assert len(engine.ran) == 2 and len(table) == 6
    run(small, finished[1], Here(stop_after=0))  # nothing to do: back to the four


def test_a_failing_cell_is_recorded_and_the_others_go_on(tmp_path):
    plan = make_plan({"study": STUDY, "grid": {"hardware.adc.bits": [4, -2, 8]}})
    table = run(plan, tmp_path, Here())
    assert table["error"].tolist()[0] == table["error"].tolist()[2] == ""
    assert table["error"][1].startswith("ConfigError: ") and "bits = -2" in table["error"][1]
    assert pd.isna(table["accuracy"][1]) and table["accuracy"].notna().sum() == 2
    (trace,) = tmp_path.glob("cells/*/error.txt")
    assert "Traceback" in trace.read_text()
    again, retried = Here(), Here()
    run(plan, tmp_path, again)
    assert again.ran == []
    run(plan, tmp_path, retried, retry=True)
    assert len(retried.ran) == 1


def test_progress_counts_finished_and_failed_cells(tmp_path):
    class Told(Progress):
        def __init__(self):
            self.said = []

        def stage(self, title, total, done=0):
            self.said.append((title, total, done))
            return super().stage(title, total, done)

    told = Told()
    run(make_plan({"study": STUDY}), tmp_path, Here(), progress=told)
    run(make_plan({"study": STUDY}), tmp_path, Here(), progress=told)
    assert told.said == [("cells", 1, 0), ("cells", 1, 1)]


def test_a_folder_of_another_experiment_is_refused(finished):
    other = make_plan({"study": {"kind": "experiments.DriftStudy"}})
    with pytest.raises(OtherStudyError, match="experiment: it has .*ChipStudy.*this run has .*DriftStudy"):
        run(other, finished[1], Here())


@pytest.mark.exhaustive
def test_drift_and_quantisation_studies_are_experiments(tmp_path):
    small = {"kind": "experiments.SmallCNN", "first": 2, "second": 2, "hidden": 8}
    drift = {
        "kind": "experiments.DriftStudy", "model": small, "chips": 1, "times": [1.0],
        "training": {"epochs": 1}, "fine_tuning": {"epochs": 1},
    }  # fmt: skip
    tiny = {"model": {"kind": "experiments.SmallResNet", "width": 2}, "training": {"epochs": 1}}
    test = {"noise": [0.0, 0.2], "repeats": 1, "times": []}
    quantization = {"kind": "experiments.QuantizationExperiment", "study": tiny, "test": test}
    half = {"kind": "experiments.QuantizationStudy", **tiny}
    for number, study in enumerate((drift, quantization, half)):
        table = run(make_plan({"study": study}), tmp_path / str(number), Here())
        assert table["error"].tolist() == [""]
        assert 0 < table["accuracy"][0] < 1
    assert "ste_SingleDevice-200_area" in pd.read_csv(tmp_path / "1" / TABLE).columns


@pytest.mark.exhaustive
def test_budgets_landscapes_and_wires_are_experiments(tmp_path):
    base = {key: value for key, value in STUDY.items() if key != "kind"}
    landscape = {
        "kind": "experiments.LandscapeStudy", "model": STUDY["model"], "training": {"epochs": 1},
        "trainings": 1, "directions": 1, "ascent": 1, "images": 20,
    }  # fmt: skip
    wires = {"kind": "experiments.WireStudy", "rows": 16, "columns": 8, "sizes": [8, 16], "ohms": [2.0]}

    def cell(study, **grid):
        table = run(make_plan({"study": study, "grid": grid}), tmp_path / study["kind"], Here())
        assert (table["error"] == "").all()
        return table

    table = cell({"kind": "experiments.BudgetStudy", "base": {**base, "seconds": 1e6}}, **{"base.seed": [0]})
    parts = budgets.run(
        BudgetStudy(base=replace(description(make_plan({"study": STUDY}).cells[0]), seconds=1e6)), tmp_path
    )
    assert table["total"][0] == parts.total.mean and table["digital"][0] == parts.digital
    assert table["accuracy"][0] == pytest.approx(parts.ideal - parts.total.mean)
    for part in parts.parts:
        assert table[f"{part.kind}_{part.name}_alone"][0] == part.alone.mean
    table = cell(landscape, noise=[0.1])
    assert table["accuracy"][0] == table["noise_test_accuracy"][0]
    gain = table["noise_test_loss"][0] - table["plain_test_loss"][0]
    assert table["noise_minus_plain_test_loss"][0] == pytest.approx(gain)
    table = cell(wires, g_max=[25e-6, 50e-6])
    assert table["least_voltage"][0] > table["least_voltage"][1]  # larger currents
    assert table["16_rows_2_ohm_error"][0] > table["8_rows_2_ohm_error"][0]


def test_experiments_on_the_cpu_alone_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr("mho.experiments.harness.runner.usable_device", torch.device)
    with pytest.raises(ValueError, match="device = cuda: this experiment computes on the CPU"):
        measure(WireStudy(), Place(tmp_path, tmp_path, device="cuda"))


# --- many processes ------------------------------------------------------------------------------

TOY = """
    import os, time
    from mho.config import config
    from mho.experiments.experiment import measure

    @config
    class Toy:
        x: int = 0
        seed: int = 0

    @measure.register
    def _(study: Toy, place):
        print("an experiment may print")
        if study.x == 1:
            raise RuntimeError("one\\nfails")
        if study.x == -1:
            raise RuntimeError("half a character \\ud800")
        if study.x == 2:
            os._exit(3)
        if study.x == 3:
            os.kill(os.getpid(), 9)
        if study.x > 5:
            return SPECIAL[study.x]
        return {"square": study.x ** 2, "nothing": float("nan")}

    SPECIAL = {
        6: {}, 7: None, 8: {"square": 1.0, "error": 3.0}, 9: {"x": 5.0}, 10: {"square": "high"},
        11: {1: 2.0}, 12: {"square": True, "nothing": None}, 13: {"cell": 1.0}, 14: {"seed": 9.0},
    }
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    return tmp_path_factory.mktemp("modules")


@pytest.fixture
def toy(modules, monkeypatch):
    module = f"toy_{os.getpid()}_{random.SystemRandom().getrandbits(32)}"
    (modules / f"{module}.py").write_text(textwrap.dedent(TOY))
    monkeypatch.syspath_prepend(modules)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(modules), os.environ.get("PYTHONPATH", "")]))
    yield module
    from mho.config import _KINDS

    for kind in [k for k, cls in _KINDS.items() if cls.__module__ == module]:
        del _KINDS[kind]
    sys.modules.pop(module, None)


@pytest.mark.exhaustive
def test_own_experiments_in_processes_that_fail_exit_or_are_killed(toy, tmp_path):
    plan = make_plan({"imports": [toy], "study": {"kind": "Toy"}, "grid": {"x": [0, 1, 2, 3, 4, 5, -1]}})
    log = tmp_path / "workers.log"
    table = run(plan, tmp_path / "out", LocalEngine(workers=2, log=log))
    assert table["square"].tolist()[0] == 0 and table["square"].tolist()[4:6] == [16, 25]
    assert table["nothing"].isna().all()
    errors = table["error"].tolist()
    assert errors[1] == "RuntimeError: one fails"
    assert "ended (status 3)" in errors[2] and "ended (killed by SIGKILL)" in errors[3]
    assert errors[6] == "RuntimeError: half a character \\ud800"
    assert log.read_text().count("an experiment may print") == 7


def test_a_cell_whose_figures_do_not_fit_the_table_fails_alone(toy, tmp_path):
    plan = make_plan({"imports": [toy], "study": {"kind": "Toy"}, "grid": {"x": [4, *range(6, 14)]}})
    for _ in range(2):  # computed, and found in the folder
        table = run(plan, tmp_path, Here())
        assert list(table.columns) == ["cell", "x", "square", "nothing", "error"]
        assert table["square"].dropna().tolist() == [16.0, 1.0]
    errors = dict(zip(table["x"], table["error"], strict=True))
    assert errors.pop(4) == errors.pop(12) == ""
    expected = {
        6: "gave no figure", 7: "gave None",
        8: "figure 'error': the table has", 9: "figure 'x': the table has",
        10: "figure 'square' = 'high': it must be a number", 11: "by name, as a dict",
        13: "figure 'cell': the table has",
    }  # fmt: skip
    assert errors.keys() == expected.keys()
    assert all(sentence in errors[x] for x, sentence in expected.items())


def test_an_old_figure_that_has_the_name_of_a_new_field_is_an_error(toy, tmp_path):
    plan = make_plan({"imports": [toy], "study": {"kind": "Toy"}, "grid": {"x": [14]}})
    assert run(plan, tmp_path, Here())["seed"].tolist() == [9.0]
    more = make_plan({"imports": [toy], "study": {"kind": "Toy"}, "grid": {"x": [14, 4], "seed": [0]}})
    table = run(more, tmp_path, Here())
    assert list(table.columns) == ["cell", "x", "seed", "square", "nothing", "error"]
    assert "figure 'seed': the table has a column" in table["error"][0] and table["error"][1] == ""


def test_an_error_that_is_no_text_is_recorded(toy, tmp_path):
    plan = make_plan({"imports": [toy], "study": {"kind": "Toy"}, "grid": {"x": [-1, 4]}})
    table = run(plan, tmp_path / "out", Here())
    assert table["error"].tolist() == ["RuntimeError: half a character \\ud800", ""]


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers(workers):
    with pytest.raises(ValueError, match=f"workers = {workers}: at least 1"):
        LocalEngine(workers=workers)


class Cluster(types.ModuleType):
    """Ray as far as it is asked before a cell runs; ``machines`` are those of a cluster that is running."""

    class exceptions:
        RayError = OSError

    def __init__(self, machines=()):
        self.machines, self.started = list(machines), None

    def is_initialized(self):
        return False

    def init(self, address, num_cpus=None, **other):
        self.started = num_cpus
        if address == "local":
            self.machines = [{"Alive": True, "Resources": {"CPU": float(num_cpus)}}]

    def nodes(self):
        return self.machines

    def remote(self, **wanted):
        return lambda work: types.SimpleNamespace(remote=work)

    def wait(self, pending, num_returns):
        return pending[:num_returns], pending[num_returns:]

    def get(self, outcome):
        return json.loads(outcome)

    def shutdown(self):
        self.machines = None


def on_ray(monkeypatch, cluster, engine, threads=1, device="cpu"):
    monkeypatch.setitem(sys.modules, "ray", cluster)
    monkeypatch.setattr("mho.experiments.engines.run_cell", lambda job: json.dumps({"took": 0}))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return list(engine.run([{"threads": threads, "device": device}]))


@pytest.mark.parametrize("workers, threads, cores", [(1, 2, 2), (3, 2, 6), (2, 1, 2), (None, 1000, 1000)])
def test_a_local_ray_has_the_cores_that_its_cells_need(monkeypatch, workers, threads, cores):
    cluster = Cluster()
    assert on_ray(monkeypatch, cluster, RayEngine(workers=workers), threads) == [(0, {"took": 0})]
    assert cluster.started == cores


@pytest.mark.parametrize(
    "resources, threads, device, sentence",
    [
        ([{"CPU": 2.0}, {"CPU": 3.0}], 4, "cpu", r"threads = 4: .* at most 3 cores; choose fewer --threads"),
        (
            [{"CPU": 8.0}],
            1,
            "cuda",
            "no machine of the Ray cluster has a GPU and 1 core; leave out --on cuda",
        ),
        ([{"CPU": 8.0}, {"CPU": 1.0, "GPU": 1.0}], 2, "cuda:0", "has a GPU and 2 cores"),
        ([], 1, "cpu", "at most 0 cores"),
    ],
)
def test_cells_that_no_machine_of_a_cluster_can_run(monkeypatch, resources, threads, device, sentence):
    dead = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}
    cluster = Cluster([dead, *({"Alive": True, "Resources": one} for one in resources)])
    with pytest.raises(ValueError, match=sentence):
        on_ray(monkeypatch, cluster, RayEngine("here:1"), threads, device)
    assert cluster.machines is None  # shut down


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_on_ray(workers):
    with pytest.raises(ValueError, match=f"workers = {workers}: at least 1"):
        RayEngine(workers=workers)


@pytest.fixture(scope="module")
def ray_runs(modules):
    """A Ray that is running, with three cores, on which engines put their cells."""
    ray = pytest.importorskip("ray", reason='ray is not installed: pip install "mho[ray]"')
    path = os.pathsep.join([str(modules), os.environ.get("PYTHONPATH", "")])
    variables = {"env_vars": {"PYTHONPATH": path}}
    options = {"include_dashboard": False, "log_to_driver": False}
    ray.init(address="local", num_cpus=3, runtime_env=variables, **options)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_runs")
def test_the_real_ray_refuses_a_gpu_that_is_not_there_and_runs_wide_cells(toy, tmp_path):
    plan = make_plan({"imports": [toy], "study": {"kind": "Toy"}, "grid": {"x": [4]}})
    wide = run(plan, tmp_path / "a", RayEngine(), threads=3)
    assert wide["square"].tolist() == [16]
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="leave out --on cuda"):
            run(plan, tmp_path / "b", RayEngine(), device="cuda")


def rows(folder):
    path = folder / LOG.name
    return path.read_text().count("\n") if path.exists() else 0


def start(plan, folder, *options):
    script = "from mho.cli import app; app()"
    words = ["sweep", str(plan), "--output", str(folder), "--workers", "2", *options]
    with (folder.parent / f"{folder.name}.log").open("a") as log:
        return subprocess.Popen([sys.executable, "-c", script, *words], stdout=log, stderr=log)


def children(pid):
    """All processes below one, also its children's (on Linux; elsewhere none are found)."""
    found, front = [], [pid]
    while front:
        path = Path(f"/proc/{front[-1]}/task/{front.pop()}/children")
        with suppress(OSError):
            below = [int(p) for p in path.read_text().split()]
            found += below
            front += below
    return found


def may_run_a_cell(pid):
    """Whether a process lives, and is not one of Ray's own agents, which leave a minute after it."""
    with suppress(OSError):
        _, name, state = re.split(r"[()]", Path(f"/proc/{pid}/stat").read_text(), maxsplit=2)
        return state.split()[0] != "Z" and not name.startswith(("ray::Dashboard", "ray::RuntimeEnv"))
    return False


def kill_at_a_random_moment(plan, folder, *options):
    """Start a sweep, kill it without warning after some rows, and wait until its helpers are gone."""
    process = start(plan, folder, *options)
    after, moment = random.SystemRandom().randint(1, 7), random.SystemRandom().uniform(0, 0.2)
    deadline = time.monotonic() + 240
    while rows(folder) < after and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(moment)
    helpers = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while any(may_run_a_cell(p) for p in helpers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(may_run_a_cell(p) for p in helpers)
    return rows(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The table of an uninterrupted sweep of 12 cells, in one process."""
    folder = tmp_path_factory.mktemp("whole")
    plan = folder / "plan.json"
    plan.write_text(json.dumps(DOCUMENT))
    table = run(make_plan(DOCUMENT), folder / "out", Here())
    assert len(table) == 12 and (table["error"] == "").all() and table["accuracy"].nunique() > 3
    return plan, (folder / "out" / TABLE).read_bytes()


@pytest.mark.slow
def test_killed_at_a_random_moment_it_resumes_to_the_same_table(whole, tmp_path):
    plan, expected = whole
    done = kill_at_a_random_moment(plan, tmp_path / "out")
    assert 0 < done < 12
    run(make_plan(DOCUMENT), tmp_path / "out", Here())
    assert (tmp_path / "out" / TABLE).read_bytes() == expected
    assert rows(tmp_path / "out") == 12


@pytest.mark.exhaustive
@pytest.mark.usefixtures("ray_runs")
def test_killed_on_ray_it_resumes_without_to_the_same_table(whole, tmp_path):
    plan, expected = whole
    done = kill_at_a_random_moment(plan, tmp_path / "out", "--engine", "ray")
    assert 0 < done < 12
    run(make_plan(DOCUMENT), tmp_path / "out", Here())
    assert (tmp_path / "out" / TABLE).read_bytes() == expected
    assert rows(tmp_path / "out") == 12


# --- engines that fail ---------------------------------------------------------------------------


def outcomes(engine, count=3):
    jobs = [{"work": "os:getcwd", "imports": [], "folder": "", "threads": 1}] * count
    return [found["error"] for _, found in sorted(engine.run(jobs))]


def test_workers_that_cannot_start_are_outcomes(tmp_path, monkeypatch):
    for error in outcomes(LocalEngine(workers=2, log=tmp_path)):  # a folder is no file for what they print
        assert "no process could be started" in error and str(tmp_path) in error
    monkeypatch.setattr("mho.experiments.engines.sys.executable", str(tmp_path / "no python"))
    assert all("no python" in error for error in outcomes(LocalEngine(workers=2)))


@pytest.mark.parametrize("said", ["", "{", '{"figures": '])
def test_half_an_answer_is_none(said, monkeypatch):
    program = f"import sys; sys.stdin.readline(); sys.stdout.write({said!r}); sys.stdout.flush()"
    monkeypatch.setattr("mho.experiments.engines._WORKER", program)
    assert all("ended (status 0)" in error for error in outcomes(LocalEngine(workers=2)))


def test_workers_import_nothing_from_the_current_folder(toy, tmp_path, monkeypatch):
    (tmp_path / "queue.py").write_text("open('executed', 'w')\nraise ImportError('a foreign file')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.environ["PYTHONPATH"].rstrip(os.pathsep))
    plan = make_plan({"imports": [toy], "study": {"kind": "Toy"}, "grid": {"x": [4]}})
    assert run(plan, tmp_path / "out", LocalEngine(workers=1))["square"].tolist() == [16.0]
    assert not (tmp_path / "executed").exists()


def test_no_worker_outlives_a_run_that_is_terminated(toy, tmp_path):
    program = f"""
    import os, time
    from pathlib import Path
    from mho.experiments import engines

    def sleep(job):
        Path({str(tmp_path)!r}, str(os.getpid())).touch()
        time.sleep(100)

    if __name__ == "__main__":
        job = {{"work": "sleeping:sleep", "imports": ["sleeping"], "folder": "", "threads": 1}}
        list(engines.LocalEngine(2).run([job, job]))
    """
    (tmp_path / "sleeping.py").write_text(textwrap.dedent(program))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path) + os.pathsep + os.environ["PYTHONPATH"]}
    with subprocess.Popen([sys.executable, tmp_path / "sleeping.py"], env=environment) as process:
        workers = until(lambda: [int(p.name) for p in tmp_path.iterdir() if p.name.isdigit()], 2)
        process.terminate()
    until(lambda: [pid for pid in workers if not alive(pid)], 2)


def until(found, count):
    """What is found, once there is so much of it."""
    end = time.monotonic() + 120
    while len(found()) < count:
        assert time.monotonic() < end
        time.sleep(0.1)
    return found()


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or ") Z" not in stat.read_text()
