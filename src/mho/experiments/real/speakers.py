"""The speaker encoder of Resemblyzer on voices of espeak-ng: do these two sentences have one speaker?"""

from __future__ import annotations

import io
import math
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import torch
from scipy.signal import resample_poly
from torch import Tensor, nn
from torch.nn.functional import normalize

from mho.config import Count, config
from mho.config.sealed import load_published
from mho.experiments.real.base import Exam, RealTask, absent, digest_of, package_folder, place_of

PACKAGE, PROGRAM = "resemblyzer", "espeak-ng"
RATE, STEP, WINDOW, MELS = 16_000, 160, 400, 40  # hertz, samples, samples, channels
FRAMES = 160  # of an utterance, 1.6 s
LOUDNESS = 10 ** (-30 / 20)  # rms of a full scale of 1: -30 dBFS, as Resemblyzer sets it
# Variants of espeak-ng's synthetic voice, each with a pitch and formants of its own; those that whisper or
# croak are left out.
VOICES = (
    "m1 f3 Hugo belinda m2 f4 Jacky benjamin m3 f5 Marco boris m4 Alex Mario caleb m5 Andrea Michael david "
    "m6 Annie Mike edward m7 Denis adam grandma m8 Diogo anika grandpa f1 Gene antonio iven f2 Henrique "
    "aunty john"
)
SENTENCES = (
    "The north wind and the sun were disputing which of them was the stronger",
    "When a traveller came along, wrapped in a warm cloak, they agreed to try",
    "The one who first made the traveller take his cloak off was the stronger",
    "Then the north wind blew as hard as he could, and harder still after that",
    "But the more he blew, the more closely did the traveller fold his cloak",
    "At last the north wind gave up the attempt, and the sun shone out warmly",
)
SEEN = (
    "You wish to know all about my grandfather, who is nearly ninety-three years old",
    "He dresses himself in an ancient black frock coat, usually missing some buttons",
)


class SpeakerEncoder(nn.Module):
    """Three layers of LSTM and a linear one, with the names of the file of weights of ``Resemblyzer``.

    L. Wan, Q. Wang, A. Papir and I. Lopez Moreno, ICASSP 2018.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(MELS, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, x: Tensor) -> Tensor:
        """A vector of unit length for each spectrogram ``[utterance, frame, 40]``."""
        _, (hidden, _) = self.lstm(x)
        return normalize(self.linear(hidden[-1]).relu(), dim=-1)


@config
class Speakers(RealTask):
    """Do these two sentences have one speaker? Speakers are variants of espeak-ng's synthetic voice.

    Every speaker says the same sentences (*The North Wind and the Sun*), of which the encoder hears 1.6 s
    each. Two utterances of different sentences are compared by the cosine of their vectors. The figure is the
    equal-error rate: at the threshold where as many pairs of one speaker are rejected as pairs of two are
    accepted. These are synthetic voices, not people: figures on recordings of people are other ones.

    Attributes:
        voices: speakers, the first ones of 40.
        language: of espeak-ng.
    """

    voices: Count = 12
    language: str = "en-us"

    title = "speakers"
    figure = "equal-error rate"
    inference = "an utterance of 1.6 s"
    less_is_better = True

    def validate(self) -> None:
        """There are so many voices."""
        if not 2 <= self.voices <= len(VOICES.split()):
            raise ValueError(f"voices = {self.voices}: give 2 to {len(VOICES.split())}")

    def lacking(self, folder: Path | None = None) -> str | None:
        """The package of the weights, whose code is not used, and the program that speaks."""
        missing = absent(PACKAGE, "Resemblyzer")
        if missing is None and shutil.which(PROGRAM) is None:
            return f"the voices are those of a program that is not installed: apt-get install {PROGRAM}"
        return missing

    def load(self, folder: Path | None = None) -> Exam:
        """Read the weights and let the voices speak."""
        self.require(folder)
        names = VOICES.split()[: self.voices]
        check_voices(names)
        x = torch.stack([self._heard(name, text) for name in names for text in SENTENCES])
        seen = torch.stack([self._heard(name, text) for name in names[::2] for text in SEEN])
        speaker = torch.arange(len(names)).repeat_interleave(len(SENTENCES))
        said = torch.arange(len(SENTENCES)).repeat(len(names))
        return Exam(
            model=load(),
            seen=[seen],
            priced=seen[:4],
            score=lambda network: error_rate(network, x, speaker, said),
            origin=f"{len(x)} utterances of {len(names)} voices of {spoken_by()}",
            digest=digest_of([x, seen]),
        )

    def _heard(self, voice: str, text: str) -> Tensor:
        return spectrogram(spoken(f"{self.language}+{voice}", text))


def load() -> SpeakerEncoder:
    """The network with the weights of the package, in evaluation mode; ``ValueError`` if it is not there."""
    reason = absent(PACKAGE, "Resemblyzer")
    if reason is not None:
        raise ValueError(f"speakers: {reason}")
    state = load_published(Path(package_folder(PACKAGE) or "") / "pretrained.pt", {"model_state": dict})
    model = SpeakerEncoder()
    known = model.state_dict()
    model.load_state_dict({k: v for k, v in state["model_state"].items() if k in known})
    return model.eval()


def spoken_by() -> str:
    """The program and its version."""
    told = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    return f"{PROGRAM} {told.partition(':')[2].split()[0]}" if ":" in told else PROGRAM


def check_voices(names: list[str]) -> None:
    """Raise ``ValueError`` for a voice that this espeak-ng does not have: it would speak as another one."""
    told = subprocess.run([PROGRAM, "--voices=variant"], capture_output=True, text=True, check=True).stdout
    known = {word.removeprefix("!v/") for word in told.split() if word.startswith("!v/")}
    gone = [name for name in names if name not in known]
    if gone:
        raise ValueError(f"this {PROGRAM} has no voice {gone[0]!r}; install version 1.51 or newer")


def spoken(voice: str, text: str) -> bytes:
    """A sentence in a voice of espeak-ng, as a WAV file; ``ValueError`` if it knows no such."""
    words = [PROGRAM, "-v", voice, "--stdout", text]
    told = subprocess.run(words, capture_output=True, timeout=60, check=False)
    if told.returncode or not told.stdout:
        raise ValueError(f"{PROGRAM} does not speak as {voice!r}; `{PROGRAM} --voices` lists the languages")
    return told.stdout


def sound(file: bytes) -> np.ndarray:
    """The samples of a WAV file with one channel of 16 bits, at 16 kHz, from -1 to 1."""
    with wave.open(io.BytesIO(file)) as read:
        rate, samples = read.getframerate(), np.frombuffer(read.readframes(10**9), dtype="<i2") / 2**15
    step = math.gcd(rate, RATE)
    found: np.ndarray = resample_poly(samples, RATE // step, rate // step)
    return found


def spectrogram(file: bytes) -> Tensor:
    """What the encoder takes, ``[160 frames, 40]``: the power in mel bands of 1.6 s from the first sound on.

    Frames of 25 ms every 10 ms, Hann's window, 40 bands of M. Slaney's Auditory Toolbox (1998) up to 8 kHz,
    at -30 dBFS: the spectrogram that Resemblyzer takes from librosa.
    """
    samples = sound(file)
    first = int(np.argmax(np.abs(samples) > 0.02 * np.abs(samples).max()))
    cut = torch.from_numpy(samples[first : first + FRAMES * STEP].copy())
    cut = cut * (LOUDNESS / cut.square().mean().sqrt())
    window = torch.hann_window(WINDOW, dtype=cut.dtype)
    waves = torch.stft(cut, WINDOW, STEP, window=window, pad_mode="constant", return_complex=True)
    power = waves.abs().square().T @ mel_bands()
    return torch.nn.functional.pad(power, (0, 0, 0, FRAMES))[:FRAMES].float()


def mel_bands() -> Tensor:
    """Weights ``[frequency, band]``, float64: triangles of unit area, linear below 1 kHz, logarithmic above.

    M. Slaney, Auditory Toolbox, Interval Research technical report 1998-010: 200/3 Hz a mel up to 1 kHz, then
    27 mels for a factor of 6.4.
    """
    top = 15 + 27 * math.log(RATE / 2000) / math.log(6.4)
    mel = torch.linspace(0, top, MELS + 2, dtype=torch.float64)
    edges = torch.where(mel < 15, mel * 200 / 3, 1000 * torch.exp((mel - 15) * math.log(6.4) / 27))
    f = torch.linspace(0, RATE / 2, WINDOW // 2 + 1, dtype=torch.float64)[:, None]
    up, down = (f - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - f) / (edges[2:] - edges[1:-1])
    return torch.minimum(up, down).clamp(min=0) * 2 / (edges[2:] - edges[:-2])


@torch.no_grad()
def error_rate(model: nn.Module, x: Tensor, speaker: Tensor, said: Tensor) -> float:
    """The equal-error rate over all pairs of utterances with different sentences."""
    vectors = model(x.to(place_of(model))).cpu()
    near = vectors @ vectors.T
    other = said[:, None] < said[None, :]
    same = speaker[:, None] == speaker[None, :]
    return equal_error_rate(near[other & same], near[other & ~same])


def equal_error_rate(same: Tensor, different: Tensor) -> float:
    """Where as many scores of the same lie below a threshold as scores of different ones above it.

    Between two scores, where the two rates cross, it is the mean of both.

    >>> equal_error_rate(torch.tensor([0.9, 0.8, 0.2, 0.7]), torch.tensor([0.1, 0.3, 0.25, 0.75]))
    0.25
    """
    thresholds = torch.cat([same, different]).unique().double()
    rejected = torch.searchsorted(same.double().sort().values, thresholds) / len(same)
    accepted = 1 - torch.searchsorted(different.double().sort().values, thresholds) / len(different)
    at = int((rejected - accepted).abs().argmin())
    return float((rejected[at] + accepted[at]) / 2)
