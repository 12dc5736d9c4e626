"""Training of the systems that PixelDA is compared with, on the same task tower and data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapter._batches import LabelledBatch, seed_of
from adapter._errors import AdapterError
from adapter._networks.pixelda import TaskTower
from adapter._settings.baselines import BaselineConfig
from adapter._settings.pixelda import LabelledCrops
from adapter._settings.progress import TaskProgress
from adapter._training.aligning import Alignment, initialise_xavier
from adapter._training.arithmetic import autocast
from adapter._training.averages import MovingAverage
from adapter._training.checkpoint import CHECKPOINT, part, read_checkpoint
from adapter._training.coral import CoralHead, check_every_class, fit_coral, import_svm
from adapter._training.crops import Batches, Crops, check_alike, check_labelled_target
from adapter._training.descent import descend
from adapter._training.engine import Snapshot, Training, run_training
from adapter._training.freezing import follow_statistics
from adapter._training.schedule import rate_factor
from adapter._training.weighted import weighted_task_loss

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
        on_progress: called after every step; on a GPU after every tenth.
        on_checkpoint: called with the checkpoint after it was written.

    Returns:
        The checkpoint, which `load_baseline` takes.

    Raises:
        AdapterError: crops that do not fit together, a checkpoint of another run, a run that
            diverged, a folder that cannot be written, scikit-learn missing for CORAL.
    """
    crops = Crops(source, target, labelled_target)
    _check(crops, config)
    run_training(
        partial(Baseline, crops),
        config,
        out,
        on_progress=on_progress,
        on_checkpoint=on_checkpoint,
    )
    return out / CHECKPOINT


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


class Baseline(Training):
    """A task tower, what aligns it, and how a step trains them.

    Args:
        crops: what they are trained on.
        config: settings.
    """

    config: BaselineConfig

    def __init__(self, crops: Crops, config: BaselineConfig) -> None:
        super().__init__(config)
        self.crops = crops
        channels, size = crops.source.images.shape[1:3]
        torch.manual_seed(seed_of(config.seed, 0, _WEIGHTS))
        # The tower comes first, so that all systems start from the same one.
        self.tower = _tower(channels, size, len(crops.source.class_names), config)
        initialise_xavier(self.tower)
        self.tower.private[1].requires_grad_(False)  # both domains take path 0
        self.alignment = Alignment(channels, size, self.tower.feature_count, config)
        self.networks = {"tower": self.tower, **self.alignment.networks}
        for network in self.networks.values():
            network.to(config.device)
        if config.ema > 0:
            # Statistics of batch normalisation too: the tower's latest do not suit average weights.
            self.averages["average"] = MovingAverage(self.tower, config.ema, statistics=True)
        self.optimizer = _optimizer(self.networks.values(), config)
        self.optimizers["all"] = self.optimizer
        # The learning rate or the ramp may depend on them.
        ramped = config.aligns and config.ramp == "ganin"
        self.depends_on_steps = config.schedule == "linear" or ramped
        self.batches = Batches(
            crops,
            config,
            source=_ORDER_SOURCE,
            target=_ORDER_TARGET,
            labelled_target=_ORDER_LABELLED,
            with_target=config.aligns,
        )

    def data(self) -> Iterable[NDArray[Any] | None]:
        for labelled in (self.crops.source, self.crops.labelled_target):
            if labelled is not None:
                yield from (labelled.images, labelled.class_index)
                if self.config.task == "pose":
                    yield from (labelled.quaternion, labelled.pose_weight, labelled.symmetries)
        if self.config.system != "supervised":
            yield self.crops.target

    def seed(self, step: int) -> int:
        return seed_of(self.config.seed, step, _STEP)

    def learning_rates(self, step: int) -> Mapping[str, float]:
        return {
            "all": self.config.learning_rate * rate_factor(self.config, step, self.config.steps)
        }

    def step(self, step: int) -> dict[str, Tensor]:
        """One descent on the task loss and, from `alignment_from_step` on, the alignment's."""
        config, tower = self.config, self.tower
        source, labelled = self.batches.source(step), self.batches.labelled_target(step)
        aligning = config.aligns and step >= config.alignment_from_step
        for network in self.networks.values():
            network.train()
        # At test time the crops are the target's, and so shall the statistics be.
        follow_statistics(tower, not aligning and labelled is None)
        codes, loss = self._task(source)
        report = {"task": loss}
        follow_statistics(tower, True)
        if labelled is not None:
            report["labelled target's task"] = self._task(labelled)[1]
            loss = loss + report["labelled target's task"]
        if aligning:
            target = self.batches.target(step)
            with autocast(config):
                target_codes = tower.codes(target, 0).float()
            for name, weight, value in self.alignment.losses(
                step, source.x, codes, target, target_codes
            ):
                report[name] = value
                loss = loss + weight * value
        descend(self.optimizer, loss)
        return report

    def _task(self, batch: LabelledBatch) -> tuple[Tensor, Tensor]:
        """(N, d) codes of the crops, and their task loss."""
        config, tower = self.config, self.tower
        with autocast(config):
            codes = tower.codes(batch.x, 0)
            outputs = tower.predict(tower.features_of(codes))
        return codes.float(), weighted_task_loss(outputs, batch, config)

    def snapshot(self, step: int) -> Snapshot:
        """CORAL's head is fitted anew to the tower as it is."""
        config = self.config
        if config.system != "coral":
            return Snapshot(metadata=self.crops.describe())
        average = self.averages.get("average")
        head = fit_coral(
            self.tower if average is None else average.network,
            self.crops.source,
            self.crops.target,
            crops=config.coral_crops,
            svm_c=config.svm_c,
            device=config.device,
        )
        return Snapshot({"coral": head}, self.crops.describe())


def _optimizer(networks: Iterable[nn.Module], config: BaselineConfig) -> torch.optim.Optimizer:
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


def _check(crops: Crops, config: BaselineConfig) -> None:
    source, target = crops.source, crops.target
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
    if crops.labelled_target is not None:
        check_labelled_target(source, crops.labelled_target)
