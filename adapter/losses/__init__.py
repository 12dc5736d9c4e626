"""What trainings minimise: pure functions of torch's tensors.

For a training of one's own (`adapter.Training`), and to know what ours compute.
"""

from adapter.losses._alignment import (
    MEDIAN_MULTIPLES,
    PAPER_BANDWIDTHS,
    DomainClassifier,
    adversarial_loss,
    coral_loss,
    coral_matrix,
    coral_recolour,
    covariance,
    difference_loss,
    median_bandwidths,
    mmd,
    reconstruction_loss,
    reverse_gradient,
)
from adapter.losses._cogan import feature_distance
from adapter.losses._gradient_penalty import gradient_penalty
from adapter.losses._pixelda import (
    GanLoss,
    angle_degrees,
    discriminator_loss,
    diversity_loss,
    generator_loss,
    masked_depth_error,
    masked_pmse,
    pose_loss,
    quaternion_product,
    task_loss,
)

__all__ = [
    "MEDIAN_MULTIPLES",
    "PAPER_BANDWIDTHS",
    "DomainClassifier",
    "GanLoss",
    "adversarial_loss",
    "angle_degrees",
    "coral_loss",
    "coral_matrix",
    "coral_recolour",
    "covariance",
    "difference_loss",
    "discriminator_loss",
    "diversity_loss",
    "feature_distance",
    "generator_loss",
    "gradient_penalty",
    "masked_depth_error",
    "masked_pmse",
    "median_bandwidths",
    "mmd",
    "pose_loss",
    "quaternion_product",
    "reconstruction_loss",
    "reverse_gradient",
    "task_loss",
]
