"""Published scripts of other simulators with their imports replaced: which run, and what stops the others.

    python -m benchmarks.other_scripts FOLDER [--peer] [NUMBER ...]

FOLDER holds checkouts of the repositories under their own names (git clone https://github.com/IBM/aihwkit
and so on); each is copied to a temporary folder first, and nothing of it is kept. Each script runs in a
process of its own, on one thread; what it prints is left in runs/other-scripts. One of them needs seaborn.
With --peer the imports stay, for those whose simulator goes with the installed torch.
"""

import functools
import importlib
import importlib.abc
import importlib.util
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from benchmarks import other_scripts_data as stand_in

FACES = {  # by repository: the package that a script imports, and what it gets
    "MemTorch": ("memtorch", "mho.compat.memtorch"),
    "cross-sim": ("simulator", "mho.compat.crosssim.simulator"),
    "aihwkit": ("aihwkit", "mho.compat.aihwkit"),
    "aihwkit-lightning": ("aihwkit_lightning", "mho.compat.aihwkit_lightning"),
}
LOGS = Path("runs/other-scripts")
Cuts = tuple[tuple[str, str], ...]


class Script(NamedTuple):
    """A script, what is made smaller or mended in it, and what stands in for its data."""

    repository: str
    path: str
    cuts: Cuts = ()
    data: tuple[Callable[[], None], ...] = ()
    tables: tuple[str, ...] = ()  # files that are shown
    shown: str = r"(?!)"  # what of the printed lines is shown, the last eight
    seconds: float = 1_800.0


CPU: Cuts = (("device = torch.device('cuda')\n", "device = torch.device('cpu')\n"),)
NO_GPU: Cuts = (("useGPU = True", "useGPU = False"),)
NOVEL: Cuts = (
    ("128*inflation_ratio", "8*inflation_ratio"), ("256*inflation_ratio", "16*inflation_ratio"),
    ("512*inflation_ratio", "32*inflation_ratio"), ("512*4*4", "32*4*4"),
    ("out_channels=512", "out_channels=32"), ("num_features=512", "num_features=32"), ("1024", "64"),
    ("epochs = 50", "epochs = 8"), ("np.linspace(0, 100, 21)", "np.linspace(0, 100, 3)"),
    ("np.linspace(1, 10, 10)", "np.linspace(2, 10, 3)"),
    ("np.linspace(0, 0.25, 11)", "np.linspace(0, 0.25, 3)"),
    ("np.linspace(2, 10, 9)", "np.linspace(2, 10, 2)"),
    ("np.linspace(0, 0.25, 6)", "np.linspace(0, 0.25, 2)"),
    ("std_devs = [0, 20, 100]", "std_devs = [0, 100]"), ("for n in range(6)", "for n in range(0, 6, 5)"),
    ("plt.xticks(np.arange(11), np.arange(0, 25 + 2.5, step=2.5))", ""),
)  # fmt: skip
CASE: Cuts = (
    ("http://archive.ics.uci.edu/ml/machine-learning-databases/00388/data.csv", "data.csv"),
    ("range(100)", "range(2)"), ("epochs=50", "epochs=5"), (", strict=True).to(device)", ", strict=True)"),
    (", strict=False).to(device)", ", strict=False)"),
    ("np.linspace(0, 500, 21)", "np.linspace(0, 500, 2)"), ("for i in range(10):", "for i in range(2):"),
    ("batch_size = 1024", "batch_size = 64"),
)  # fmt: skip
MOBILE: Cuts = (
    *CPU, ("epochs = 100", "epochs = 10"),
    ("batch_size=256, shuffle=True", "batch_size=32, shuffle=True"),
    ("(6,  24, 2, 1),", "(6,  24, 1, 2),"), ("(6,  32, 3, 2),", ""),
    ("(6,  64, 4, 2),", "(6, 32, 1, 2),"), ("(6,  96, 3, 1),", ""), ("(6, 160, 3, 2),", "(6, 48, 1, 2),"),
    ("(6, 320, 1, 1)]", "]"), ("(320, 1280,", "(48, 64,"), ("BatchNorm2d(1280", "BatchNorm2d(64"),
    ("Linear(1280,", "Linear(64,"), ("[(128, 128), (256, 64)]", "[(128, 128)]"),
    ("num=5, endpoint=True, dtype=int", "num=2, dtype=int"), ("endpoint=True, num=5", "num=2"),
    ("np.linspace(0, 0.25, 5)", "np.linspace(0, 0.25, 2)"), ("num_workers=1", "num_workers=0"),
)  # fmt: skip
HERMES: Cuts = (
    ("[5, 5, 5]", "[1, 1, 1]"), ("n_rep = 5", "n_rep = 2"), ("num_workers=1", "num_workers=0"),
    ("[0.0, 60.0, 3600.0, 86400.0, 2592000.0, 31104000.0]", "[0.0, 31104000.0]"),
    ("# Download the HW-Aware", "train(analog_models['Standard'])\n# Download the HW-Aware"),
    ("    ax.errorbar(", "    print(noise_name, drifted_test_accs.mean(1))\n    ax.errorbar("),
)  # fmt: skip
ROBERTA: Cuts = (("lr=0.00001)", "lr=0.01)"), ("            warmup_ratio=0.06,\n", ""))

SCRIPTS = (
    Script(
        "MemTorch", "memtorch/examples/Tutorial.ipynb", (("scale=sigma", "scale=200"),),
        (stand_in.memtorch_data,), shown=r"^[\d.]+$|\d+\.\d+%$",
    ),
    Script(
        "MemTorch", "memtorch/examples/legacy/NovelSimulations.ipynb", NOVEL, (stand_in.memtorch_data,),
        ("variability.csv", "finite_states.csv", "failure_lrs_hrs.csv", "S1_std_dev_0.csv"),
    ),
    Script(
        "MemTorch", "memtorch/examples/legacy/CaseStudy.ipynb", CASE, (stand_in.eeg,), ("variability.csv",),
        r"^.*mean: [\d.]+",
    ),
    Script(
        "MemTorch", "memtorch/examples/Exemplar_Simulations.ipynb", MOBILE, (stand_in.torchvision,),
        ("1_AE.csv", "1_BF.csv", "1_CG.csv", "1_DH.csv"),
    ),
    Script("cross-sim", "tutorial/tutorial_pt1.ipynb"),
    Script("cross-sim", "tutorial/tutorial_pt2.ipynb", shown=r"^\s*\w.*: [\d.]+$"),
    Script("cross-sim", "tutorial/tutorial_pt3.ipynb"),
    Script("cross-sim", "applications/dsp/1d_dft_example.py"),
    Script(
        "cross-sim", "applications/dnn/torch/cifar10_resnet/calibrate_inputs.py",
        (*NO_GPU, ("N = 500", "N = 64")), (stand_in.torchvision, stand_in.answers_of_torch_resnet),
        shown=r"Accuracy: .*",
    ),
    Script(
        "cross-sim", "applications/dnn/torch/cifar10_resnet/inference_cifar10_resnet.py",
        (*NO_GPU, ("N = 10000", "N = 64")), (stand_in.torchvision, stand_in.answers_of_torch_resnet),
        shown=r"Accuracy: .*",
    ),
    Script(
        "cross-sim", "applications/dnn/keras/cifar10_resnet/inference_cifar10_resnet.py",
        (*NO_GPU, ("N = 1000", "N = 64")), (stand_in.answers_of_keras_resnet,), shown=r"accuracy: .*",
    ),
    Script("aihwkit", "examples/05_simple_layer_hardware_aware.py"),
    Script(
        "aihwkit", "examples/06_lenet5_hardware_aware.py", (("N_EPOCHS = 30", "N_EPOCHS = 6"),),
        (stand_in.torchvision,), shown=r"Accuracy after \w+:\s+[\d.]+%|t= \S+",
    ),
    Script("aihwkit", "examples/31_custom_drift_models.py"),
    Script("aihwkit", "examples/34_ReRAM_inference.py"),
    Script("aihwkit", "examples/03_mnist_training.py", (), (stand_in.torchvision,)),
    Script(
        "aihwkit", "notebooks/hermes/hermes_noise_model.ipynb", HERMES, (stand_in.torchvision,),
        shown=r"Finetuned.*|\w+.*tensor.*",
    ),
    Script(
        "aihwkit-lightning", "examples/basic_huggingface/test_huggingface.py", ROBERTA,
        (stand_in.huggingface,), shown=r"eval_matthews_correlation[^,]*",
    ),
)  # fmt: skip


# --- one script, in a process of its own ---------------------------------------------------------------


class Renamed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """What of the faces was not imported before: their Keras layers."""

    def __init__(self, peer: str, face: str) -> None:
        self.peer, self.face = peer, face

    def find_spec(self, name, path=None, target=None):
        first, dot, rest = name.partition(".")
        if first != self.peer:
            return None
        module = importlib.import_module(self.face + dot + rest)
        return importlib.util.spec_from_loader(name, self, origin=module.__name__)

    def create_module(self, spec):
        self.spec = sys.modules[spec.origin].__spec__
        return sys.modules[spec.origin]

    def exec_module(self, module):
        module.__spec__ = self.spec


def replace_imports(peer: str, face: str) -> None:
    """``import memtorch`` and so on give a face of mho, in a script and in what lies beside it."""
    for module in pkgutil.walk_packages(importlib.import_module(face).__path__, face + "."):
        if ".keras" not in module.name:
            importlib.import_module(module.name)
    for name in [name for name in sys.modules if name == face or name.startswith(face + ".")]:
        sys.modules[peer + name[len(face) :]] = sys.modules[name]
    sys.meta_path.insert(0, Renamed(peer, face))


def mend_libraries() -> None:
    """What the libraries had when the scripts were written."""
    import numpy as np
    import pandas as pd
    import torch

    def append(frame: pd.DataFrame, row: dict, ignore_index: bool) -> pd.DataFrame:
        return pd.concat([frame, pd.DataFrame([row])], ignore_index=ignore_index)

    vars(np)["float"] = float
    pd.DataFrame.append = append
    torch.load = functools.partial(torch.load, weights_only=False)


def cells(path: Path, cuts: Cuts) -> list[str]:
    """The code of a script, in one piece or in the cells of a notebook, made smaller."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        found = [cell["source"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        parts = ["".join(source) for source in found]
        parts = [
            "\n".join(line for line in part.splitlines() if not re.match(r"\s*[!%]", line)) for part in parts
        ]
    else:
        parts = [text]
    for old, new in cuts:
        if not any(old in part for part in parts):
            raise SystemExit(f"{path.name} has changed: {old!r} is not in it")
        parts = [part.replace(old, new) for part in parts]
    return parts


def run_here(script: Script, root: Path, peer: bool = False) -> dict[str, object]:
    """Run the cells one after the other, also after one that fails."""
    path = root / script.path
    os.chdir(path.parent)
    sys.path[:0] = [str(path.parent), str(root / "applications/dnn"), str(root)]
    if not peer:
        replace_imports(*FACES[script.repository])
    mend_libraries()
    for make in script.data:
        make()
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__dict__["train"] = stand_in.train
    ran, failed = 0, []
    for number, code in enumerate(cells(path, script.cuts)):
        if not re.search(r"^\s*[^#\s]", code, re.MULTILINE):
            continue
        ran += 1
        try:
            exec(compile(code, f"cell {number}", "exec"), main.__dict__)
        except BaseException as error:
            traceback.print_exc()
            last = traceback.extract_tb(error.__traceback__)[-1].filename
            failed.append(
                (number, f"{type(error).__name__}: {error}".splitlines()[0], f"{os.sep}mho{os.sep}" in last)
            )
    return {"ran": ran, "failed": failed, "tables": dict(_tables(script.tables))}


def _tables(names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in filter(os.path.exists, names):
        lines = Path(name).read_text().splitlines()
        yield name, " | ".join(re.sub(r"(\.\d\d)\d+", r"\1", line) for line in lines)


# --- all of them ---------------------------------------------------------------------------------------


def run(number: int, folder: Path, peer: bool = False) -> dict[str, object]:
    """One script in a copy of its repository."""
    script = SCRIPTS[number - 1]
    source = folder / script.repository
    if not (source / script.path).is_file():
        return {"absent": f"{source / script.path} is not there"}
    with tempfile.TemporaryDirectory() as copied:
        root = Path(copied) / script.repository
        shutil.copytree(source, root, ignore=shutil.ignore_patterns(".git"))
        environment = {**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        environment |= {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "benchmarks.other_scripts", "--one", str(number), str(root)]
        command += ["--peer"] * peer
        start = time.monotonic()
        try:
            done = subprocess.run(
                command, check=False, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                text=True, errors="replace", timeout=script.seconds,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return {"absent": f"stopped after {script.seconds:g} s"}
    LOGS.mkdir(parents=True, exist_ok=True)
    (LOGS / f"{number:02d}{'-peer' * peer}.txt").write_text(done.stdout + "\n" + done.stderr)
    *said, answer = done.stdout.strip().splitlines() or [""]
    if done.returncode or not answer.startswith('{"ran"'):
        last = done.stderr.strip().splitlines()[-1:] or [f"ended with status {done.returncode}"]
        return {"absent": last[0]}
    shown = [" ".join(found) for line in said if (found := re.findall(script.shown, line))]
    return {**json.loads(answer), "seconds": time.monotonic() - start, "said": shown[-8:]}


def verdict(found: dict) -> str:
    """In words: what ran, what mho refused, what stopped by itself."""
    if "absent" in found:
        return f"NOT RUN: {found['absent']}"
    failed, ran = found["failed"], found["ran"]
    refused = [f"cell {cell}: {why}" for cell, why, ours in failed if ours]
    stopped = [f"cell {cell}: {why}" for cell, why, ours in failed if not ours]
    if not failed:
        return f"runs ({ran} cells)" if ran > 1 else "runs"
    head = "refused" if 2 * len(failed) > ran else f"runs but for {len(failed)} of {ran} cells"
    also = f"; stopped for want of these or by itself: {'; '.join(stopped)}" if stopped else ""
    return f"{head}: {'; '.join(refused) or 'nothing by mho'}{also}"


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--peer"]
    peer = "--peer" in sys.argv
    if words[:1] == ["--one"]:
        answer = run_here(SCRIPTS[int(words[1]) - 1], Path(words[2]), peer)
        print("\n" + json.dumps(answer))
        return
    if not words:
        raise SystemExit(__doc__)
    folder = Path(words[0]).resolve()
    chosen = [int(word) for word in words[1:]] or range(1, len(SCRIPTS) + 1)
    for number in chosen:
        found = run(number, folder, peer)
        print(f"{number:2} {SCRIPTS[number - 1].repository} {SCRIPTS[number - 1].path}")
        print(f"   {verdict(found)}")
        if "absent" not in found:
            for name, values in found["tables"].items():
                print(f"   {name}: {values}")
            if found["said"]:
                print(f"   {' | '.join(found['said'])}")
            print(f"   {found['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
