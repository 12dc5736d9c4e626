"""CORAL as its authors used it: trained features, a closed form, a linear SVM."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapter._batches import image_tensor
from adapter._errors import AdapterError
from adapter._networks.pixelda import TaskTower
from adapter._settings.pixelda import LabelledCrops
from adapter.losses import coral_matrix
from checked_settings import MissingDependency


class CoralHead(nn.Module):
    """What CORAL puts in the place of the tower's heads.

    The class comes from an SVM that was trained on source features recoloured to the target's. The
    pose head stays the tower's, which knows source features: target features are recoloured to
    the source's for it, by the same matrix read backwards. (CORAL's authors had no pose.)

    Args:
        feature_count: d, of the tower's last hidden layer.
        classes: number of object classes.
    """

    def __init__(self, feature_count: int, classes: int) -> None:
        super().__init__()
        self.svm = nn.Linear(feature_count, classes)
        self.to_source = nn.Linear(feature_count, feature_count)
        self.requires_grad_(False)

    def predict(self, tower: TaskTower, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Target features (N, d) to (N, classes) SVM margins and (N, 4) unit quaternions."""
        _, quaternion = tower.predict(self.to_source(features))
        return self.svm(features), quaternion


def fit_coral(
    tower: TaskTower,
    source: LabelledCrops,
    target: NDArray[Any],
    *,
    crops: int,
    svm_c: float,
    device: str,
) -> CoralHead:
    """Fit CORAL's closed form and SVM to a tower trained on the source.

    Args:
        tower: trained; used in evaluation mode, path 0.
        source: at least one crop of each class.
        target: (M, C, H, W).
        crops: of each domain, at most, evenly spread over its order.
        svm_c: the SVM's C.
        device: where the tower is.
    """
    svc = import_svm()
    rows = _spread(len(source), crops)
    source_features = _features(tower, source.images, rows, device)
    target_features = _features(tower, target, _spread(len(target), crops), device)
    source_mean, target_mean = source_features.mean(dim=0), target_features.mean(dim=0)
    matrix = coral_matrix(source_features, target_features)
    recoloured = (source_features - source_mean) @ matrix + target_mean
    machine = svc(C=svm_c, dual=False, random_state=0, max_iter=10_000)
    machine.fit(recoloured.numpy(), source.class_index[rows])
    weight, bias = machine.coef_, machine.intercept_
    if len(weight) == 1:  # of two classes, the margin of the second alone
        weight, bias = np.vstack([-weight, weight]), np.concatenate([-bias, bias])
    head = CoralHead(matrix.shape[0], len(source.class_names))
    back = coral_matrix(target_features, source_features)
    head.svm.weight.copy_(torch.from_numpy(weight))
    head.svm.bias.copy_(torch.from_numpy(bias))
    head.to_source.weight.copy_(back.T)
    head.to_source.bias.copy_(source_mean - target_mean @ back)
    return head


def import_svm() -> Any:
    """scikit-learn's linear SVM.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        from sklearn.svm import LinearSVC  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise MissingDependency("CORAL's SVM", "scikit-learn", "'render-adapt[paper]'") from error
    return LinearSVC


def check_every_class(source: LabelledCrops, crops: int) -> None:
    """Refuse source crops of which some class has none among those that the SVM is fitted to.

    Raises:
        AdapterError: it names the classes.
    """
    classes = set(source.class_index[_spread(len(source), crops)].tolist())
    missing = [name for index, name in enumerate(source.class_names) if index not in classes]
    if missing or len(classes) < 2:
        raise AdapterError(
            "CORAL's SVM needs source crops of every class, and two classes at least; there are "
            f"none of: {', '.join(missing) or 'a second class'}; add some or raise `coral_crops`"
        )


def _spread(n: int, most: int) -> NDArray[np.int64]:
    """At most `most` of n positions, evenly spread."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)


def _features(
    tower: TaskTower, images: NDArray[Any], rows: NDArray[np.int64], device: str
) -> Tensor:
    """(len(rows), d) float64 on the processor."""
    training = tower.training
    tower.eval()
    with torch.no_grad():
        parts = [
            tower.features(image_tensor(images[part], device), 0).double().cpu()
            for part in np.array_split(rows, max(1, len(rows) // 256))
        ]
    tower.train(training)
    return torch.cat(parts)
