"""A small training loop that can be stopped at any time and goes on bit for bit."""

from __future__ import annotations

import copy
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from mho.config import python_number
from mho.nn.unprogrammed import on_purpose
from mho.training import checkpoint as checkpoints
from mho.training.checkpoint import Position, random_streams, set_random_streams

Loss = Callable[[nn.Module, Any], Tensor]
_END = object()


class DivergedError(ValueError):
    """A training whose loss is not finite any more."""


class Epoch(NamedTuple):
    """What one epoch gave.

    Attributes:
        number: from 1.
        loss: mean of the losses of its steps.
        validation: what ``validate`` gave after it, or None.
        rate: learning rate of its last step, of the first group of Parameters.
    """

    number: int
    loss: float
    validation: float | None
    rate: float


def supervised(loss: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """A loss for batches ``(input, target)`` from one of ``(output, target)``, such as cross entropy.

    >>> of = supervised(nn.functional.mse_loss)
    >>> of(nn.Identity(), (torch.ones(3), torch.zeros(3))).item()
    1.0
    """

    def of(model: nn.Module, batch: Any) -> Tensor:
        x, target = batch
        return loss(model(x), target)

    return of


def fit(
    model: nn.Module,
    loader: Iterable[Any],
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    *,
    scheduler: Any = None,
    schedule_each: Literal["step", "epoch"] = "step",
    bfloat16: bool = False,
    clip_norm: float | None = None,
    validate: Callable[[nn.Module], float] | None = None,
    keep_best: bool = True,
    patience: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    save_every: int | None = None,
    log: str | os.PathLike[str] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> list[Epoch]:
    """Train a model in place; with ``checkpoint`` a training that was stopped goes on bit for bit.

    The model may have a recipe (:func:`~mho.training.attach`); it is no part of this loop. Neither are
    seeds: all randomness comes from the global streams and the loader's generator.

    Going on. If the file ``checkpoint`` is there, the model, the optimizer and the scheduler, made as at
    first, get their state from it, and the same batches follow in the same order. It is written after
    each epoch, after every ``save_every`` steps, and on Ctrl-C, whole or not at all; a killed process
    loses the steps since the last one. The same weights to the last bit need the same machine, versions
    and number of threads, operations that torch computes the same each time, and a loader whose order is
    settled when the epoch begins, as that of ``torch.utils.data.DataLoader`` is.

    Args:
        model: any module.
        loader: batches, iterated once in each epoch; their tensors are moved to the model's device.
        loss: of ``(model, batch)``; see :func:`supervised` and :meth:`~mho.training.Distillation.taught`.
        optimizer: over the model's Parameters.
        epochs: times that the loader is run through, those of the checkpoint counted.
        scheduler: a scheduler of torch; one for plateaus is stepped after each epoch with the validation
            (or, without, with the loss).
        schedule_each: whether other schedulers are stepped after each ``"step"`` or ``"epoch"``.
        bfloat16: compute the loss under autocast in bfloat16.
        clip_norm: largest norm of the whole gradient; None for no limit.
        validate: of the model in evaluation mode, after each epoch; lower is better.
        keep_best: with ``validate``, give the model the state of its best epoch in the end; False leaves it
            that of the last one.
        patience: epochs without a better validation after which to stop.
        checkpoint: a file; its folder is made.
        save_every: steps between two checkpoints within an epoch.
        log: a folder for TensorBoard.
        on_epoch: told after each epoch, once its checkpoint is written.

    Returns:
        The epochs, those before the checkpoint too.

    Raises:
        DivergedError: a loss is not finite.
        ValueError: a bad argument, or a checkpoint of another training.
        KeyboardInterrupt: Ctrl-C, after the checkpoint is written; a second one does not wait for it.
        ImportError: ``log`` without TensorBoard.
    """
    _check(epochs, clip_norm, validate, patience, checkpoint, save_every, schedule_each)
    run = _Run(
        model, loader, loss, optimizer, scheduler, Path(checkpoint) if checkpoint is not None else None
    )
    run.each_epoch = schedule_each == "epoch"
    run.bfloat16, run.clip_norm, run.save_every, run.keep_best = bfloat16, clip_norm, save_every, keep_best
    run.restore()
    model.train()  # also if nothing is left to do: the model is left as a training leaves it
    with _writer(log, run.position.step) as run.writer, _interrupts(checkpoint is not None) as run.stopped:
        while run.position.epoch < epochs and not run.position.finished:
            loss_of_epoch = run.epoch()
            done = run.close(loss_of_epoch, validate, patience)
            run.save()
            if on_epoch is not None:
                on_epoch(done)
            run.leave_if_stopped()
    if run.position.best_state is not None:
        model.load_state_dict(run.position.best_state)
    return [Epoch(*entry) for entry in run.position.history]


def _check(
    epochs: int, clip_norm: float | None, validate: object, patience: int | None, checkpoint: object,
    save_every: int | None, schedule_each: str,
) -> None:  # fmt: skip
    for name, value in (("epochs", epochs), ("patience", patience), ("save_every", save_every)):
        count = python_number(value)
        if value is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            raise ValueError(f"{name} = {value!r}: a whole number of at least 1")
    if clip_norm is not None and not (0 < clip_norm < math.inf):
        raise ValueError(
            f"clip_norm = {clip_norm!r}: the largest norm of a gradient is above 0; None for no limit"
        )
    if patience is not None and validate is None:
        raise ValueError(f"patience = {patience!r} waits for a better validation: give validate too")
    if save_every is not None and checkpoint is None:
        raise ValueError(f"save_every = {save_every!r}: give the file too, checkpoint=...")
    if schedule_each not in ("step", "epoch"):
        raise ValueError(f"schedule_each = {schedule_each!r}: choose 'step' or 'epoch'")
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    if checkpoint is not None and several and torch.distributed.get_world_size() > 1:
        raise ValueError("checkpoint: one file is not enough for several processes; save in your own loop")


class _Run:
    """One training: what it works on, and how far it is."""

    each_epoch: bool
    bfloat16: bool
    clip_norm: float | None
    save_every: int | None
    keep_best: bool
    writer: Any
    stopped: Callable[[], bool]

    def __init__(
        self, model: nn.Module, loader: Iterable[Any], loss: Loss, optimizer: torch.optim.Optimizer,
        scheduler: Any, path: Path | None,
    ) -> None:  # fmt: skip
        self.model, self.loader, self.loss = model, loader, loss
        self.optimizer, self.scheduler, self.path = optimizer, scheduler, path
        self.position = Position()
        self.streams: checkpoints.Streams | None = None  # to be put back before the next step
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.device = self.parameters[0].device
        self.logged = 0
        self.since = time.perf_counter()

    def restore(self) -> None:
        """Take up the state of the checkpoint, if there is one."""
        if self.path is None or not self.path.exists():
            return
        self.position, self.streams = checkpoints.load(self.path, self.model, self.optimizer, self.scheduler)
        self.logged = self.position.batch

    def save(self) -> None:
        """Write the checkpoint."""
        now = time.perf_counter()
        self.position.seconds, self.since = self.position.seconds + now - self.since, now
        if self.path is not None:
            self.log_losses()
            where = (self.model, self.optimizer, self.scheduler, self.loader, self.position)
            checkpoints.save(self.path, *where)

    def batches(self) -> Iterator[Any]:
        """The batches of this epoch that are not done yet."""
        position, now = self.position, self.streams
        if now is not None:  # the epoch begins as it began then
            set_random_streams(position.epoch_start or now, self.loader)
        position.epoch_start = random_streams(self.loader)
        iterator = iter(self.loader)
        for _ in range(position.batch):
            if next(iterator, _END) is _END:
                raise ValueError("loader gives fewer batches than when the checkpoint was written")
        if now is not None and position.batch:
            set_random_streams(now, self.loader)
        self.streams = None
        yield from iterator

    def epoch(self) -> float:
        """Run through the rest of the epoch; returns its mean loss."""
        self.model.train()
        position = self.position
        for batch in self.batches():
            position.losses.append(self.step(batch))
            position.batch += 1
            position.step += 1
            if self.save_every is not None and position.step % self.save_every == 0:
                self.check_losses()
                self.save()
            self.leave_if_stopped()
        if not position.batch:
            raise ValueError("loader gave no batch: at least one is needed (an iterator runs only once)")
        return self.check_losses()

    def step(self, batch: Any) -> Tensor:
        """One step of the optimizer."""
        batch = _moved(batch, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            loss = self.loss(self.model, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        self.optimizer.step()
        if self.scheduler is not None and not (self.each_epoch or _waits_for_plateau(self.scheduler)):
            self.scheduler.step()
        return loss.detach()

    def check_losses(self) -> float:
        """The mean loss of the epoch so far.

        Raises:
            DivergedError: a loss was not finite.
        """
        losses = torch.stack(self.position.losses).cpu().double()
        if not bool(losses.isfinite().all()):
            raise DivergedError(
                f"the training diverged in epoch {self.position.epoch + 1}: a loss is not finite; choose a "
                "lower rate, or clip_norm"
            )
        return float(losses.mean())

    def close(
        self, loss: float, validate: Callable[[nn.Module], float] | None, patience: int | None
    ) -> Epoch:
        """End the epoch: validation, scheduler, the best state."""
        position, value = self.position, None
        if validate is not None:
            self.model.eval()
            with on_purpose(self.model):  # a network in training has no chip yet
                value = float(validate(self.model))
            self.model.train()
        done = Epoch(position.epoch + 1, loss, value, float(self.optimizer.param_groups[0]["lr"]))
        if self.scheduler is not None and _waits_for_plateau(self.scheduler):
            self.scheduler.step(loss if value is None else value)
        elif self.scheduler is not None and self.each_epoch:
            self.scheduler.step()
        self.log_losses()
        position.history.append(tuple(done))
        position.epoch, position.batch, position.losses, position.epoch_start = done.number, 0, [], None
        self.logged = 0
        if value is not None and (position.best is None or value < position.best):
            position.best, position.best_epoch = value, done.number
            if self.keep_best:
                position.best_state = copy.deepcopy(dict(self.model.state_dict()))
        position.finished = patience is not None and done.number - position.best_epoch >= patience
        for name, number in (("epoch/loss", loss), ("epoch/validation", value), ("epoch/rate", done.rate)):
            if self.writer is not None and number is not None:
                self.writer.add_scalar(name, number, done.number)
        return done

    def log_losses(self) -> None:
        """Give TensorBoard the losses that it has not seen."""
        position = self.position
        if self.writer is not None:
            first = position.step - position.batch
            for number in range(self.logged, position.batch):
                self.writer.add_scalar("step/loss", float(position.losses[number]), first + number + 1)
            self.writer.flush()
        self.logged = position.batch

    def leave_if_stopped(self) -> None:
        """After Ctrl-C: write the checkpoint and leave."""
        if self.stopped():
            if self.position.losses:
                self.check_losses()
            self.save()
            raise KeyboardInterrupt


def _waits_for_plateau(scheduler: Any) -> bool:
    return isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)


def _moved(batch: Any, device: torch.device) -> Any:
    """A batch on a device: a tensor or what else can be moved, or tuples, lists and dicts of such."""
    if callable(getattr(batch, "to", None)):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: _moved(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_moved(value, device) for value in batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)(_moved(value, device) for value in batch)
    return batch


@contextmanager
def _interrupts(held_back: bool) -> Iterator[Callable[[], bool]]:
    """Ctrl-C noted instead of raised; the second one is raised. Only the main thread can do that."""
    noted: list[bool] = []
    if not held_back or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: Any) -> None:
        noted.append(True)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(noted)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _writer(folder: str | os.PathLike[str] | None, step: int) -> Iterator[Any]:
    """TensorBoard's writer, or None."""
    if folder is None:
        yield None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ImportError("log = ... needs TensorBoard: pip install 'mho[train]', or leave log out") from None
    writer = SummaryWriter(os.fspath(folder), purge_step=step + 1 if step else None)
    try:
        yield writer
    finally:
        writer.close()
