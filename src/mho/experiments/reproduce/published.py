"""What six papers found: figure, source and tolerance of each, written down before the first run of any.

A tolerance is never changed after a run. What turned out badly posed, or is not met, is explained in
``docs/reproduced.md``. Where a paper gives a direction and no number, the tolerance is that direction.
"""

from __future__ import annotations

from mho.experiments.reproduce.claims import Claim, Figure

XIAO = Claim(
    name="xiao-2022",
    paper=(
        "T. P. Xiao, B. Feinberg, C. H. Bennett et al., On the accuracy of analog neural network inference "
        "accelerators, IEEE Circuits Syst. Mag. 22(4), 26 (2022)"
    ),
    statement=(
        "Resilience to programming errors improves when conductances are proportional to weights "
        "(differential pairs, not an offset), and is nearly the same with unsliced weights as with bit "
        "slices."
    ),
    source=(
        "abstract; pages 30 to 32, 39, 41 and 44 of the magazine as text. The figures of section 5 were not "
        "read: the text gives directions, 'nearly equivalent' and 'a small improvement' by slices"
    ),
    figures=(
        Figure(
            key="proportional",
            what="error in proportion to g that costs 1 point: differential over offset",
            published="> 1",
            least=1.0,
        ),
        Figure(
            key="independent",
            what="error independent of g that costs 1 point: differential over offset",
            published="> 1",
            least=1.0,
        ),
        Figure(
            key="proportional_unsliced",
            what="error in proportion to g that costs 1 point: unsliced over 1-bit slices",
            published="nearly 1",
            least=0.5,
            most=2.0,
        ),
        Figure(
            key="independent_unsliced",
            what="error independent of g that costs 1 point: unsliced over 1-bit slices",
            published="nearly 1",
            least=0.5,
            most=2.0,
        ),
    ),
)

MEHONIC = Claim(
    name="mehonic-2019",
    paper=(
        "A. Mehonic, D. Joksas, W. H. Ng, M. Buckwell and A. J. Kenyon, Simulation of inference accuracy "
        "using realistic RRAM devices, Front. Neurosci. 13, 593 (2019)"
    ),
    statement=(
        "On MNIST the ratio of the high- to the low-resistance state is a crucial determinant of accuracy: "
        "about 96.8 % for ratios above 3, about 97.3 % with ideal weights."
    ),
    source=(
        "abstract. How weights below the least conductance are mapped was not read: here they take the least "
        "one with their sign, and the largest weights are clipped, as MemTorch maps weights (from memory, "
        "after this paper)"
    ),
    figures=(
        Figure(
            key="ratio_3", what="lost at a ratio of 3", published="0.5", unit="points", least=0.0, most=1.0
        ),
        Figure(
            key="ratio_decides",
            what="lost at a ratio of 1.5 beyond what is lost at 3",
            published="> 0",
            unit="points",
            least=0.5,
        ),
    ),
)

NEUROSIM = Claim(
    name="neurosim",
    paper="X. Peng, J. Lee, S. Yu et al., User manual of DNN+NeuroSim V1.4 (2023), on its ADC, figure 20",
    statement=(
        "8-bit VGG-8 on CIFAR-10, 128 x 128 arrays, non-linear ADCs with edges after the distribution of the "
        "partial sums: at least 4 bits are required to prevent significant degradation; 3 bits collapse."
    ),
    source=(
        "the manual in the repository of DNN_NeuroSim_V1.4: text, and figure 20 by the coordinates of its "
        "vector drawing (baseline 90.18 %; 4 bits 89.6, 88.3 and 89 %, 3 bits 56, 74 and 35 % with cells of "
        "1, 2 and 4 bits)"
    ),
    figures=(
        Figure(
            key="cells1_adc4", what="1-bit cells, 4-bit ADC: lost", published="0.6", unit="points", most=3.0
        ),
        Figure(
            key="cells1_adc3", what="1-bit cells, 3-bit ADC: lost", published="34", unit="points", least=8.0
        ),
        Figure(
            key="cells2_adc4", what="2-bit cells, 4-bit ADC: lost", published="1.9", unit="points", most=3.0
        ),
        Figure(
            key="cells2_adc3", what="2-bit cells, 3-bit ADC: lost", published="16", unit="points", least=8.0
        ),
    ),
)

RASCH = Claim(
    name="rasch-2023",
    paper=(
        "M. J. Rasch, C. Mackin, M. Le Gallo et al., Hardware-aware training for large-scale and diverse "
        "deep learning inference workloads using in-memory computing-based accelerators, Nat. Commun. 14, "
        "5282 (2023)"
    ),
    statement=(
        "Of networks trained for the hardware, nonidealities that add noise to the inputs or outputs, not "
        "the weights, have the largest impact on accuracy; recurrent networks are particularly robust to "
        "all."
    ),
    source=(
        "abstract. That noises are compared at the same error of a product of random numbers is from memory; "
        "the figures of the sensitivities were not read"
    ),
    figures=(
        Figure(
            key="inputs",
            what="CNN, error of a product that costs 1 point: noise on inputs over noise on weights",
            published="< 1",
            most=1.0,
        ),
        Figure(
            key="outputs",
            what="CNN, error of a product that costs 1 point: noise on outputs over noise on weights",
            published="< 1",
            most=1.0,
        ),
        Figure(
            key="lstm_weights",
            what="noise on weights that costs 1 point: LSTM over CNN",
            published="> 1",
            least=1.0,
        ),
        Figure(
            key="lstm_inputs",
            what="noise on inputs that costs 1 point: LSTM over CNN",
            published="> 1",
            least=1.0,
        ),
        Figure(
            key="lstm_outputs",
            what="noise on outputs that costs 1 point: LSTM over CNN",
            published="> 1",
            least=1.0,
        ),
    ),
)

ANALOGNAS = Claim(
    name="analognas",
    paper=(
        "AnalogNAS-Bench: a NAS benchmark for analog in-memory computing, arXiv 2506.18495 (2025), after H. "
        "Benmeziane et al., AnalogNAS, arXiv 2305.10459 (2023)"
    ),
    statement=(
        "Robust architectures tend to have wider and branched blocks; skip connections improve resilience to "
        "the drift of phase-change memory."
    ),
    source=(
        "abstract of the benchmark and a summary of it; no figure was read, so only directions are compared"
    ),
    figures=(
        Figure(
            key="width",
            what="lost after 30 days: width 4 less width 8",
            published="> 0",
            unit="points",
            least=0.0,
        ),
        Figure(
            key="skips",
            what="lost from 1 s to 30 days: without less with skip connections",
            published="> 0",
            unit="points",
            least=0.0,
        ),
    ),
)

JOSHI = Claim(
    name="joshi-2020",
    paper=(
        "V. Joshi, M. Le Gallo, S. Haefeli et al., Accurate deep neural network inference using "
        "computational phase-change memory, Nat. Commun. 11, 2473 (2020)"
    ),
    statement=(
        "A ResNet-32 trained with noise on its weights has 93.7 % on CIFAR-10 once it is on phase-change "
        "memory, no appreciable loss, and keeps above 93.5 % over a day with compensation."
    ),
    source=(
        "abstract, in the journal and as a preprint. The digital accuracy (93.75 %), noise of 3.8 % of the "
        "largest weight and clipping at two standard deviations are from memory"
    ),
    figures=(
        Figure(key="mapped", what="lost once it is programmed", published="0.05", unit="points", most=0.5),
        Figure(
            key="day",
            what="lost after a day, gain per layer and statistics of batch normalisation measured again",
            published="< 0.25",
            unit="points",
            most=0.5,
        ),
    ),
)

CLAIMS: dict[str, Claim] = {claim.name: claim for claim in (XIAO, MEHONIC, NEUROSIM, RASCH, ANALOGNAS, JOSHI)}
