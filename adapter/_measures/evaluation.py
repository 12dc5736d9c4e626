"""How good a task network is on labelled crops, and which checkpoint to keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adapter._batches import image_tensor, labelled_batch
from adapter._errors import AdapterError
from adapter._settings.pixelda import LabelledCrops
from adapter.losses import angle_degrees, quaternion_product

Predict = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""A task network at work, in evaluation mode: crops (N, C, H, W) float32 in [-1, 1] to logits
(N, classes) and unit quaternions (N, 4) w, x, y, z, model to camera (None without a pose head)."""

TURN_DEGREES = 10.0
"""In-plane turn by which the poses of a crop and of its turned copy are compared."""

_CHANGE = 40  # Random stream, beside the seed.


@dataclass(frozen=True)
class Evaluation:
    """How a task network does on labelled crops."""

    accuracy_percent: float
    """Share of crops whose class has the greatest logit."""
    mean_angle_degrees: float | None
    """Mean of 2 acos |<q, q'>| over all crops, rightly classified or not, as the paper has it;
    crops whose pose weight is 0 are left out. None without poses."""
    median_angle_degrees: float | None
    """Median of the same angles."""
    confusion: NDArray[np.int64]
    """(classes, classes): how many crops of each class (row) were taken for each (column)."""
    count: int
    """Number of crops."""


def evaluate(
    predict: Predict, crops: LabelledCrops, batch: int = 500, device: str = "cpu"
) -> Evaluation:
    """Accuracy and angle errors of a task network.

    Convention:
        Of a symmetric object's equally right poses (`crops.symmetries`) the nearest counts.

    Args:
        predict: the task network.
        crops: crops with labels.
        batch: crops that go through the network at once.
        device: where `predict` takes its crops.

    Raises:
        AdapterError: no crops, or a network for another number of classes.
    """
    if len(crops) == 0:
        raise AdapterError("there are no crops to evaluate on; give at least one")
    classes = len(crops.class_names)
    confusion = np.zeros((classes, classes), np.int64)
    angles: list[Tensor] = []
    for start in range(0, len(crops), batch):
        part = labelled_batch(crops, np.arange(start, min(start + batch, len(crops))), device)
        with torch.no_grad():
            logits, predicted = predict(part.x)
        _check_classes(logits, classes)
        pairs = torch.stack([part.class_index, logits.argmax(dim=1)]).cpu().numpy()
        np.add.at(confusion, (pairs[0], pairs[1]), 1)
        if predicted is not None:
            error = angle_degrees(predicted, part.quaternion, part.symmetries)
            angles.append(error[part.pose_weight > 0].cpu())
    all_angles = torch.cat(angles).numpy() if angles else np.empty(0)
    return Evaluation(
        accuracy_percent=100.0 * float(np.trace(confusion)) / len(crops),
        mean_angle_degrees=float(all_angles.mean()) if all_angles.size else None,
        median_angle_degrees=float(np.median(all_angles)) if all_angles.size else None,
        confusion=confusion,
        count=len(crops),
    )


@dataclass(frozen=True)
class LabelFreeScore:
    """What can be said of a task network on the target without a label of the target."""

    source_accuracy: float
    """Share of source validation crops classified rightly, 0 to 1."""
    target_information: float
    """Mutual information of target crops and predicted class, H(mean p) - mean H(p), in nats:
    0 where all crops get the same answer, ln(classes) where answers are certain and balanced."""
    agreement: float
    """Share of target crops that keep their predicted class when shifted by a pixel or two and
    changed by up to 20 % in contrast and 5 % of the range in brightness, 0 to 1."""
    source_angle_degrees: float | None
    """Mean angle error on the source validation crops; None without poses."""
    turn_error_degrees: float | None
    """Mean angle between the pose predicted for a target crop turned by `TURN_DEGREES` and the
    pose predicted for the crop, turned as much; None without poses. A network that says the same
    pose always has `TURN_DEGREES`."""
    score: float
    """The one number to maximise, 0 to 1: source_accuracy * target_information / ln(classes) *
    agreement and, with poses, * (1 - source_angle_degrees / 180) / (1 + turn_error_degrees /
    `TURN_DEGREES`). A product, because a network that fails in one of them is of no use, however
    well it does in the others: one that gives every crop the same class agrees with itself."""


def label_free_score(
    predict: Predict,
    source_validation: LabelledCrops,
    target_images: NDArray[Any],
    *,
    predict_source: Predict | None = None,
    seed: int = 0,
    batch: int = 500,
    device: str = "cpu",
) -> LabelFreeScore:
    """Score a task network for model selection without labels of the target.

    A network whose answers are certain, balanced, stable and wrong scores as well as one whose
    answers are right, save for its source accuracy: the score compares checkpoints and settings of
    one system, it does not estimate accuracy.

    Convention:
        A turn is about the camera's z axis, positive from x (right) to y (down): clockwise on the
        screen, q_z q. The crop's own viewing ray is taken for that axis; an object 15 degrees off
        the camera's axis adds up to 2.6 degrees of turn error to every network alike.

    Args:
        predict: the task network on target crops.
        source_validation: labelled source crops that were held out of training; its classes and
            symmetries are the target's too.
        target_images: (M, C, H, W) in [-1, 1], unlabelled.
        predict_source: the task network on source crops where that is another path through it.
        seed: of the changes to the crops. Scores to be compared need the same.
        batch: crops that go through the network at once.
        device: where `predict` takes its crops.

    Raises:
        AdapterError: no crops, or a network for another number of classes.
    """
    if len(target_images) == 0:
        raise AdapterError("there are no target crops to score on; give at least one")
    source = evaluate(predict_source or predict, source_validation, batch, device)
    classes = len(source_validation.class_names)
    probability = torch.zeros(classes, dtype=torch.float64)
    entropy, same = 0.0, 0
    turn_errors: list[Tensor] = []
    changes = _Changes.draw(len(target_images), target_images.shape[-1], seed)
    for start in range(0, len(target_images), batch):
        rows = slice(start, start + batch)
        x = image_tensor(target_images[rows], device)
        with torch.no_grad():
            logits, poses = predict(x)
            _check_classes(logits, classes)
            changed, _ = predict(changes.applied(x, rows))
        p = logits.double().softmax(dim=1).cpu()
        probability += p.sum(dim=0)
        entropy += float(torch.special.entr(p).sum())
        predicted_class = logits.argmax(dim=1)
        same += int((predicted_class == changed.argmax(dim=1)).sum())
        if poses is not None:
            turn, crops = changes.turn_degrees[rows], source_validation
            turn_errors.append(_turn_errors(predict, x, turn, poses, predicted_class, crops))
    count = len(target_images)
    information = float(torch.special.entr(probability / count).sum()) - entropy / count
    information = max(information, 0.0)  # rounding
    agreement = same / count
    accuracy = source.accuracy_percent / 100.0
    score = accuracy * agreement * (information / math.log(classes) if classes > 1 else 1.0)
    errors = torch.cat(turn_errors) if turn_errors else torch.empty(0)
    turn_error = float(errors.mean()) if errors.numel() else None
    if source.mean_angle_degrees is not None:
        score *= 1.0 - source.mean_angle_degrees / 180.0
    if turn_error is not None:
        score /= 1.0 + turn_error / TURN_DEGREES
    return LabelFreeScore(
        source_accuracy=accuracy,
        target_information=information,
        agreement=agreement,
        source_angle_degrees=source.mean_angle_degrees,
        turn_error_degrees=turn_error,
        score=score,
    )


def choose(history: Sequence[Mapping[str, Any]], key: str) -> Mapping[str, Any]:
    """The checkpoint that `key` chooses from a run's history; of equals the latest.

    Convention:
        Keys that end in "_degrees" are errors, of which the least is chosen; of all others the
        greatest. So "step" chooses the last checkpoint, "accuracy_percent" or
        "mean_angle_degrees" on labelled target crops what an oracle would, and "score" what
        `label_free_score` does.

    Args:
        history: for each checkpoint its "step" and what was measured on it. Entries where `key`
            is None or not a number (NaN) are passed over.

    Raises:
        AdapterError: no entry has the key.
    """
    having = [e for e in history if e.get(key) is not None and not math.isnan(e[key])]
    if not having:
        raise AdapterError(
            f"no checkpoint of the history has a value for {key!r}; evaluate at least one"
        )
    sign = -1.0 if key.endswith("_degrees") else 1.0
    return max(having, key=lambda entry: (sign * entry[key], entry["step"]))


def _check_classes(logits: Tensor, classes: int) -> None:
    if logits.shape[1] != classes:
        raise AdapterError(
            f"the task network tells {logits.shape[1]} classes apart and the crops have {classes}; "
            "evaluate it on the classes it was trained on"
        )


@dataclass(frozen=True)
class _Changes:
    """What is done to each target crop: a pure function of the seed and of how many there are."""

    shift: NDArray[np.float64]  # (N, 2), pixels right and down.
    contrast: NDArray[np.float64]  # (N, 1, 1, 1), factor.
    brightness: NDArray[np.float64]  # (N, 1, 1, 1), added.
    turn_degrees: NDArray[np.float64]  # (N,)

    @classmethod
    def draw(cls, n: int, size: int, seed: int) -> _Changes:
        random = np.random.default_rng([seed, 0, _CHANGE])
        reach = float(max(1, size // 32))
        return cls(
            shift=random.choice([-reach, reach], (n, 2)),
            contrast=random.uniform(0.8, 1.2, (n, 1, 1, 1)),
            brightness=random.uniform(-0.1, 0.1, (n, 1, 1, 1)),
            turn_degrees=random.choice([-TURN_DEGREES, TURN_DEGREES], n),
        )

    def applied(self, x: Tensor, rows: slice) -> Tensor:
        """The crops at `rows`, shifted; their colours changed, their depth not."""
        device = str(x.device)
        x = moved(x, np.zeros(len(x)), self.shift[rows])
        color, depth = x[:, :3], x[:, 3:]
        mean = color.mean(dim=(1, 2, 3), keepdim=True)
        color = (color - mean) * image_tensor(self.contrast[rows], device) + mean
        color = (color + image_tensor(self.brightness[rows], device)).clamp(-1.0, 1.0)
        return torch.cat([color, depth], dim=1)


def _turn_errors(
    predict: Predict,
    x: Tensor,
    turn_degrees: NDArray[np.float64],
    poses: Tensor,
    predicted_class: Tensor,
    crops: LabelledCrops,
) -> Tensor:
    """Degrees between the poses of turned crops and the turned poses of the crops.

    Args:
        predict: the task network.
        x: (N, C, H, W).
        turn_degrees: (N,).
        poses: (N, 4), predicted for x.
        predicted_class: (N,), whose symmetries count.
        crops: where the classes and their symmetries are from.
    """
    with torch.no_grad():
        _, turned_poses = predict(moved(x, turn_degrees, np.zeros((len(x), 2))))
    if turned_poses is None:
        raise AdapterError("the task network gave poses for some crops only; give them for all")
    half = np.radians(turn_degrees) / 2.0
    about_z = np.stack([np.cos(half), 0 * half, 0 * half, np.sin(half)], axis=1)
    expected = quaternion_product(torch.from_numpy(about_z), poses.double().cpu())
    classes = predicted_class.cpu().numpy()
    symmetries = None if crops.symmetries is None else torch.from_numpy(crops.symmetries[classes])
    errors = angle_degrees(turned_poses.cpu(), expected, symmetries)
    return errors[torch.from_numpy(_has_pose(crops)[classes])]


def _has_pose(crops: LabelledCrops) -> NDArray[np.bool_]:
    """(classes,) whether any crop of the class has a pose that counts."""
    if crops.pose_weight is None:
        return np.ones(len(crops.class_names), bool)
    has_pose = np.zeros(len(crops.class_names), bool)
    has_pose[crops.class_index[crops.pose_weight > 0]] = True
    return has_pose


def moved(x: Tensor, turn_degrees: NDArray[np.float64], shift: NDArray[np.float64]) -> Tensor:
    """Crops turned about their centre and then shifted; what comes in at the edges is mirrored.

    Convention:
        A positive turn goes from x (right) to y (down), clockwise on the screen; a positive shift
        (right, down) moves what is seen to the right and down.

    Args:
        x: (N, C, H, W), square.
        turn_degrees: (N,).
        shift: (N, 2), right and down, in pixels.
    """
    size = x.shape[-1]
    angle = np.radians(turn_degrees)
    # Where each pixel comes from: the turn undone, after the shift undone. A side is 2 long.
    back = np.empty((len(x), 2, 3))
    back[:, 0, :2] = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    back[:, 1, :2] = np.stack([-np.sin(angle), np.cos(angle)], axis=1)
    back[:, :, 2] = -np.einsum("nij,nj->ni", back[:, :, :2], shift * 2.0 / size)
    grid = F.affine_grid(image_tensor(back, str(x.device)), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, "bilinear", "reflection", align_corners=False)
