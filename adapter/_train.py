"""PixelDA's training: one loop, alternating discriminator and generator steps."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
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

from adapter import _losses as losses
from adapter._config import LabelledCrops, Progress, TrainConfig
from adapter._errors import AdapterError
from adapter._files import make_folder, write_atomically
from adapter._networks import BatchNorm, Discriminator, Generator, TaskTower, build_generator

CHECKPOINT = "checkpoint.safetensors"
FORMAT = "render-adapt training 1"

# Settings that may change between a run and its continuation.
_FREE_SETTINGS = {"steps", "max_minutes", "checkpoint_every", "threads", "device"}
# First members of the random streams, beside the seed.
_ORDER_SOURCE, _ORDER_TARGET, _STEP, _CALIBRATION, _WEIGHTS = range(10, 15)


def train(
    source: LabelledCrops,
    target: NDArray[Any],
    config: TrainConfig,
    out: Path,
    *,
    on_progress: Callable[[Progress], None] | None = None,
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
        on_progress: called after every step.

    Returns:
        The checkpoint, which `save_adapter` takes.

    Raises:
        AdapterError: crops that do not fit together, a checkpoint of another run, a run that
            diverged, a folder that cannot be written.
    """
    _check_crops(source, target, config)
    if config.device == "cuda" and not torch.cuda.is_available():
        raise AdapterError("torch finds no CUDA device; train with --device cpu")
    make_folder(out)
    checkpoint = out / CHECKPOINT
    fingerprint = _fingerprint(source, target, config)
    threads = torch.get_num_threads()
    if config.threads:
        torch.set_num_threads(config.threads)
    try:
        with torch.random.fork_rng(devices=None if config.device == "cuda" else []):
            run = _Run(source, target, config)
            if checkpoint.exists():
                _restore(run, checkpoint, fingerprint)
            _fit(run, source, target, checkpoint, fingerprint, on_progress)
    finally:
        torch.set_num_threads(threads)
    return checkpoint


class _Run:
    """Everything that training changes: networks, optimisers, average, step."""

    def __init__(self, source: LabelledCrops, target: NDArray[Any], config: TrainConfig) -> None:
        self.config = config
        self.step = 0
        self.channels, self.size = source.images.shape[1:3]
        self.class_names = source.class_names
        torch.manual_seed(_seed(config.seed, 0, _WEIGHTS))
        self.generator = build_generator(self.channels, self.size, config)
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
        for network in self.networks().values():
            network.to(config.device)
        if config.precision == "bf16":
            self.generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.generator)
        self.average.requires_grad_(False)

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

    def networks(self) -> dict[str, nn.Module]:
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        return networks if self.task is None else {**networks, "task": self.task}

    def optimizers(self) -> dict[str, torch.optim.AdamW]:
        return {"generator": self.adam_generator, "discriminator": self.adam_discriminator}


def _fit(
    run: _Run,
    source: LabelledCrops,
    target: NDArray[Any],
    checkpoint: Path,
    fingerprint: str,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    """The loop: batches, discriminator step, generator step, average, checkpoint."""
    config = run.config
    batches = _Batches(source, target, config)
    started, first = time.monotonic(), run.step
    saved = run.step if run.step > 0 else -1
    run.generator.train()
    run.discriminator.train()
    if run.task is not None:
        run.task.train()
    while run.step < config.steps:
        minutes = (time.monotonic() - started) / 60.0
        if config.max_minutes and minutes >= config.max_minutes:
            break
        # All randomness of a step comes from (seed, step), so that a checkpoint holds no state
        # of random generators and a continued run draws what an unbroken one would have drawn.
        torch.manual_seed(_seed(config.seed, run.step, _STEP))
        _set_learning_rate(run)
        report = _discriminator_step(run, batches.draw(2 * run.step))
        report |= _generator_step(run, batches.draw(2 * run.step + 1))
        _move_average(run)
        run.step += 1
        broken = [name for name, value in report.items() if not np.isfinite(value)]
        if broken:
            kept = f"the checkpoint of step {saved} is kept" if saved >= 0 else "none was saved yet"
            raise AdapterError(
                f"training diverged at step {run.step}: the {broken[0]} loss is not a finite "
                f"number; lower --learning-rate or use --precision fp32 ({kept})"
            )
        if run.step % config.checkpoint_every == 0:
            _save(run, source, target, checkpoint, fingerprint)
            saved = run.step
        if on_progress is not None:
            on_progress(_progress(run, report, first, time.monotonic() - started))
    if saved != run.step:
        _save(run, source, target, checkpoint, fingerprint)


@dataclasses.dataclass(frozen=True)
class _Batch:
    """Source crops with their labels, and as many target crops, which belong to none of them."""

    x: Tensor  # (N, C, H, W)
    mask: Tensor  # (N, H, W)
    class_index: Tensor  # (N,)
    quaternion: Tensor  # (N, 4)
    pose_weight: Tensor  # (N,)
    real: Tensor  # (N, C, H, W)

    def first_half_twice(self) -> _Batch:
        half = len(self.x) // 2
        return _Batch(**{name: torch.cat([v[:half]] * 2) for name, v in vars(self).items()})


def _discriminator_step(run: _Run, batch: _Batch) -> dict[str, float]:
    """Train the discriminator, and the task network, on adapted crops as they are now."""
    config = run.config
    with torch.no_grad(), _frozen_statistics(run.generator), _autocast(config):
        adapted = run.generator(batch.x, _noise(len(batch.x), config)).float()
    real_seen, adapted_seen = _augment(batch.real, config), _augment(adapted, config)
    with _autocast(config):
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
        report["task"] = _task_loss(
            run.task, adapted, batch, config, on_source=config.task_on_source
        )
        loss = loss + report["task"]
    _descend(run.adam_discriminator, loss, config.clip_norm)
    # The neutral point is 1/2 for least squares, whose aims are 0 and 1, and 0 for all others.
    neutral = 0.5 if config.gan_loss == "least-squares" else 0.0
    return {
        **{name: value.item() for name, value in report.items()},
        "accuracy_real": (logits_real > neutral).float().mean().item(),
        "accuracy_fake": (logits_fake < neutral).float().mean().item(),
    }


def _generator_step(run: _Run, batch: _Batch) -> dict[str, float]:
    """Train the generator against the discriminator as it is now."""
    config = run.config
    if config.diversity_weight > 0:
        # Half of the crops, each with two noise vectors, costs no more than all of them once.
        batch = batch.first_half_twice()
    z = _noise(len(batch.x), config)
    judges = [run.discriminator] if run.task is None else [run.discriminator, run.task]
    with _frozen_statistics(run.discriminator), _without_gradient(judges):
        with _autocast(config):
            adapted = run.generator(batch.x, z).float()
            logits = run.discriminator(_augment(adapted, config)).float()
        adversarial = losses.generator_loss(logits, config.gan_loss)
        loss = config.generator_weight * adversarial
        report = {"generator": adversarial}
        if run.task is not None and config.task_weight_in_generator > 0:
            # Source crops would add nothing that the generator could change.
            task = _task_loss(run.task, adapted, batch, config, on_source=False)
            loss = loss + config.task_weight_in_generator * task
        if config.similarity_weight > 0:
            report["similarity"] = losses.masked_pmse(
                batch.x,
                adapted,
                batch.mask,
                normaliser=config.similarity_normaliser,
                per_channel=config.similarity_per_channel,
                reduction=config.similarity_reduction,
            )
            loss = loss + config.similarity_weight * report["similarity"]
        if config.depth_weight > 0 and run.channels == 4:
            report["depth"] = losses.masked_depth_error(batch.x, adapted, batch.mask)
            loss = loss + config.depth_weight * report["depth"]
        if config.diversity_weight > 0:
            report["diversity"] = losses.diversity_loss(*adapted.chunk(2), *z.chunk(2))
            loss = loss + config.diversity_weight * report["diversity"]
        _descend(run.adam_generator, loss, config.clip_norm)
    return {name: value.item() for name, value in report.items()}


def _task_loss(
    task: TaskTower, adapted: Tensor, batch: _Batch, config: TrainConfig, *, on_source: bool
) -> Tensor:
    """Task loss of adapted crops, and of the source crops where wanted (Eq. 3)."""
    total = torch.zeros((), device=adapted.device)
    for domain, crops in ((0, batch.x), (1, adapted)) if on_source else ((1, adapted),):
        with _autocast(config):
            class_logits, predicted = task(crops, domain)
        total = total + losses.task_loss(
            class_logits,
            predicted,
            batch.class_index,
            batch.quaternion,
            class_weight=config.class_weight,
            pose_weight=config.pose_weight,
            sample_weight=batch.pose_weight,
        )
    return total


def _gradient_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """R1 (Mescheder et al. 2018): half the mean squared gradient of the logit at real crops."""
    real = real.detach().requires_grad_(True)
    with _frozen_statistics(discriminator):
        logits = discriminator(real)
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return 0.5 * gradient.square().flatten(1).sum(dim=1).mean()


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, clip_norm: float) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if clip_norm > 0:
        # Each variable alone, as the official code clips, not all gradients by one norm.
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = [p.grad for p in parameters if p.grad is not None]
        norms = torch._foreach_norm(gradients)
        factors = [(clip_norm / (norm + 1e-6)).clamp(max=1.0) for norm in norms]
        torch._foreach_mul_(gradients, factors)
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


def _move_average(run: _Run) -> None:
    # Early on the average must forget the initial weights faster than `ema` would let it.
    keep = min(run.config.ema, (1.0 + run.step) / (10.0 + run.step))
    keep = keep if run.config.ema > 0 else 0.0
    with torch.no_grad():
        torch._foreach_lerp_(
            list(run.average.parameters()), list(run.generator.parameters()), 1.0 - keep
        )


def _noise(n: int, config: TrainConfig) -> Tensor:
    return (2.0 * torch.rand(n, config.noise_dimension) - 1.0).to(config.device)


def _augment(x: Tensor, config: TrainConfig) -> Tensor:
    """Random shift and colour change, differentiable (DiffAugment, Zhao et al. 2020)."""
    n, _, height, width = x.shape
    if config.discriminator_color > 0:
        amount = config.discriminator_color
        contrast, brightness = (1.0 + amount * (2.0 * torch.rand(2, n, 1, 1, 1) - 1.0)).to(x.device)
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


def _autocast(config: TrainConfig) -> torch.autocast:
    return torch.autocast(config.device, torch.bfloat16, enabled=config.precision == "bf16")


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
    """Source and target batches, each a pure function of (seed, draw).

    The crops are gone through in a new order each time round, source and target independently.
    """

    def __init__(self, source: LabelledCrops, target: NDArray[Any], config: TrainConfig) -> None:
        self.source, self.target, self.config = source, target, config
        self.orders: dict[tuple[int, int], NDArray[np.int64]] = {}

    def draw(self, draw: int) -> _Batch:
        source = self.source
        rows = self._rows(draw, len(source), _ORDER_SOURCE)
        real = self._rows(draw, len(self.target), _ORDER_TARGET)
        weight = np.ones(len(source)) if source.pose_weight is None else source.pose_weight
        return _Batch(
            x=self._tensor(source.images[rows].astype(np.float32)),
            mask=self._tensor(source.masks[rows]),
            class_index=self._tensor(source.class_index[rows].astype(np.int64)),
            quaternion=self._tensor(source.quaternion[rows].astype(np.float32)),
            pose_weight=self._tensor(weight[rows].astype(np.float32)),
            real=self._tensor(self.target[real].astype(np.float32)),
        )

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.config.device)

    def _rows(self, draw: int, n: int, stream: int) -> NDArray[np.int64]:
        position = draw * self.config.batch + np.arange(self.config.batch)
        rounds, place = np.divmod(position, n)
        rows = np.empty(self.config.batch, dtype=np.int64)
        for round_number in np.unique(rounds):
            here = rounds == round_number
            rows[here] = self._order(int(round_number), n, stream)[place[here]]
        return rows

    def _order(self, round_number: int, n: int, stream: int) -> NDArray[np.int64]:
        key = (round_number, stream)
        if key not in self.orders:
            # A batch looks at most a few rounds back, however small the data set.
            self.orders = {k: v for k, v in self.orders.items() if k[1] != stream}
            random = np.random.default_rng([self.config.seed, round_number, stream])
            self.orders[key] = random.permutation(n)
        return self.orders[key]


def _seed(seed: int, index: int, stream: int) -> int:
    state = np.random.SeedSequence([seed, index, stream]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def _progress(run: _Run, report: dict[str, float], first: int, seconds: float) -> Progress:
    config = run.config
    rate = (run.step - first) / seconds
    left = (config.steps - run.step) / rate
    if config.max_minutes:
        left = min(left, max(0.0, 60.0 * config.max_minutes - seconds))
    return Progress(
        step=run.step,
        steps=config.steps,
        losses={k: v for k, v in report.items() if not k.startswith("accuracy")},
        accuracy_real=report["accuracy_real"],
        accuracy_fake=report["accuracy_fake"],
        steps_per_second=rate,
        seconds_left=left,
    )


def _check_crops(source: LabelledCrops, target: NDArray[Any], config: TrainConfig) -> None:
    if source.images.shape[1:] != target.shape[1:]:
        raise AdapterError(
            f"source crops are {source.images.shape[1:]} (channels, height, width) and target "
            f"crops {target.shape[1:]}; they must be alike"
        )
    _, channels, height, width = source.images.shape
    if channels not in (3, 4) or height != width or height < 8 or height & (height - 1):
        raise AdapterError(
            f"crops are {source.images.shape[1:]} (channels, height, width); the networks take 3 "
            "or 4 channels and square crops whose side is a power of two, 8 at least"
        )
    if config.discriminator_shift >= height:
        raise AdapterError(
            f"--discriminator-shift {config.discriminator_shift} moves crops of {height} pixels "
            "out of sight; choose a few pixels"
        )
    if len(source) < 2 or len(target) < 2:
        raise AdapterError(
            f"there are {len(source)} source and {len(target)} target crops; at least 2 of each "
            "are needed"
        )


def _fingerprint(source: LabelledCrops, target: NDArray[Any], config: TrainConfig) -> str:
    arrays = [source.images, source.masks, source.class_index, source.quaternion, target]
    if source.pose_weight is not None and config.task != "none":
        arrays.append(source.pose_weight)
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _calibrated_generator(run: _Run, source: LabelledCrops, batches: int = 16) -> Generator:
    """A copy of the averaged generator whose BN statistics are those of its own activations."""
    config = run.config
    generator = copy.deepcopy(run.average)
    norms = [module for module in generator.modules() if isinstance(module, BatchNorm)]
    torch.manual_seed(_seed(config.seed, run.step, _CALIBRATION))
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
    run: _Run,
    source: LabelledCrops,
    target: NDArray[Any],
    checkpoint: Path,
    fingerprint: str,
) -> None:
    """Write the checkpoint at one stroke, and a picture beside it."""
    from safetensors.torch import save

    exported = _calibrated_generator(run, source)
    tensors = {f"exported.{k}": v for k, v in exported.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in run.average.state_dict().items()}
    for name, network in run.networks().items():
        tensors |= {f"{name}.{k}": v for k, v in network.state_dict().items()}
    for name, optimizer in run.optimizers().items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{name}.{index}.{k}": v for k, v in state.items()}
    metadata = {
        "format": FORMAT,
        "step": str(run.step),
        "channels": str(run.channels),
        "size": str(run.size),
        "class_names": json.dumps(run.class_names),
        "config": json.dumps(dataclasses.asdict(run.config)),
        "fingerprint": fingerprint,
    }
    data = save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, metadata)
    write_atomically(checkpoint, data)
    picture = _picture(run, exported, source, target)
    samples = checkpoint.parent / "samples"
    samples.mkdir(exist_ok=True)
    cv2.imwrite(str(samples / f"step_{run.step:07d}.png"), picture)


def read_checkpoint(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a training checkpoint.

    Raises:
        AdapterError: it cannot be read or is no training checkpoint.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(checkpoint, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it cannot be iterated)
    except (OSError, SafetensorError) as error:
        raise AdapterError(
            f"{checkpoint} cannot be read as a training checkpoint ({error}); delete it to start "
            "the training again"
        ) from error
    if metadata.get("format") != FORMAT:
        raise AdapterError(
            f"{checkpoint} is not a training checkpoint of this version ({FORMAT}); delete it to "
            "start the training again"
        )
    return tensors, metadata


def _restore(run: _Run, checkpoint: Path, fingerprint: str) -> None:
    tensors, metadata = read_checkpoint(checkpoint)
    _check_same_run(run, checkpoint, metadata, fingerprint)

    def part(prefix: str) -> dict[str, Tensor]:
        return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

    run.step = int(metadata["step"])
    run.average.load_state_dict(part("average."))
    for name, network in run.networks().items():
        network.load_state_dict(part(f"{name}."))
    for name, optimizer in run.optimizers().items():
        state = optimizer.state_dict()
        for key, value in part(f"adam.{name}.").items():
            index, moment = key.split(".")
            state["state"].setdefault(int(index), {})[moment] = value
        optimizer.load_state_dict(state)


def _check_same_run(
    run: _Run, checkpoint: Path, metadata: dict[str, str], fingerprint: str
) -> None:
    # A setting that the checkpoint does not know is newer than it, and had its default's effect.
    before = dataclasses.asdict(TrainConfig()) | json.loads(metadata["config"])
    now = dataclasses.asdict(run.config)
    free = set(_FREE_SETTINGS)
    if run.config.schedule == "linear":
        free.discard("steps")  # the learning rate depends on it
    changed = [
        f"--{name.replace('_', '-')} {before[name]} there, {value} now"
        for name, value in now.items()
        if name not in free and before[name] != value
    ]
    if changed:
        raise AdapterError(
            f"{checkpoint} belongs to a run with other settings ({'; '.join(changed)}); use these "
            "or another folder"
        )
    if metadata["fingerprint"] != fingerprint:
        raise AdapterError(
            f"{checkpoint} belongs to a run on other crops; use the same crops or another folder"
        )


def _picture(
    run: _Run, generator: Generator, source: LabelledCrops, target: NDArray[Any]
) -> NDArray[np.uint8]:
    """Columns of crops: source, adapted with two noise vectors, real; depth below. BGR."""
    columns = 12
    rows = np.linspace(0, len(source) - 1, columns).astype(int)
    real = np.linspace(0, len(target) - 1, columns).astype(int)
    x = torch.from_numpy(source.images[rows].astype(np.float32)).to(run.config.device)
    torch.manual_seed(_seed(run.config.seed, 0, _CALIBRATION))
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
