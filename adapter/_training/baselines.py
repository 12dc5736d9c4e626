"""Training of the systems that PixelDA is compared with, on the same task tower and data."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapter._batches import LabelledBatch, Rows, seed_of
from adapter._errors import AdapterError
from adapter._losses import alignment
from adapter._losses.pixelda import task_loss
from adapter._networks.dsn import DomainSeparation
from adapter._networks.pixelda import BatchNorm, TaskTower
from adapter._settings.baselines import BaselineConfig, TaskProgress
from adapter._settings.pixelda import LabelledCrops
from adapter._training.checkpoint import (
    CHECKPOINT,
    FREE_SETTINGS,
    check_same_run,
    describe,
    fingerprint_of,
    part,
    read_checkpoint,
    restore,
    write_checkpoint,
)
from adapter._training.coral import CoralHead, check_every_class, fit_coral, import_svm
from adapter._training.device import Images, labelled_batches
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

if TYPE_CHECKING:
    from adapter._measures.evaluation import Predict

# Random streams, beside the seed.
_ORDER_SOURCE, _ORDER_TARGET, _STEP, _WEIGHTS, _ORDER_LABELLED = range(30, 35)


def train_baseline(
    source: LabelledCrops,
    target: NDArray[Any],
    config: BaselineConfig,
    out: Path,
    *,
    labelled_target: LabelledCrops | None = None,
    on_progress: Callable[[TaskProgress], None] | None = None,
    on_checkpoint: Callable[[Path], None] | None = None,
) -> Path:
    """Train a task tower on the source, aligned with the target as `config.system` has it.

    Both domains take the tower's path 0. A folder that holds a checkpoint is continued from it: k
    steps, a stop and m steps give the same parameters, bit for bit, as k + m steps (on one
    machine, CPU, same number of threads).

    Args:
        source: crops with labels. Of the target, they make a target-only system.
        target: (M, C, H, W) crops in [-1, 1], unlabelled; the system "supervised" does not look
            at them.
        config: settings.
        out: folder for the checkpoint; made if absent.
        labelled_target: target crops with labels, whose task loss is added (section 4.5).
        on_progress: called after every step.
        on_checkpoint: called with the checkpoint after it was written.

    Returns:
        The checkpoint, which `load_baseline` takes.

    Raises:
        AdapterError: crops that do not fit together, a checkpoint of another run, a run that
            diverged, a folder that cannot be written, scikit-learn missing for CORAL.
    """
    _check(source, target, labelled_target, config)
    checkpoint = out / CHECKPOINT
    crops = _Crops(source, target, labelled_target)
    with torch_of(config), only_training(out):
        fingerprint = _fingerprint(crops, config)
        run = _Run(source, config)
        if checkpoint.exists():
            _restore(run, checkpoint, fingerprint)
        _fit(run, crops, checkpoint, fingerprint, on_progress, on_checkpoint)
    return checkpoint


def load_baseline(checkpoint: Path, device: str = "cpu") -> Predict:
    """The trained system: (N, C, H, W) crops to (N, classes) logits and (N, 4) unit quaternions.

    The quaternions are w, x, y, z, model to camera, or None for digits. Of CORAL, the logits are
    the SVM's margins. Weights are the moving average where the run kept one.

    Args:
        checkpoint: what `train_baseline` returned.
        device: where the crops will be.

    Raises:
        AdapterError: the checkpoint cannot be read, or is not a baseline's.
    """
    tensors, metadata = read_checkpoint(checkpoint)
    settings = json.loads(metadata["config"])
    if "system" not in settings:
        raise AdapterError(f"{checkpoint} is not a baseline's; give a folder of train_baseline")
    config = BaselineConfig(**settings)
    classes = len(json.loads(metadata["class_names"]))
    tower = _tower(int(metadata["channels"]), int(metadata["size"]), classes, config)
    tower.load_state_dict(part(tensors, "average") or part(tensors, "tower"))
    tower.eval().to(device)
    head = None
    if config.system == "coral":
        head = CoralHead(tower.feature_count, classes)
        head.load_state_dict(part(tensors, "coral"))
        head.to(device)

    def predict(x: Tensor) -> tuple[Tensor, Tensor | None]:
        with torch.no_grad():
            features = tower.features(x, 0)
            return tower.predict(features) if head is None else head.predict(tower, features)

    return predict


def _tower(channels: int, size: int, classes: int, config: BaselineConfig) -> TaskTower:
    return TaskTower(
        channels,
        size,
        classes,
        config.task,
        batch_norm=config.batch_norm,
        dropout=config.dropout,
    )


@dataclasses.dataclass(frozen=True)
class _Crops:
    """What a run is trained on."""

    source: LabelledCrops
    target: NDArray[Any]
    labelled_target: LabelledCrops | None


class _Run:
    """Everything that training changes: networks, optimiser, average, step."""

    def __init__(self, source: LabelledCrops, config: BaselineConfig) -> None:
        self.config = config
        self.step = 0
        channels, size = source.images.shape[1:3]
        self.crops = crops_metadata(source)
        torch.manual_seed(seed_of(config.seed, 0, _WEIGHTS))
        # The tower comes first, so that all systems start from the same one.
        self.tower = _tower(channels, size, len(source.class_names), config)
        _initialise(self.tower)
        self.tower.private[1].requires_grad_(False)  # both domains take path 0
        d = self.tower.feature_count
        self.networks: dict[str, nn.Module] = {"tower": self.tower}
        self.classifier, self.separation = None, None
        if "dann" in (config.system, config.similarity if config.system == "dsn" else None):
            self.networks["classifier"] = self.classifier = alignment.DomainClassifier(d)
            _initialise(self.classifier)
        if config.system == "dsn":
            self.separation = DomainSeparation(channels, size, d)
            self.networks["separation"] = self.separation
            _initialise(self.separation)
        for network in self.networks.values():
            network.to(config.device)
        self.average = copy.deepcopy(self.tower).requires_grad_(False) if config.ema else None
        self.optimizer = _optimizer(list(self.networks.values()), config)

    def stored(self) -> dict[str, nn.Module]:
        """All networks, by their names in a checkpoint."""
        return self.networks if self.average is None else {**self.networks, "average": self.average}

    def evaluated(self) -> TaskTower:
        return self.tower if self.average is None else self.average


def _initialise(network: nn.Module) -> None:
    """Xavier's weights, biases 0: the default of the library that DSN's code was written with."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _optimizer(networks: list[nn.Module], config: BaselineConfig) -> torch.optim.Optimizer:
    parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
    if config.optimizer == "momentum":
        # Not fused: it cannot take parameters that get their first gradient later than others.
        return torch.optim.SGD(
            parameters,
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            foreach=True,
        )
    return torch.optim.AdamW(
        parameters,
        lr=config.learning_rate,
        betas=(config.momentum, 0.999),
        weight_decay=config.weight_decay,
        fused=True,
    )


def _fit(
    run: _Run,
    crops: _Crops,
    checkpoint: Path,
    fingerprint: str,
    on_progress: Callable[[TaskProgress], None] | None,
    on_checkpoint: Callable[[Path], None] | None,
) -> None:
    """The loop: batch, step, average, checkpoint."""
    config = run.config
    batches = _Batches(crops, config)
    started, first = time.monotonic(), run.step
    saved = run.step if run.step > 0 else -1

    def save() -> None:
        _save(run, crops, checkpoint, fingerprint)
        if on_checkpoint is not None:
            on_checkpoint(checkpoint)

    while run.step < config.steps:
        minutes = (time.monotonic() - started) / 60.0
        if config.max_minutes and minutes >= config.max_minutes:
            break
        # All randomness of a step comes from (seed, step), as in PixelDA's training.
        torch.manual_seed(seed_of(config.seed, run.step, _STEP))
        report = _train_step(run, batches)
        run.step += 1
        check_finite(report, run.step, saved)
        if run.step % config.checkpoint_every == 0:
            save()
            saved = run.step
        if on_progress is not None:
            on_progress(_progress(run, report, first, time.monotonic() - started))
    if saved != run.step:
        save()


def _train_step(run: _Run, batches: _Batches) -> dict[str, float]:
    """One descent on the task loss and, from `alignment_from_step` on, the alignment's."""
    config, tower = run.config, run.tower
    source, labelled = batches.source.draw(run.step), batches.draw_labelled(run.step)
    aligning = config.aligns and run.step >= config.alignment_from_step
    for network in run.networks.values():
        network.train()
    # At test time the crops are the target's, and so shall the statistics be.
    _follow(tower, not aligning and labelled is None)
    codes, loss = _task(run, source)
    report = {"task": loss}
    _follow(tower, True)
    if labelled is not None:
        report["labelled target's task"] = _task(run, labelled)[1]
        loss = loss + report["labelled target's task"]
    if aligning:
        for name, weight, value in _alignment(run, source.x, codes, batches.target(run.step)):
            report[name] = value
            loss = loss + weight * value
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    for group in run.optimizer.param_groups:
        group["lr"] = _learning_rate(config, run.step)
    run.optimizer.step()
    _move_average(run)
    return {name: value.item() for name, value in report.items()}


def _task(run: _Run, batch: LabelledBatch) -> tuple[Tensor, Tensor]:
    """(N, d) codes of the crops, and their task loss."""
    config = run.config
    with autocast(config):
        codes = run.tower.codes(batch.x, 0)
        class_logits, predicted = run.tower.predict(run.tower.features_of(codes))
    loss = task_loss(
        class_logits,
        predicted,
        batch.class_index,
        batch.quaternion,
        class_weight=config.class_weight,
        pose_weight=config.pose_weight,
        sample_weight=batch.pose_weight,
        symmetries=batch.symmetries,
    )
    return codes.float(), loss


def _alignment(
    run: _Run, source: Tensor, source_codes: Tensor, target: Tensor
) -> list[tuple[str, float, Tensor]]:
    """Names, weights and values of the losses that align source and target crops.

    Args:
        source, target: (N, C, H, W).
        source_codes: (N, d), the source's.
    """
    config = run.config
    with autocast(config):
        target_codes = run.tower.codes(target, 0).float()
    kind = config.similarity if config.system == "dsn" else config.system
    ramp = _ramp(config, run.step)
    weight = config.alignment_weight
    if run.classifier is not None:
        value = alignment.adversarial_loss(run.classifier, source_codes, target_codes, ramp)
    elif kind == "mmd":
        value = _mmd(source_codes, target_codes, config)
        weight *= ramp
    else:
        value = alignment.coral_loss(source_codes, target_codes)
        weight *= ramp
    terms: list[tuple[str, float, Tensor]] = [(kind, weight, value)]
    if run.separation is not None:
        for domain, (x, codes) in enumerate([(source, source_codes), (target, target_codes)]):
            name = ("source", "target")[domain]
            with autocast(config):
                parts = run.separation(x, codes, domain)
            difference = alignment.difference_loss(parts.private.float(), codes)
            terms.append((f"{name} difference", config.difference_weight, difference))
            error = alignment.reconstruction_loss(x, parts.reconstructed.float())
            terms.append((f"{name} reconstruction", config.reconstruction_weight, error))
    return terms


def _mmd(source_codes: Tensor, target_codes: Tensor, config: BaselineConfig) -> Tensor:
    if config.bandwidths == "paper":
        return alignment.mmd(source_codes, target_codes, alignment.PAPER_BANDWIDTHS, floor=1e-4)
    bandwidths = alignment.median_bandwidths(source_codes, target_codes)
    return alignment.mmd(source_codes, target_codes, bandwidths)


def _ramp(config: BaselineConfig, step: int) -> float:
    """The factor of alignment, from 0 to 1 (Ganin et al. 2016, section 5.2.2)."""
    if config.ramp == "constant":
        return 1.0
    done = (step - config.alignment_from_step) / (config.steps - config.alignment_from_step)
    return 2.0 / (1.0 + math.exp(-10.0 * done)) - 1.0


def _learning_rate(config: BaselineConfig, step: int) -> float:
    if config.schedule == "staircase":
        return config.learning_rate * config.decay ** (step // config.decay_steps)
    if config.schedule == "linear":
        return config.learning_rate * min(1.0, 2.0 * (1.0 - step / config.steps))
    return config.learning_rate


def _follow(tower: TaskTower, follows: bool) -> None:
    """Whether running statistics follow the crops that come."""
    for module in tower.modules():
        if isinstance(module, BatchNorm):
            module.update_statistics = follows


def _move_average(run: _Run) -> None:
    if run.average is None:
        return
    keep = average_share(run.config.ema, run.step)
    # Statistics of batch normalisation too: the tower's latest do not suit average weights.
    mine, its = run.average.state_dict().values(), run.tower.state_dict().values()
    with torch.no_grad():
        torch._foreach_lerp_(list(mine), list(its), 1.0 - keep)


class _Batches:
    """Batches of each kind of crops, each a pure function of (seed, step)."""

    def __init__(self, crops: _Crops, config: BaselineConfig) -> None:
        n, seed, device = config.batch, config.seed, config.device
        self.source = labelled_batches(crops.source, n, seed, _ORDER_SOURCE, device)
        self.images = Images(crops.target, device) if config.aligns else None
        self.rows = Rows(len(crops.target), n, seed, _ORDER_TARGET)
        self.labelled_target = (
            None
            if crops.labelled_target is None
            else labelled_batches(crops.labelled_target, n, seed, _ORDER_LABELLED, device)
        )

    def target(self, step: int) -> Tensor:
        """(N, C, H, W)."""
        assert self.images is not None
        return self.images.at(self.rows.draw(step))

    def draw_labelled(self, step: int) -> LabelledBatch | None:
        return None if self.labelled_target is None else self.labelled_target.draw(step)


def _progress(run: _Run, report: dict[str, float], first: int, seconds: float) -> TaskProgress:
    rate, left = pace(run.config, run.step, first, seconds)
    return TaskProgress(run.step, run.config.steps, report, rate, left)


def _check(
    source: LabelledCrops,
    target: NDArray[Any],
    labelled_target: LabelledCrops | None,
    config: BaselineConfig,
) -> None:
    _, _, height, width = source.images.shape
    if height != width or height < 8 or height % 4:
        raise AdapterError(
            f"crops are {source.images.shape[1:]} (channels, height, width); the task tower takes "
            "square crops whose side is a multiple of 4, 8 at least"
        )
    if len(source) < 1:
        raise AdapterError("there are no source crops; at least 1 is needed")
    if config.system != "supervised":
        check_alike(source, target)
        if len(target) < 2:
            raise AdapterError(f"there are {len(target)} target crops; at least 2 are needed")
    if config.system == "coral":
        import_svm()
        check_every_class(source, config.coral_crops)
    if labelled_target is not None:
        check_labelled_target(source, labelled_target)


def _fingerprint(crops: _Crops, config: BaselineConfig) -> str:
    arrays: list[NDArray[Any] | None] = []
    for labelled in (crops.source, crops.labelled_target):
        if labelled is not None:
            arrays += [labelled.images, labelled.class_index]
            if config.task == "pose":
                arrays += [labelled.quaternion, labelled.pose_weight, labelled.symmetries]
    if config.system != "supervised":
        arrays.append(crops.target)
    return fingerprint_of(arrays)


def _save(run: _Run, crops: _Crops, checkpoint: Path, fingerprint: str) -> None:
    """Write the checkpoint at one stroke; CORAL's head is fitted anew to the tower as it is."""
    config = run.config
    networks = dict(run.stored())
    if config.system == "coral":
        networks["coral"] = fit_coral(
            run.evaluated(),
            crops.source,
            crops.target,
            crops=config.coral_crops,
            svm_c=config.svm_c,
            device=config.device,
        )
    metadata = describe(config, fingerprint, run.step) | run.crops
    write_checkpoint(checkpoint, networks, {"all": run.optimizer}, metadata)


def _restore(run: _Run, checkpoint: Path, fingerprint: str) -> None:
    tensors, metadata = read_checkpoint(checkpoint)
    free = set(FREE_SETTINGS)
    if run.config.schedule == "linear" or (run.config.aligns and run.config.ramp == "ganin"):
        free.discard("steps")  # the learning rate or the ramp depends on it
    check_same_run(checkpoint, metadata, run.config, fingerprint, free=free)
    run.step = restore(checkpoint, tensors, metadata, run.stored(), {"all": run.optimizer})
