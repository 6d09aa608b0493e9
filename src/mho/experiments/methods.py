"""The four networks of the quantisation study: how each is trained, stored and loaded.

All start from the same random weights and see the same batches. What is trained is stored as soon as
it is done; a training that was stopped goes on from its last whole epoch, with the same result.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import mho
from mho import random
from mho.config.sealed import DamagedFileError, load_tensors, save_tensors
from mho.experiments.copies import array_weights
from mho.experiments.data import Data
from mho.experiments.fitting import accuracy, fit
from mho.experiments.machine import memory_for
from mho.experiments.networks import ImageNetworks, MissingNetworkError
from mho.experiments.progress import Progress
from mho.experiments.store import OtherStudyError, Store
from mho.mapping import LevelSet
from mho.training import (
    AlphaBlending,
    Annealing,
    DivergedError,
    Quantizer,
    Recipe,
    STEQuantizer,
    attach,
    quantised,
    re_estimate_batch_norm,
)

STE, ALPHA_BLEND, BASELINE, PTQ = "ste", "alpha_blend", "baseline", "ptq"
METHODS = (BASELINE, STE, ALPHA_BLEND, PTQ)
TRAINED = (BASELINE, STE, ALPHA_BLEND)  # PTQ is made of the baseline
BATCH_OF_STATISTICS = 500
NETWORK = {"study": int, "method": str, "state": dict, "latent": dict, "history": dict, "facts": dict}
TRAINING = {"position": dict, "model": dict, "optimizer": dict, "streams": dict}  # what the files hold
REMEDY = "remove it, or run again with --recompute"


def file_of(method: str) -> str:
    """The name of the file that holds a trained network."""
    return f"{method}_model.pth"


def load_file(path: Path, store: Store, wanted: Mapping[str, type]) -> dict[str, Any]:
    """The content of a file of this study, which must hold ``wanted``.

    Raises:
        DamagedFileError: it is not a whole file of these tensors and numbers.
        OtherStudyError: it belongs to another configuration.
    """
    content = load_tensors(path, wanted, REMEDY)
    if content["study"] != store.digest:
        raise OtherStudyError(f"{path}: made for another configuration; choose another output folder")
    return content


class Methods(ImageNetworks):
    """Trains, stores and loads the networks of one :class:`~mho.experiments.quantization.QuantizationStudy`.

    Args:
        study: the configuration.
        data: images; the test part is only used to report.
        store: where trained networks lie.
        progress: told after each epoch.
        device: the torch device that computes.
        recompute: train again what is stored but cannot be read.
    """

    def __init__(
        self,
        study: Any,
        data: Data,
        store: Store,
        progress: Progress,
        device: torch.device,
        recompute: bool = False,
    ) -> None:
        super().__init__(study, data, store, progress, device)
        self.recompute = recompute
        self._last: tuple[Any, nn.Module | None] = (None, None)

    # --- training --------------------------------------------------------------------------------

    def make(self, name: str) -> tuple[nn.Module, dict[str, Any]]:
        """See :meth:`Networks.make`: a network in plain torch, with its full-precision weights beside."""
        if name == PTQ:
            latent = self._content(BASELINE)["latent"]
            history: dict[str, list[float]] = {"loss": [], "validation": []}
            return self.network(PTQ, self.study.levels), {"latent": latent, "history": history}
        study, schedule = self.study, self.study.training
        steps, path = schedule.steps(len(self.data.train)), self._checkpoint(name)
        with self._memory("the network"):
            network = mho.convert(self.new(), mho.Hardware())
            attach(network, Recipe(modifiers=(*self._modifiers(name, steps), *study.modifiers)))
            generator = random.fork(study.seed, "batches")
            with self.progress.stage(f"train {name}", schedule.epochs, self._begun(path)) as step:
                try:
                    epochs = fit(
                        network, self.data.train, study.data, schedule, generator, step,
                        validate=lambda analog: self.validated(analog, name), keep_best=False,
                        checkpoint=path,
                    )  # fmt: skip
                except torch.OutOfMemoryError:
                    raise ValueError(
                        f"batch = {schedule.batch}: a training step needs more memory than "
                        f"{self.device} has; lower --batch-size (now {schedule.batch}){self._elsewhere()}"
                    ) from None
                except DivergedError as error:
                    path.unlink(missing_ok=True)  # going on from it would diverge again
                    raise ValueError(f"{error}{self._elsewhere()}") from None
            latent = {k: v.detach().cpu() for k, v in array_weights(mho.revert(network)).items()}
            plain = self._levels_of(network, name)
        history = {"loss": [e.loss for e in epochs], "validation": [e.validation or 0.0 for e in epochs]}
        seconds = load_tensors(path, TRAINING, REMEDY)["position"]["seconds"]  # over all runs
        return plain, {"latent": latent, "history": history, "seconds": seconds}

    def tested(self, digital: nn.Module) -> dict[str, float]:
        """See :meth:`Networks.tested`."""
        with self._memory("testing the network"):
            return super().tested(digital)

    def validated(self, analog: nn.Module, method: str) -> float:
        """Accuracy on the validation images with the weights at their levels."""
        with self._memory("testing the network"):
            return accuracy(self._levels_of(analog, method), self.data.validation)

    def _begun(self, path: Path) -> int:
        """Epochs of a training that an earlier run finished."""
        return int(load_tensors(path, TRAINING, REMEDY)["position"]["epoch"]) if path.is_file() else 0

    def _checkpoint(self, method: str) -> Path:
        return self.store.folder / f"{method}_training.pth"

    def _elsewhere(self) -> str:
        """What to add to advice about the configuration when the folder is bound to the present one."""
        if not any(self.store.folder.glob("*.pth")):
            return ""
        return f" and give another --output-dir, since {self.store.folder} holds networks of the present one"

    def _memory(self, work: str) -> AbstractContextManager[None]:
        return memory_for(work, self.device, "compute on the CPU with --on cpu, or choose a smaller --model")

    def _modifiers(self, method: str, steps: int) -> tuple[STEQuantizer | AlphaBlending, ...]:
        study = self.study
        if method == STE:
            return (STEQuantizer(levels=study.levels, normalisation=study.normalisation),)
        if method == ALPHA_BLEND:
            hold = steps // study.training.epochs if study.alpha_changes == "epoch" else 1
            annealing = Annealing(steps=steps, hold=hold, shape=study.annealing)
            return (
                AlphaBlending(levels=study.levels, normalisation=study.normalisation, annealing=annealing),
            )
        return ()

    def _levels_of(self, analog: nn.Module, method: str) -> nn.Module:
        """The plain network that would be put on cells: of levels, unless it is the baseline."""
        return mho.revert(analog if method == BASELINE else quantised(analog, self._quantizer()))

    def _quantizer(self, levels: LevelSet | None = None) -> Quantizer:
        chosen = self.study.levels if levels is None else levels
        return Quantizer(levels=chosen, normalisation=self.study.normalisation)

    # --- files -----------------------------------------------------------------------------------

    def wanted(self, name: str, train: bool = True) -> bool:
        """See :meth:`Networks.wanted`; with ``recompute`` also what is stored but cannot be read."""
        path = self.store.folder / file_of(name)
        stored = path.is_file()
        if stored and self._whole(path, NETWORK):
            return False
        if self._checkpoint(name).is_file():
            self._whole(self._checkpoint(name), TRAINING)
        return train or stored

    def _whole(self, path: Path, content: Mapping[str, type]) -> bool:
        """Whether a file can be read; with ``recompute`` one that cannot is removed, else it is an error."""
        try:
            load_tensors(path, content, REMEDY) if content is TRAINING else load_file(
                path, self.store, content
            )
        except DamagedFileError:
            if not self.recompute:
                raise
            self.progress.note(f"{path}: damaged; it is made again")
            path.unlink()
            return False
        return True

    def require(self, name: str) -> None:
        """Raise :class:`MissingNetworkError` for a network that is not stored, in full."""
        self._content(name)

    def save(self, name: str, network: nn.Module, facts: Mapping[str, Any]) -> None:
        """See :meth:`Networks.save`."""
        told = dict(facts)
        content = {
            "format": 1,
            "study": self.store.digest,
            "method": name,
            "state": {k: v.cpu() for k, v in network.state_dict().items()},
            "latent": told.pop("latent"),
            "history": told.pop("history"),
            "facts": told,
        }
        save_tensors(self.store.folder / file_of(name), content)
        self._checkpoint(name).unlink(missing_ok=True)

    def _content(self, method: str) -> dict[str, Any]:
        path = self.store.folder / file_of(method)
        if not path.is_file():
            raise MissingNetworkError(
                f"{path} is missing: train the networks first with\n"
                f"  mho quantize --skip-robustness --output-dir {self.store.folder}\n"
                "and the options of the study, or leave out --skip-training"
            )
        content = load_file(path, self.store, NETWORK)
        if content["method"] != method:
            raise DamagedFileError(
                f"{path}: holds the network of {content['method']}; remove it and run again"
            )
        return content

    def records(self) -> dict[str, dict[str, dict[str, Any]]]:
        """By method: ``history``, loss and validation accuracy of each epoch, and ``facts``, its figures."""
        contents = {method: self._content(method) for method in METHODS}
        return {part: {m: dict(c[part]) for m, c in contents.items()} for part in ("history", "facts")}

    def network(self, method: str, levels: LevelSet) -> nn.Module:
        """A stored network in plain torch, its weights at the nearest of these levels.

        The baseline keeps its weights. With ``study.re_estimate`` the batch normalisation of the
        post-training one is measured again, on training images.
        """
        content = self._content(BASELINE if method == PTQ else method)
        with self._memory("the network"):
            return self._network(method, levels, content)

    def kept(self, method: str, levels: LevelSet) -> nn.Module:
        """The same, kept until another one is asked for."""
        key, network = self._last
        if network is None or key != (method, levels):
            network = self.network(method, levels)
            self._last = (method, levels), network
        return network

    def _network(self, method: str, levels: LevelSet, content: Mapping[str, Any]) -> nn.Module:
        network = self.new()
        network.load_state_dict({**content["state"], **content["latent"]})
        if method == BASELINE:
            return network.eval()
        analog = quantised(mho.convert(network, mho.Hardware()), self._quantizer(levels))
        digital = mho.revert(analog).eval()
        if method == PTQ and self.study.re_estimate:
            batches: tuple[Tensor, ...] = self.data.train.tensors[0].split(BATCH_OF_STATISTICS)
            with memory_for("--re-estimate", self.device, "leave it out, or compute with --on cpu"):
                re_estimate_batch_norm(digital, batches)
        return digital
