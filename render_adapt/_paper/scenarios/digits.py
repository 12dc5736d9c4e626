"""MNIST, USPS and MNIST-M as 32x32 RGB crops, in the paper's splits."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from adapter import LabelledCrops
from checked_settings import MissingDependency, SettingError
from render_adapt._paper.scenarios.cache import cached_crops
from render_adapt._paper.scenarios.data_files import (
    read_data,
    read_rgb,
    sha256_of_code,
    sha256_of_files,
)
from render_adapt._paper.scenarios.scenario import Scenario
from render_adapt._paper.scenarios.subsets import take

SIZE = 32
DIGITS = tuple("0123456789")
VALIDATION = {"mnist": 10_000, "usps": 729, "mnist-m": 1000}
"""How many of the training images are held out."""
_IDENTITY = np.array([1, 0, 0, 0], np.float32)
_CROPS_PER_PART = 5000


@dataclass(frozen=True)
class Digits:
    """Images with their labels."""

    images: NDArray[np.uint8]
    """(N, H, W) grey or (N, H, W, 3) RGB."""
    labels: NDArray[np.int64]
    """(N,), 0 to 9."""

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice | NDArray[np.int64]) -> Digits:
        return Digits(self.images[part], self.labels[part])

    def as_crops(self) -> NDArray[np.float16]:
        """(N, 3, 32, 32) in [-1, 1], resized bilinearly; grey is repeated."""
        resized = [cv2.resize(i, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR) for i in self.images]
        images = np.stack(resized).astype(np.float32) / 127.5 - 1.0
        if images.ndim == 3:
            images = np.repeat(images[..., None], 3, axis=-1)
        return np.ascontiguousarray(np.moveaxis(images, -1, 1)).astype(np.float16)


def mnist_to_usps(data: Path, cache: Path) -> Scenario:
    """MNIST to USPS, as in the paper.

    Source: 50,000 of MNIST's training images; its last 10,000 are for validation. Target: 6,562 of
    USPS's training images, drawn at random; the other 729 are for validation; 2,007 for testing.

    Args:
        data: folder that holds `digits/`.
        cache: folder for crops that were made once (0.5 GB).

    Raises:
        SettingError: data that are not there, or h5py is not.
    """
    return _scenario("MNIST to USPS", "usps", data, cache)


def mnist_to_mnist_m(data: Path, cache: Path) -> Scenario:
    """MNIST to MNIST-M.

    Source as for `mnist_to_usps`. Target: 59,000 of MNIST-M's training images, drawn at random; the
    other 1,000 are for validation; 10,000 for testing. MNIST-M is made here of all of MNIST (see
    `make_mnist_m`), where the published one has 59,001 and 9,001 images. As in it, its digits are
    MNIST's own.

    Args:
        data: folder that holds `digits/` and `bsds500/`.
        cache: folder for crops that were made once (0.9 GB).

    Raises:
        SettingError: data that are not there, or not those that results are compared on.
    """
    return _scenario("MNIST to MNIST-M", "mnist-m", data, cache)


def _scenario(name: str, target: str, data: Path, cache: Path) -> Scenario:
    source, source_validation = _training_crops("mnist", data, cache)
    target_train, target_validation = _training_crops(target, data, cache)
    return Scenario(
        name=name,
        task="digits",
        source=source,
        source_validation=source_validation,
        target=target_train.images,
        target_train=target_train,
        target_validation=target_validation,
        target_test=_crops(target, "test", data, cache),
    )


def _training_crops(name: str, data: Path, cache: Path) -> tuple[LabelledCrops, LabelledCrops]:
    """Training and validation crops."""
    crops = _crops(name, "train", data, cache)
    rows = np.arange(len(crops))
    return take(crops, rows[: -VALIDATION[name]]), take(crops, rows[-VALIDATION[name] :])


def _crops(name: str, split: str, data: Path, cache: Path) -> LabelledCrops:
    """Digits as crops, all in one pose; their masks are the pixels that are not background.

    USPS's and MNIST-M's training images are in a random order, the same every time.
    """
    source = _SOURCES[name]
    files = [data / file for file in source.files[split]]
    if name == "mnist-m":
        files += _photographs(data)
    _check_there(files, data)
    recipe = {
        "name": name,
        "split": split,
        "files": sha256_of_files(files),
        "code": sha256_of_code(read_mnist, read_data),
    }
    count = source.count[split]

    def parts() -> Iterator[LabelledCrops]:
        digits = source.read(data, split)
        shapes = read_mnist(data, split) if name == "mnist-m" else digits
        order = np.arange(count)
        if split == "train" and name != "mnist":
            order = np.random.default_rng(0).permutation(count)
        for first in range(0, count, _CROPS_PER_PART):
            rows = order[first : first + _CROPS_PER_PART]
            yield LabelledCrops(
                images=digits[rows].as_crops(),
                masks=shapes[rows].as_crops()[:, 0] > -1.0,
                class_index=digits.labels[rows],
                quaternion=np.tile(_IDENTITY, (len(rows), 1)),
                class_names=DIGITS,
            )

    return cached_crops(cache, f"{name}-{split}", recipe, count, parts)


def read_mnist(data: Path, split: str) -> Digits:
    """MNIST's "train" (60,000) or "test" (10,000), 28x28, from the idx files.

    Raises:
        SettingError: the files are not there, or damaged.
    """
    images, labels = (data / file for file in _SOURCES["mnist"].files[split])
    _check_there([images, labels], data)
    most = _SOURCES["mnist"].count[split]
    pixels = _read_idx(images, header=16, most=most * 28 * 28)
    numbers = _read_idx(labels, header=8, most=most)
    if len(pixels) != len(numbers) * 28 * 28:
        raise SettingError(f"{images} and {labels} do not belong together; get MNIST anew")
    return Digits(pixels.reshape(-1, 28, 28), numbers.astype(np.int64))


def _read_idx(path: Path, *, header: int, most: int) -> NDArray[np.uint8]:
    """The bytes of a compressed idx file after its header, `most` at most."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(read_data(path))) as file:
            content = file.read(header + most + 1)
    except (OSError, EOFError, zlib.error):
        content = b""
    if not header <= len(content) <= header + most:
        raise SettingError(f"{path} is damaged, or no file of MNIST's; get MNIST anew")
    return np.frombuffer(content, np.uint8, offset=header)


def read_usps(data: Path, split: str) -> Digits:
    """USPS's "train" (7,291) or "test" (2,007), 16x16.

    Raises:
        MissingDependency: h5py is not installed.
        SettingError: the file is not there, or damaged.
    """
    try:
        import h5py  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise MissingDependency("USPS", "h5py", "'render-adapt[paper]'") from error
    path = data / "digits/usps/usps.h5"
    _check_there([path], data)
    try:
        with h5py.File(io.BytesIO(read_data(path))) as file:
            images, labels = file[split]["data"][:], file[split]["target"][:]
    except (OSError, KeyError) as error:
        raise SettingError(f"{path} is damaged, or not USPS's; get USPS anew") from error
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
        SettingError: digits or photographs are not there, or not the ones pinned here.
    """
    digits = read_mnist(data, split)
    photographs = [read_rgb(file) for file in _photographs(data)]
    random = np.random.default_rng([42, {"train": 0, "test": 1}[split]])
    images = np.empty((len(digits), 28, 28, 3), np.uint8)
    for image, digit in zip(images, digits.images, strict=True):
        photograph = photographs[int(random.integers(len(photographs)))]
        top = random.integers(photograph.shape[0] - 28 + 1)
        left = random.integers(photograph.shape[1] - 28 + 1)
        patch = photograph[top : top + 28, left : left + 28]
        image[:] = np.where(digit[..., None] > 0, 255 - patch, patch)
    made, expected = hashlib.sha256(images.tobytes()).hexdigest(), MNIST_M_SHA256[split]
    if made != expected:
        raise SettingError(
            f"MNIST-M made from {data} has other pixels than the one that results are compared on "
            f"(SHA-256 {made[:12]}..., not {expected[:12]}...); restore MNIST's idx files and the "
            "200 training photographs of BSDS500"
        )
    return Digits(images, digits.labels)


MNIST_M_SHA256 = {
    "train": "18a66b39e9deb39e927e49e5b5b4c72900d3541e3ac9659d68c0a9e70ffe6eeb",
    "test": "f7acbf01b2399e64df7744cba881665926334eb986c762cc1169a33fae259f19",
}


@dataclass(frozen=True)
class _Source:
    read: Callable[[Path, str], Digits]
    count: Mapping[str, int]
    files: Mapping[str, tuple[str, ...]]  # below the data folder


_MNIST_FILES = {
    split: (
        f"digits/mnist/{prefix}-images-idx3-ubyte.gz",
        f"digits/mnist/{prefix}-labels-idx1-ubyte.gz",
    )
    for split, prefix in (("train", "train"), ("test", "t10k"))
}
_USPS_FILES = dict.fromkeys(("train", "test"), ("digits/usps/usps.h5",))

_SOURCES = {
    "mnist": _Source(read_mnist, {"train": 60_000, "test": 10_000}, _MNIST_FILES),
    "mnist-m": _Source(make_mnist_m, {"train": 60_000, "test": 10_000}, _MNIST_FILES),
    "usps": _Source(read_usps, {"train": 7291, "test": 2007}, _USPS_FILES),
}


def _photographs(data: Path) -> list[Path]:
    files = sorted((data / "bsds500/train").glob("*.jpg"))
    if not files:
        raise SettingError(
            f"{data} holds no bsds500/train/*.jpg to make MNIST-M with; put BSDS500's training "
            "photographs there or give another data folder"
        )
    return files


def _check_there(files: list[Path], data: Path) -> None:
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise SettingError(
            f"{missing[0]} is not there: give `data` the folder that holds digits/ and bsds500/ "
            "(docs/paper.md says what is in them)"
        )
