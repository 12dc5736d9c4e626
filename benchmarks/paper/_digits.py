"""MNIST, USPS and MNIST-M as 32x32 RGB crops, in the paper's splits."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = 32
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Digits:
    """Images with their labels."""

    images: NDArray[np.uint8]
    """(N, H, W) grey or (N, H, W, 3) RGB."""
    labels: NDArray[np.int64]
    """(N,), 0 to 9."""

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice) -> Digits:
        return Digits(self.images[part], self.labels[part])

    def as_crops(self) -> NDArray[np.float16]:
        """(N, 3, 32, 32) in [-1, 1], resized bilinearly; grey is repeated."""
        resized = [cv2.resize(i, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR) for i in self.images]
        images = np.stack(resized).astype(np.float32) / 127.5 - 1.0
        if images.ndim == 3:
            images = np.repeat(images[..., None], 3, axis=-1)
        return np.ascontiguousarray(np.moveaxis(images, -1, 1)).astype(np.float16)


def read_mnist(data: Path, split: str) -> Digits:
    """MNIST's "train" (60,000) or "test" (10,000), 28x28, from the idx files."""
    prefix = data / "digits/mnist" / {"train": "train", "test": "t10k"}[split]
    with gzip.open(f"{prefix}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(f"{prefix}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return Digits(images, labels.astype(np.int64))


def read_usps(data: Path, split: str) -> Digits:
    """USPS's "train" (7,291) or "test" (2,007), 16x16."""
    import h5py

    with h5py.File(data / "digits/usps/usps.h5") as file:
        images, labels = file[split]["data"][:], file[split]["target"][:]
    return Digits(
        np.rint(images.reshape(-1, 16, 16) * 255.0).astype(np.uint8), labels.astype(np.int64)
    )


def make_mnist_m(data: Path, split: str) -> Digits:
    """MNIST-M as Ganin et al. made it: digits over the colours of photographs, inverted.

    Each digit gets a random 28x28 patch of a random BSDS500 training photograph; where the digit
    is not 0, the patch's colours are inverted: |patch - 255 * (digit > 0)|. Digits are in MNIST's
    order, the draws from a generator seeded per split, so that the pixels are always the same;
    the hash is checked.

    Returns:
        (N, 28, 28, 3) RGB.

    Raises:
        ValueError: other photographs or digits than the ones pinned here.
    """
    digits = read_mnist(data, split)
    files = sorted((data / "bsds500/train").glob("*.jpg"))
    photographs = [cv2.imread(str(file))[..., ::-1] for file in files]
    random = np.random.default_rng([42, {"train": 0, "test": 1}[split]])
    images = np.empty((len(digits), 28, 28, 3), np.uint8)
    for image, digit in zip(images, digits.images, strict=True):
        photograph = photographs[random.integers(len(photographs))]
        top = random.integers(photograph.shape[0] - 28 + 1)
        left = random.integers(photograph.shape[1] - 28 + 1)
        patch = photograph[top : top + 28, left : left + 28]
        image[:] = np.where(digit[..., None] > 0, 255 - patch, patch)
    found = hashlib.sha256(images.tobytes()).hexdigest()
    if found != MNIST_M_SHA256[split]:
        raise ValueError(f"{split} {found}")
    return Digits(images, digits.labels)


MNIST_M_SHA256 = {
    "train": "18a66b39e9deb39e927e49e5b5b4c72900d3541e3ac9659d68c0a9e70ffe6eeb",
    "test": "f7acbf01b2399e64df7744cba881665926334eb986c762cc1169a33fae259f19",
}
