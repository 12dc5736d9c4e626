"""PixelDA's losses as settings weigh them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor

from adapter import losses
from adapter._batches import LabelledBatch
from adapter._settings.pixelda import TrainConfig


class TaskWeights(Protocol):
    """Settings that weigh a task loss."""

    @property
    def class_weight(self) -> float: ...
    @property
    def pose_weight(self) -> float: ...


def weighted_task_loss(
    outputs: tuple[Tensor, Tensor | None], labels: LabelledBatch, config: TaskWeights
) -> Tensor:
    """The task loss of a batch (Eq. 3).

    Args:
        outputs: (N, classes) logits, and (N, 4) unit quaternions where poses are learnt.
        labels: what is true of the N crops.
        config: the weights of class and pose.
    """
    class_logits, quaternion = outputs
    return losses.task_loss(
        class_logits,
        quaternion,
        labels.class_index,
        labels.quaternion,
        class_weight=config.class_weight,
        pose_weight=config.pose_weight,
        sample_weight=labels.pose_weight,
        symmetries=labels.symmetries,
    )


def content_losses(
    source: LabelledBatch, adapted: Tensor, z: Tensor, config: TrainConfig
) -> Iterator[tuple[str, float, Tensor]]:
    """Names, weights and values of what ties adapted crops to their source and their noise.

    Args:
        source: (N, C, H, W), with masks; with the diversity loss, each crop is in it twice.
        adapted: (N, C, H, W), the source as the generator adapts it.
        z: (N, Z), the noise that went in.
        config: which losses there are, and their weights.
    """
    if config.similarity_weight > 0:
        similarity = losses.masked_pmse(
            source.x,
            adapted,
            source.mask,
            normaliser=config.similarity_normaliser,
            per_channel=config.similarity_per_channel,
            reduction=config.similarity_reduction,
        )
        yield "similarity", config.similarity_weight, similarity
    if config.depth_weight > 0 and adapted.shape[1] == 4:
        depth = losses.masked_depth_error(source.x, adapted, source.mask)
        yield "depth", config.depth_weight, depth
    if config.diversity_weight > 0:
        diversity = losses.diversity_loss(*adapted.chunk(2), *z.chunk(2))
        yield "diversity", config.diversity_weight, diversity
