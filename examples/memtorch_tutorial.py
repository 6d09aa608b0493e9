# %% [markdown]
"""
# MemTorch's tutorial on mho

Every cell of the notebook that comes with MemTorch, against a CNN trained on handwritten digits.

    python examples/memtorch_tutorial.py [--quick] [--output folder]

The only change of the cells is the import: `import mho.compat.memtorch as memtorch`. Where a cell of the
notebook cannot be meant as it stands, both are shown: what it gives, and what is meant.
"""

# %%
import argparse
import copy
import time
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

import mho.compat.memtorch as memtorch
from mho.compat.memtorch.bh.crossbar import naive_program
from mho.compat.memtorch.bh.nonideality.NonIdeality import apply_nonidealities
from mho.compat.memtorch.map.Input import naive_scale
from mho.compat.memtorch.map.Parameter import naive_map
from mho.compat.memtorch.mn.Module import patch_model
from mho.experiments.data import Digits
from mho.experiments.models import SmallCNN

mpl.use("Agg")
parser = argparse.ArgumentParser(description="MemTorch's tutorial on mho.")
parser.add_argument("--quick", action="store_true", help="a shorter training, fewer images")
parser.add_argument("--output", type=Path, default=Path("memtorch-tutorial"), help="folder of the figures")
options = parser.parse_args()
options.output.mkdir(parents=True, exist_ok=True)
start = time.perf_counter()
data = Digits().load()
images, labels = data.test.tensors
if options.quick:
    images, labels = images[:60], labels[:60]
table: list[tuple[str, float, float]] = []


def keep(figure: Figure, name: str) -> None:
    """Save a figure; a notebook shows it, too."""
    figure.savefig(options.output / f"{name}.png", dpi=80)
    if "get_ipython" in globals():
        from IPython.display import Image, display

        display(Image(filename=options.output / f"{name}.png"))


# %% [markdown]
# ## 1. Linear layers
# The notebook keeps its weights in NumPy arrays, which `torch.mm` refuses and no optimiser finds, and its
# bias has the size of the input, not of the output. Both work once they are Parameters of the right shape.


# %%
class LinearLayerOfTheNotebook(nn.Module):
    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.weights = np.random.default_rng(0).standard_normal((input_size, output_size))
        self.bias = np.zeros(input_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.mm(x, self.weights) + self.bias


class LinearLayer(nn.Module):
    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(input_size, output_size))
        self.bias = nn.Parameter(torch.zeros(output_size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.mm(x, self.weights) + self.bias


torch.manual_seed(0)
print("1. A linear layer")
try:
    LinearLayerOfTheNotebook(5, 5)(torch.ones(1, 5))
except TypeError as error:
    print(f"   the notebook's: {str(error).splitlines()[0]}")
print(f"   with Parameters: {tuple(LinearLayer(5, 3)(torch.ones(1, 5)).shape)}")


# %% [markdown]
# ## 2. Training


# %%
def train() -> nn.Module:
    model = SmallCNN().build(data.channels, data.size, data.classes)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    x, y = data.train.tensors
    for _ in range(3 if options.quick else 20):
        for batch in torch.randperm(len(x)).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    return model.eval()


def test(name: str, *models: nn.Module) -> None:
    """Accuracy of the network with convolutions on arrays, and of that with all layers."""
    correct = []
    for model in models:
        with torch.no_grad():
            hits = torch.cat([model(x).argmax(1) for x in images.split(200)]) == labels
        correct.append(100 * float(hits.float().mean()))
    table.append((name, correct[0], correct[-1]))
    print(f"   {name}: {', '.join(f'{c:.2f} %' for c in correct)}")


print("2. Training")
model = train()
test("digital", model)

# %% [markdown]
# ## 3. Conversion

# %%
print("3. Conversion")
reference_memristor = memtorch.bh.memristor.VTEAM
reference_memristor_params = {"time_series_resolution": 1e-10}
memristor = reference_memristor(**reference_memristor_params)
keep(memristor.plot_hysteresis_loop(), "hysteresis")
keep(memristor.plot_bipolar_switching_behaviour(), "switching")


# %% [markdown]
# Convolutions alone go on arrays first, then all layers. Without transistors the cells need a programming
# routine, and their neighbours are disturbed.


# %%
def patch(kinds: list[type[nn.Module]], **changes: object) -> nn.Module:
    arguments = {
        "memristor_model": reference_memristor,
        "memristor_model_params": reference_memristor_params,
        "module_parameters_to_patch": kinds,
        "mapping_routine": naive_map,
        "transistor": True,
        "programming_routine": None,
        "tile_shape": (128, 128),
        "max_input_voltage": 0.3,
        "scaling_routine": naive_scale,
        "ADC_resolution": 8,
        "ADC_overflow_rate": 0.0,
        "quant_method": "linear",
        "verbose": False,
    }
    return patch_model(copy.deepcopy(model), **{**arguments, **changes})


print(patch([nn.Conv2d]).report)
both = [patch(kinds) for kinds in ([nn.Conv2d], [nn.Conv2d, nn.Linear])]
test("patched", *both)
for patched_model in both:
    patched_model.tune_()
test("patched and tuned", *both)
try:
    patch([nn.Conv2d], transistor=False)
except ValueError as error:
    print(f"   transistor=False alone: {error}")
passive = [
    patch(kinds, transistor=False, programming_routine=naive_program)
    for kinds in ([nn.Conv2d], [nn.Conv2d, nn.Linear])
]
test("no transistors, naive_program (within 10 %)", *passive)

# %% [markdown]
# ## 4. Non-idealities
# ### 4.1 Device faults
# The notebook's text says that 15 % of the devices fail to a high resistance; its cell says 10 %.

# %%
NonIdeality = memtorch.bh.nonideality.NonIdeality
models = memtorch.bh.nonideality.endurance_retention_models


def degraded(name: str, non_idealities: list[NonIdeality], **arguments: object) -> None:
    test(
        name,
        *(
            apply_nonidealities(copy.deepcopy(patched_model), non_idealities, **arguments)
            for patched_model in both
        ),
    )


print("4.1 Device faults")
for share in (0.10, 0.15):
    degraded(
        f"faults: 25 % low, {100 * share:.0f} % high",
        [NonIdeality.DeviceFaults],
        lrs_proportion=0.25,
        hrs_proportion=share,
        electroform_proportion=0,
    )

# %% [markdown]
# ### 4.2 Endurance and retention

# %%
print("4.2 Endurance and retention")
degraded(
    "endurance: sudden, 10,000 cycles",
    [NonIdeality.Endurance],
    x=1e4,
    endurance_model=models.model_endurance_retention,
    endurance_model_kwargs={
        "operation_mode": models.OperationMode.sudden,
        "p_lrs": [1, 0, 0, 0],  # the onset is one cycle: every cell has failed
        "stable_resistance_lrs": 100,
        "p_hrs": [1, 0, 0, 0],
        "stable_resistance_hrs": 1000,
        "cell_size": 10,
        "temperature": 350,
    },
)
degraded(
    "retention: 1,000 s, exponent 0.1",
    [NonIdeality.Retention],
    time=1e3,
    retention_model=models.model_conductance_drift,
    retention_model_kwargs={"initial_time": 1, "drift_coefficient": 0.1},
)

# %% [markdown]
# ### 4.3 A finite number of conductance states

# %%
print("4.3 A finite number of conductance states")
degraded("5 states", [NonIdeality.FiniteConductanceStates], conductance_states=5)

# %% [markdown]
# ### 4.4 Non-linear device characteristics
# A sweep of 0.5 Hz erases the cells before it has measured them, which a warning says; one of 50 MHz does
# not.

# %%
print("4.4 Non-linear device characteristics")
degraded("nonlinear, simulated in each read", [NonIdeality.NonLinear], simulate=True)
degraded(
    "5 states, nonlinear, simulated in each read",
    [NonIdeality.FiniteConductanceStates, NonIdeality.NonLinear],
    conductance_states=5,
    simulate=True,
)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    degraded(
        "nonlinear, sweep of 1 V at 0.5 Hz",
        [NonIdeality.NonLinear],
        sweep_duration=2,
        sweep_voltage_signal_amplitude=1,
        sweep_voltage_signal_frequency=0.5,
    )
print(f"   warning: {caught[0].message}")
degraded(
    "nonlinear, sweep of 1 V at 50 MHz",
    [NonIdeality.NonLinear],
    sweep_duration=2e-8,
    sweep_voltage_signal_amplitude=1,
    sweep_voltage_signal_frequency=50e6,
)

# %% [markdown]
# ### 4.5 Stochastic parameters
# The notebook does not define `sigma`, and its `r_on` lies above its `r_off`: refused. Then the two
# exchanged.

# %%
print("4.5 Stochastic parameters")
sigma = 200  # not defined in the notebook
StochasticParameter = memtorch.bh.StochasticParameter
try:
    reference_memristor(
        time_series_resolution=1e-10,
        r_off=StochasticParameter(loc=1000, scale=200, min=2),
        r_on=StochasticParameter(loc=5000, scale=sigma, min=1),
    )
except ValueError as error:
    print(f"   the notebook's cell: {error}")
for number in range(3):  # drawn anew each time
    memristor = reference_memristor(
        time_series_resolution=1e-10,
        r_off=StochasticParameter(loc=5000, scale=sigma, min=2),
        r_on=StochasticParameter(loc=1000, scale=200, min=1),
    )
    keep(memristor.plot_hysteresis_loop(), f"stochastic-hysteresis-{number}")
    keep(memristor.plot_bipolar_switching_behaviour(), f"stochastic-switching-{number}")
    print(f"   r_on = {memristor.r_on:.0f} ohm, r_off = {memristor.r_off:.0f} ohm")

# %% [markdown]
# ## The table

# %%
width = max(len(name) for name, *_ in table)
print(f"\n{'correct, %':{width}}  {'Conv2d':>7}  {'Conv2d, Linear':>14}")
for name, first, second in table:
    print(f"{name:{width}}  {first:7.2f}  {second:14.2f}")
figure = Figure(figsize=(9, 5), dpi=110, layout="constrained")
axes = figure.subplots()
place = np.arange(len(table))
axes.barh(place - 0.2, [first for _, first, _ in table], 0.4, label="convolutions on arrays")
axes.barh(place + 0.2, [second for *_, second in table], 0.4, label="all layers on arrays")
axes.set_yticks(place, [name for name, *_ in table])
axes.invert_yaxis()
axes.axvline(10, color="0.6", lw=1, ls=":")
axes.set(xlabel="correct of the test images (%); dotted: guessing", xlim=(0, 100))
figure.legend(loc="outside lower center", ncols=2)
keep(figure, "accuracies")
used = f"{time.perf_counter() - start:.0f} s, processor time {time.process_time():.0f} s"
print(f"\nfigures in {options.output}; {used}")
