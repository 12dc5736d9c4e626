"""PixelDA's training: one loop, alternating discriminator and generator steps."""

from __future__ import annotations

import copy
import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from adapter._batches import LabelledBatch, Rows, image_tensor, seed_of
from adapter._errors import AdapterError
from adapter._losses import pixelda as losses
from adapter._networks.pixelda import (
    BatchNorm,
    Discriminator,
    TaskTower,
)
from adapter._networks.registry import new_generator
from adapter._settings.pixelda import LabelledCrops, Progress, TrainConfig
from adapter._training.checkpoint import (
    CHECKPOINT,
    FREE_SETTINGS,
    check_same_run,
    describe,
    fingerprint_of,
    note_on,
    part,
    read_checkpoint,
    restore,
    write_checkpoint,
)
from adapter._training.device import Images, labelled_batches, to_device
from adapter._training.lock import only_training
from adapter._training.loop import (
    autocast,
    average_share,
    check_alike,
    check_finite,
    check_labelled_target,
    crops_metadata,
    pace,
    torch_of,
)
from adapter._training.monitor import SCALARS_EVERY, CollapseWatch, DiscriminatorWatch, board
from safe_files import write_file

# Random streams, beside the seed.
_ORDER_SOURCE, _ORDER_TARGET, _STEP, _CALIBRATION, _WEIGHTS, _ORDER_LABELLED = range(10, 16)

_READ_EVERY = 10
"""Steps on a GPU between two looks at the losses, each of which waits until it has caught up."""


def train(
    source: LabelledCrops,
    target: NDArray[Any],
    config: TrainConfig,
    out: Path,
    *,
    labelled_target: LabelledCrops | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_checkpoint: Callable[[Path], None] | None = None,
) -> Path:
    """Train a generator that makes source crops look like the target's (Eq. 1 and 4).

    Each step trains the discriminator and the task network, then the generator, as in section 3.1.

    A folder that holds a checkpoint is continued from it: k steps, a stop and m steps give the
    same parameters, bit for bit, as k + m steps (on one machine, CPU, same number of threads).

    Args:
        source: rendered crops with labels.
        target: (M, C, H, W) real crops in [-1, 1], unlabelled.
        config: settings.
        out: folder for the checkpoint and for pictures of how far the run is; made if absent.
        labelled_target: real crops with labels, a further input of the task network (section 4.5,
            semi-supervised); None trains without any label of the target.
        on_progress: called after every step; on a GPU after every tenth.
        on_checkpoint: called with the checkpoint after it was written.

    Returns:
        The checkpoint, which `save_adapter` takes.

    Raises:
        AdapterError: crops that do not fit together, a checkpoint of another run, a run that
            diverged or collapsed, a folder that cannot be written.
    """
    _check_crops(source, target, config)
    if labelled_target is not None:
        if config.task == "none":
            raise AdapterError("labelled target crops train the task network: add `task` pose")
        check_labelled_target(source, labelled_target)
    checkpoint = out / CHECKPOINT
    crops = _Crops(source, target, labelled_target)
    with torch_of(config), only_training(out):
        fingerprint = _fingerprint(crops, config)
        run = _Run(source, config)
        if checkpoint.exists():
            _restore(run, checkpoint, fingerprint)
        _fit(run, crops, checkpoint, fingerprint, on_progress, on_checkpoint)
    return checkpoint


def training_steps(
    source: LabelledCrops, target: NDArray[Any], config: TrainConfig
) -> Iterator[None]:
    """One training step after the other, from fresh weights and without end, to time them.

    Changes the state of torch's random generators.
    """
    run = _Run(source, config)
    batches = _Batches(_Crops(source, target, None), config)
    while True:
        _step(run, batches)
        yield


def load_task_tower(checkpoint: Path) -> TaskTower:
    """The task network of a training checkpoint, in evaluation mode; real crops take path 1.

    Its weights are the moving average where the run kept one.

    Raises:
        AdapterError: the checkpoint cannot be read, or the run had no task network.
    """
    tensors, metadata = read_checkpoint(checkpoint)
    state = part(tensors, "average_task") or part(tensors, "task")
    config = TrainConfig(**json.loads(metadata["config"]))
    if config.task == "none":
        raise AdapterError(f"{checkpoint} was trained without a task network; add `task` pose")
    names = json.loads(metadata["class_names"])
    tower = TaskTower(int(metadata["channels"]), int(metadata["size"]), len(names), config.task)
    tower.load_state_dict(state)
    return tower.eval()


@dataclasses.dataclass(frozen=True)
class _Crops:
    """What a run is trained on."""

    source: LabelledCrops
    target: NDArray[Any]
    labelled_target: LabelledCrops | None


class _Run:
    """Everything that training changes: networks, optimisers, averages, step."""

    def __init__(self, source: LabelledCrops, config: TrainConfig) -> None:
        self.config = config
        self.step = 0
        self.low_checks = 0  # of `CollapseWatch`
        self.note = ""  # on the checkpoint that the run goes on from
        self.channels, self.size = source.images.shape[1:3]
        self.crops = crops_metadata(source)
        torch.manual_seed(seed_of(config.seed, 0, _WEIGHTS))
        self.generator = new_generator(self.channels, self.size, config)
        self.discriminator = Discriminator(
            self.channels,
            self.size,
            width=config.discriminator_width,
            keep=config.discriminator_keep,
            noise=config.discriminator_noise,
            norm=config.discriminator_norm,
            batch_deviation=config.discriminator_batch_deviation,
        )
        self.task = (
            None
            if config.task == "none"
            else TaskTower(self.channels, self.size, len(source.class_names), config.task)
        )
        for name, network in self.networks().items():
            network.to(config.device)
            if config.device == "cuda" or config.precision == "fp32" or name == "generator":
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.average_task = copy.deepcopy(self.task)
        if self.average_task is not None:
            self.average_task.requires_grad_(False)

        def adam(networks: Iterable[nn.Module]) -> torch.optim.AdamW:
            return torch.optim.AdamW(
                [p for network in networks for p in network.parameters()],
                lr=config.learning_rate,
                betas=(0.5, 0.999),
                weight_decay=config.weight_decay,
                fused=True,
            )

        # As in the official code, one optimiser serves the discriminator and the task network.
        judges = [self.discriminator] if self.task is None else [self.discriminator, self.task]
        self.adam_generator = adam([self.generator])
        self.adam_discriminator = adam(judges)
        if config.compile:
            for network in self.networks().values():
                network.compile(dynamic=False)

    def networks(self) -> dict[str, nn.Module]:
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        return networks if self.task is None else {**networks, "task": self.task}

    def averages(self) -> dict[str, nn.Module]:
        """What is kept as a moving average, by the name of the network that it follows."""
        averages: dict[str, nn.Module] = {"generator": self.average}
        return averages if self.average_task is None else {**averages, "task": self.average_task}

    def stored(self) -> dict[str, nn.Module]:
        """All networks, by their names in a checkpoint."""
        stored = {**self.networks(), "average": self.average}
        task = self.average_task
        return stored if task is None else {**stored, "average_task": task}

    def optimizers(self) -> dict[str, torch.optim.AdamW]:
        return {"generator": self.adam_generator, "discriminator": self.adam_discriminator}


def _fit(
    run: _Run,
    crops: _Crops,
    checkpoint: Path,
    fingerprint: str,
    on_progress: Callable[[Progress], None] | None,
    on_checkpoint: Callable[[Path], None] | None,
) -> None:
    """The loop: steps, what is reported of them, checkpoints."""
    config = run.config
    batches = _Batches(crops, config)
    started, first = time.monotonic(), run.step
    saved = run.step if run.step > 0 else -1
    collapse = CollapseWatch(crops.source.images, crops.target, run.low_checks)
    discriminator = DiscriminatorWatch()
    report: dict[str, Tensor] = {}
    with board(config.tensorboard, checkpoint.parent / "tensorboard", run.step) as tensorboard:

        def save() -> None:
            nonlocal saved
            picture = _save(run, crops, checkpoint, fingerprint, collapse)
            saved = run.step
            if tensorboard is not None:
                tensorboard.picture(picture, run.step)
            if on_checkpoint is not None:
                on_checkpoint(checkpoint)

        while run.step < config.steps:
            minutes = (time.monotonic() - started) / 60.0
            if config.max_minutes and minutes >= config.max_minutes:
                break
            report = _step(run, batches)
            due = run.step % config.checkpoint_every == 0
            look_every = _READ_EVERY if config.device == "cuda" else 1
            if run.step % look_every and run.step < config.steps and not due:
                continue
            values = _read(report, run.step, saved)
            if due:
                save()
            note = discriminator.note(run.step, values["accuracy_real"], values["accuracy_fake"])
            note, run.note = run.note or note, ""
            progress = _progress(run, values, first, time.monotonic() - started, note)
            if tensorboard is not None and run.step % SCALARS_EVERY == 0:
                tensorboard.curves(progress, _learning_rates(run))
            if on_progress is not None:
                on_progress(progress)
        if saved != run.step:
            _read(report, run.step, saved)
            save()


def _step(run: _Run, batches: _Batches) -> dict[str, Tensor]:
    """One training step: what it reports are numbers that lie on the device."""
    config = run.config
    # All randomness of a step comes from (seed, step), so that a checkpoint holds no state
    # of random generators and a continued run draws what an unbroken one would have drawn.
    torch.manual_seed(seed_of(config.seed, run.step, _STEP))
    _set_learning_rate(run)
    with _compilation(config):
        report = _discriminator_step(run, batches.draw(2 * run.step))
        report |= _generator_step(run, batches.draw(2 * run.step + 1))
    _move_average(run)
    run.step += 1
    return report


@contextmanager
def _compilation(config: TrainConfig) -> Iterator[None]:
    """Says what to do where torch.compile fails, which is when a network is first called."""
    if not config.compile:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        reason = " ".join(str(error).split())[:200]
        raise AdapterError(
            f"torch.compile cannot compile the networks here ({reason}); train without `compile`"
        ) from error


def _read(report: dict[str, Tensor], step: int, saved: int) -> dict[str, float]:
    """The report's numbers, with one wait for all of them.

    Raises:
        AdapterError: one is not finite: the run has diverged.
    """
    values = torch.stack(list(report.values())).tolist() if report else []
    numbers = dict(zip(report, values, strict=True))
    check_finite(numbers, step, saved)
    return numbers


@dataclasses.dataclass(frozen=True)
class _Batch:
    """Source crops with their labels, and as many target crops, which belong to none of them."""

    source: LabelledBatch
    real: Tensor  # (N, C, H, W)
    labelled_target: LabelledBatch | None


def _discriminator_step(run: _Run, batch: _Batch) -> dict[str, Tensor]:
    """Train the discriminator, and the task network, on adapted crops as they are now."""
    config = run.config
    with torch.no_grad(), _frozen_statistics(run.generator), autocast(config):
        adapted = run.generator(batch.source.x, _noise(config.batch, config)).float()
    real_seen, adapted_seen = _augment(batch.real, config), _augment(adapted, config)
    with autocast(config):
        logits_real = run.discriminator(real_seen).float()
        logits_fake = run.discriminator(adapted_seen).float()
    adversarial = losses.discriminator_loss(logits_real, logits_fake, config.gan_loss)
    loss = config.discriminator_weight * adversarial
    report = {"discriminator": adversarial}
    if config.gradient_penalty > 0 and run.step % config.gradient_penalty_every == 0:
        penalty = _gradient_penalty(run.discriminator, real_seen)
        loss = loss + config.gradient_penalty * config.gradient_penalty_every * penalty
        report["gradient penalty"] = penalty
    if run.task is not None:
        parts = [(1, adapted, batch.source)]
        if config.task_on_source:
            parts.append((0, batch.source.x, batch.source))
        if batch.labelled_target is not None:
            parts.append((1, batch.labelled_target.x, batch.labelled_target))
        report["task"] = _task_loss(run.task, parts, config)
        loss = loss + report["task"]
    _descend(run.adam_discriminator, loss, config.clip_norm)
    # The neutral point is 1/2 for least squares, whose aims are 0 and 1, and 0 for all others.
    neutral = 0.5 if config.gan_loss == "least-squares" else 0.0
    return {
        **{name: value.detach() for name, value in report.items()},
        "accuracy_real": (logits_real > neutral).float().mean(),
        "accuracy_fake": (logits_fake < neutral).float().mean(),
    }


def _generator_step(run: _Run, batch: _Batch) -> dict[str, Tensor]:
    """Train the generator against the discriminator as it is now."""
    config, source = run.config, batch.source
    if config.diversity_weight > 0:
        # Half of the crops, each with two noise vectors, costs no more than all of them once.
        source = source.first_half_twice()
    z = _noise(len(source), config)
    judges = [run.discriminator] if run.task is None else [run.discriminator, run.task]
    with _frozen_statistics(run.discriminator), _without_gradient(judges):
        with autocast(config):
            adapted = run.generator(source.x, z).float()
            logits = run.discriminator(_augment(adapted, config)).float()
        adversarial = losses.generator_loss(logits, config.gan_loss)
        loss = config.generator_weight * adversarial
        report = {"generator": adversarial}
        if run.task is not None and config.task_weight_in_generator > 0:
            # Source crops would add nothing that the generator could change.
            task = _task_loss(run.task, [(1, adapted, source)], config)
            loss = loss + config.task_weight_in_generator * task
        if config.similarity_weight > 0:
            report["similarity"] = losses.masked_pmse(
                source.x,
                adapted,
                source.mask,
                normaliser=config.similarity_normaliser,
                per_channel=config.similarity_per_channel,
                reduction=config.similarity_reduction,
            )
            loss = loss + config.similarity_weight * report["similarity"]
        if config.depth_weight > 0 and run.channels == 4:
            report["depth"] = losses.masked_depth_error(source.x, adapted, source.mask)
            loss = loss + config.depth_weight * report["depth"]
        if config.diversity_weight > 0:
            report["diversity"] = losses.diversity_loss(*adapted.chunk(2), *z.chunk(2))
            loss = loss + config.diversity_weight * report["diversity"]
        _descend(run.adam_generator, loss, config.clip_norm)
    return {name: value.detach() for name, value in report.items()}


def _task_loss(
    task: TaskTower, parts: Iterable[tuple[int, Tensor, LabelledBatch]], config: TrainConfig
) -> Tensor:
    """Sum of the task losses of (domain, crops, labels) (Eq. 3)."""
    total = torch.zeros((), device=config.device)
    for domain, crops, labels in parts:
        with autocast(config):
            class_logits, predicted = task(crops, domain)
        total = total + losses.task_loss(
            class_logits,
            predicted,
            labels.class_index,
            labels.quaternion,
            class_weight=config.class_weight,
            pose_weight=config.pose_weight,
            sample_weight=labels.pose_weight,
            symmetries=labels.symmetries,
        )
    return total


def _gradient_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """R1 (Mescheder et al. 2018): half the mean squared gradient of the logit at real crops."""
    real = real.detach().requires_grad_(True)
    with _frozen_statistics(discriminator):
        # Not through a compiled call, which cannot be differentiated twice.
        logits = discriminator.forward(real)
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return 0.5 * gradient.square().flatten(1).sum(dim=1).mean()


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, clip_norm: float) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if clip_norm > 0:
        # Each variable alone, as the official code clips, not all gradients by one norm.
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = [p.grad for p in parameters if p.grad is not None]
        norms = torch.stack(torch._foreach_norm(gradients))
        factors = (clip_norm / (norms + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_(gradients, factors.unbind())
    optimizer.step()


def _set_learning_rate(run: _Run) -> None:
    config = run.config
    factor = 1.0
    if config.schedule == "staircase":
        factor = config.decay ** (2 * run.step // config.decay_steps)
    elif config.schedule == "linear":
        factor = min(1.0, 2.0 * (1.0 - run.step / config.steps))
    rates = {
        "generator": config.learning_rate,
        "discriminator": config.discriminator_learning_rate or config.learning_rate,
    }
    for name, optimizer in run.optimizers().items():
        for group in optimizer.param_groups:
            group["lr"] = factor * rates[name]


def _learning_rates(run: _Run) -> dict[str, float]:
    return {name: o.param_groups[0]["lr"] for name, o in run.optimizers().items()}


def _move_average(run: _Run) -> None:
    keep = average_share(run.config.ema, run.step)
    with torch.no_grad():
        for name, average in run.averages().items():
            follows = run.networks()[name]
            torch._foreach_lerp_(list(average.parameters()), list(follows.parameters()), 1.0 - keep)


def _noise(n: int, config: TrainConfig) -> Tensor:
    return to_device(2.0 * torch.rand(n, config.noise_dimension) - 1.0, config.device)


def _augment(x: Tensor, config: TrainConfig) -> Tensor:
    """Random shift and colour change, differentiable (DiffAugment, Zhao et al. 2020)."""
    n, _, height, width = x.shape
    if config.discriminator_color > 0:
        amount = config.discriminator_color
        factors = 1.0 + amount * (2.0 * torch.rand(2, n, 1, 1, 1) - 1.0)
        contrast, brightness = to_device(factors, config.device)
        color = x[:, :3]
        mean = color.mean(dim=(1, 2, 3), keepdim=True)
        color = (color - mean) * contrast + mean + (brightness - 1.0)
        x = torch.cat([color, x[:, 3:]], dim=1)
    if config.discriminator_shift > 0:
        reach = config.discriminator_shift
        top, left = torch.randint(0, 2 * reach + 1, (2, n, 1), device=x.device)
        padded = F.pad(x, (reach,) * 4, mode="reflect")
        rows = (top + torch.arange(height, device=x.device))[:, :, None]  # (N, H, 1)
        columns = (left + torch.arange(width, device=x.device))[:, None, :]  # (N, 1, W)
        crop = torch.arange(n, device=x.device)[:, None, None]
        x = padded.permute(0, 2, 3, 1)[crop, rows, columns].permute(0, 3, 1, 2)
    return x


@contextmanager
def _frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Batch normalisation uses the batch but does not learn from it."""
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    for norm in norms:
        norm.update_statistics = False
    yield
    for norm in norms:
        norm.update_statistics = True


@contextmanager
def _without_gradient(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Gradients pass through the networks, none is computed for their weights."""
    for network in networks:
        network.requires_grad_(False)
    yield
    for network in networks:
        network.requires_grad_(True)


class _Batches:
    """Source and target batches, each a pure function of (seed, draw)."""

    def __init__(self, crops: _Crops, config: TrainConfig) -> None:
        n, seed, device = config.batch, config.seed, config.device
        self.source = labelled_batches(crops.source, n, seed, _ORDER_SOURCE, device)
        self.target = Images(crops.target, device)
        self.real = Rows(len(crops.target), n, seed, _ORDER_TARGET)
        self.labelled_target = (
            None
            if crops.labelled_target is None
            else labelled_batches(crops.labelled_target, n, seed, _ORDER_LABELLED, device)
        )

    def draw(self, draw: int) -> _Batch:
        labelled = self.labelled_target
        return _Batch(
            source=self.source.draw(draw),
            real=self.target.at(self.real.draw(draw)),
            labelled_target=None if labelled is None else labelled.draw(draw),
        )


def _progress(
    run: _Run, report: dict[str, float], first: int, seconds: float, note: str
) -> Progress:
    rate, left = pace(run.config, run.step, first, seconds)
    return Progress(
        step=run.step,
        steps=run.config.steps,
        losses={k: v for k, v in report.items() if not k.startswith("accuracy")},
        accuracy_real=report["accuracy_real"],
        accuracy_fake=report["accuracy_fake"],
        steps_per_second=rate,
        seconds_left=left,
        note=note,
    )


def _check_crops(source: LabelledCrops, target: NDArray[Any], config: TrainConfig) -> None:
    check_alike(source, target)
    _, channels, height, width = source.images.shape
    if channels not in (3, 4) or height != width or height < 8 or height & (height - 1):
        raise AdapterError(
            f"crops are {source.images.shape[1:]} (channels, height, width); the networks take 3 "
            "or 4 channels and square crops whose side is a power of two, 8 at least"
        )
    if config.discriminator_shift >= height:
        raise AdapterError(
            f"`discriminator_shift` {config.discriminator_shift} moves crops of {height} pixels "
            "out of sight; choose a few pixels"
        )
    if len(source) < 2 or len(target) < 2:
        raise AdapterError(
            f"there are {len(source)} source and {len(target)} target crops; at least 2 of each "
            "are needed"
        )


def _fingerprint(crops: _Crops, config: TrainConfig) -> str:
    source, labelled = crops.source, crops.labelled_target
    arrays: list[NDArray[Any] | None] = [source.images, source.masks, source.class_index]
    arrays += [source.quaternion, crops.target]
    if config.task != "none":
        arrays += [source.pose_weight, source.symmetries]
    if labelled is not None:
        arrays += [labelled.images, labelled.class_index, labelled.quaternion]
    return fingerprint_of(arrays)


def _calibrated_generator(run: _Run, source: LabelledCrops, batches: int = 16) -> nn.Module:
    """A copy of the averaged generator whose BN statistics are those of its own activations."""
    config = run.config
    generator = copy.deepcopy(run.average)
    norms = [module for module in generator.modules() if isinstance(module, BatchNorm)]
    torch.manual_seed(seed_of(config.seed, run.step, _CALIBRATION))
    random = np.random.default_rng([config.seed, run.step, _CALIBRATION])
    generator.train()
    with torch.no_grad():
        for number in range(batches):
            for norm in norms:
                norm.momentum = 1.0 / (number + 1)  # a plain mean over the batches
            rows = random.integers(0, len(source), config.batch)
            x = torch.from_numpy(source.images[rows].astype(np.float32)).to(config.device)
            generator(x, _noise(len(x), config))
    return generator.eval()


def _save(
    run: _Run, crops: _Crops, checkpoint: Path, fingerprint: str, collapse: CollapseWatch
) -> NDArray[np.uint8]:
    """Write the checkpoint at one stroke, and a picture, which is returned, beside it.

    Raises:
        AdapterError: the generator has collapsed.
    """
    exported = _calibrated_generator(run, crops.source)
    # Between these checks there are always as many steps, however often the run is continued.
    if run.step % run.config.checkpoint_every == 0:
        collapse.check(_adapt(exported, collapse.crops, run.config), run.step)
    metadata = describe(run.config, fingerprint, run.step) | run.crops
    metadata["low_checks"] = str(collapse.low_checks)
    networks = {**run.stored(), "exported": exported}
    write_checkpoint(checkpoint, networks, run.optimizers(), metadata)
    picture = _picture(run, exported, crops.source, crops.target)
    samples = checkpoint.parent / "samples"
    samples.mkdir(exist_ok=True)
    _, encoded = cv2.imencode(".png", picture)
    write_file(samples / f"step_{run.step:07d}.png", encoded.tobytes())
    return picture


def _adapt(generator: nn.Module, crops: NDArray[Any], config: TrainConfig) -> NDArray[np.float32]:
    """The crops as a generator adapts them, with the same noise each time."""
    torch.manual_seed(seed_of(config.seed, 0, _CALIBRATION))
    with torch.no_grad():
        adapted = generator(image_tensor(crops, config.device), _noise(len(crops), config))
    return adapted.cpu().numpy()  # type: ignore[no-any-return]


def _restore(run: _Run, checkpoint: Path, fingerprint: str) -> None:
    tensors, metadata = read_checkpoint(checkpoint)
    free = set(FREE_SETTINGS)
    if run.config.schedule == "linear":
        free.discard("steps")  # the learning rate depends on it
    check_same_run(checkpoint, metadata, run.config, fingerprint, free=free)
    run.low_checks = int(metadata.get("low_checks", "0"))
    run.note = note_on(checkpoint, metadata)
    run.step = restore(checkpoint, tensors, metadata, run.stored(), run.optimizers())


def _picture(
    run: _Run, generator: nn.Module, source: LabelledCrops, target: NDArray[Any]
) -> NDArray[np.uint8]:
    """Columns of crops: source, adapted with two noise vectors, real; depth below. BGR."""
    columns = 12
    rows = np.linspace(0, len(source) - 1, columns).astype(int)
    real = np.linspace(0, len(target) - 1, columns).astype(int)
    x = torch.from_numpy(source.images[rows].astype(np.float32)).to(run.config.device)
    torch.manual_seed(seed_of(run.config.seed, 0, _CALIBRATION))
    with torch.no_grad():
        looks = [generator(x, _noise(len(x), run.config)).cpu().numpy() for _ in range(2)]
    lines = []
    for crops in (source.images[rows].astype(np.float32), *looks, target[real].astype(np.float32)):
        pixels = np.clip((crops + 1.0) * 127.5, 0, 255).astype(np.uint8)
        lines.append(np.hstack(list(pixels[:, 2::-1].transpose(0, 2, 3, 1))))
        if run.channels == 4:
            depth = np.hstack(list(pixels[:, 3]))
            lines.append(cv2.applyColorMap(depth, cv2.COLORMAP_VIRIDIS))
    return np.ascontiguousarray(np.vstack(lines))
