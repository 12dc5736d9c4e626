"""The digit scenarios: MNIST-M as it is defined, the paper's splits."""

from __future__ import annotations

import builtins
import gzip
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from adapter import LabelledCrops
from checked_settings import MissingDependency, SettingError
from render_adapt._paper.scenarios.digits import (
    DIGITS,
    Digits,
    make_mnist_m,
    mnist_to_mnist_m,
    mnist_to_usps,
    read_mnist,
    read_usps,
)
from render_adapt._paper.scenarios.scenario import Scenario


@pytest.fixture(scope="module")
def mnist_m(data_dir: Path) -> Digits:
    return make_mnist_m(data_dir, "test")


@pytest.fixture(scope="module")
def usps(data_dir: Path) -> Iterator[Scenario]:
    cache = Path(tempfile.mkdtemp())
    yield mnist_to_usps(data_dir, cache)
    shutil.rmtree(cache)


def test_mnist_m_is_made_of_mnists_digits_in_order(mnist_m: Digits, data_dir: Path) -> None:
    np.testing.assert_array_equal(mnist_m.labels, read_mnist(data_dir, "test").labels)
    assert mnist_m.images.shape == (10_000, 28, 28, 3)


def colors(image: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Each pixel's colour as one number."""
    return image.astype(np.int32) @ np.array([1, 256, 65536], np.int32)


def places(patch: NDArray[np.int32], photograph: NDArray[np.int32]) -> int:
    """How often the patch occurs in the photograph, pixel for pixel."""
    starts = np.argwhere(photograph[:-27, :-27] == patch[0, 0])
    return sum((photograph[i : i + 28, j : j + 28] == patch).all() for i, j in starts)


def test_mnist_m_is_photographs_inverted_where_the_digit_is(
    mnist_m: Digits, data_dir: Path
) -> None:
    digits = read_mnist(data_dir, "test").images
    files = (data_dir / "bsds500/train").glob("*.jpg")
    photographs = [colors(cv2.imread(str(file))[..., ::-1]) for file in files]
    for number in (0, 1234, 9999):
        image = mnist_m.images[number]
        patch = colors(np.where(digits[number][..., None] > 0, 255 - image, image))
        assert sum(places(patch, photograph) for photograph in photographs) >= 1
        # As it is, without the inversion undone, it occurs nowhere.
        assert sum(places(colors(image), photograph) for photograph in photographs) == 0


def test_digits_are_resized_bilinearly_and_scaled(data_dir: Path) -> None:
    digits = read_mnist(data_dir, "test")[:50]
    found = digits.as_crops()
    grey = torch.from_numpy(digits.images.astype(np.float32))[:, None]
    expected = torch.nn.functional.interpolate(grey, size=(32, 32), mode="bilinear")
    assert found.shape == (50, 3, 32, 32)
    assert found.dtype == np.float16
    # One grey level for rounding to whole levels, and half precision.
    np.testing.assert_allclose((found + 1.0) * 127.5, expected.expand(-1, 3, -1, -1), atol=1.1)


@pytest.mark.several_seconds
def test_splits_of_mnist_to_usps(usps: Scenario, data_dir: Path) -> None:
    assert usps.task == "digits"
    counts = [usps.source, usps.source_validation, usps.target_train, usps.target_validation]
    assert [len(part) for part in counts] == [50_000, 10_000, 6562, 729]
    assert len(usps.target_test) == 2007
    np.testing.assert_array_equal(usps.target, usps.target_train.images)
    labels = read_mnist(data_dir, "train").labels
    np.testing.assert_array_equal(usps.source.class_index, labels[:50_000])
    np.testing.assert_array_equal(usps.source_validation.class_index, labels[50_000:])


def looks(crops: LabelledCrops) -> Counter[tuple[int, bytes]]:
    return Counter(
        (int(label), image.tobytes())
        for label, image in zip(crops.class_index, crops.images, strict=True)
    )


@pytest.mark.several_seconds
def test_usps_is_split_at_random_and_nothing_is_lost(usps: Scenario, data_dir: Path) -> None:
    whole = read_usps(data_dir, "train")
    expected = Counter(
        (int(label), image.tobytes())
        for label, image in zip(whole.labels, whole.as_crops(), strict=True)
    )
    assert looks(usps.target_train) + looks(usps.target_validation) == expected
    first = read_usps(data_dir, "train").labels[:6562]
    assert (usps.target_train.class_index != first).any()
    share = np.bincount(usps.target_validation.class_index, minlength=10) / 729
    np.testing.assert_allclose(share, np.bincount(whole.labels) / 7291, atol=0.04)


@pytest.mark.several_seconds
def test_digit_crops_have_masks_and_no_pose(usps: Scenario) -> None:
    crops = usps.target_test
    np.testing.assert_array_equal(crops.masks, crops.images[:, 0] > -1)
    assert 0.1 < crops.masks.mean() < 0.7
    np.testing.assert_array_equal(crops.quaternion, np.tile([1, 0, 0, 0], (2007, 1)))
    assert crops.class_names == DIGITS
    assert crops.symmetries is None
    assert isinstance(crops.images, np.memmap)


@pytest.mark.slow
def test_splits_of_mnist_to_mnist_m(data_dir: Path, tmp_path: Path) -> None:
    scenario = mnist_to_mnist_m(data_dir, tmp_path)
    parts = [scenario.source, scenario.target_train, scenario.target_validation]
    assert [len(part) for part in parts] == [50_000, 59_000, 1000]
    assert len(scenario.target_test) == 10_000
    whole = make_mnist_m(data_dir, "train")
    both = [scenario.target_train, scenario.target_validation]
    counts = sum(np.bincount(part.class_index, minlength=10) for part in both)
    np.testing.assert_array_equal(counts, np.bincount(whole.labels))
    digits = read_mnist(data_dir, "test")
    # Where the digit is, not where the colours are.
    np.testing.assert_array_equal(scenario.target_test.masks, digits.as_crops()[:, 0] > -1)
    shutil.rmtree(tmp_path)


def write_idx(folder: Path, digits: int) -> None:
    """MNIST's test files with as many digits, which are not MNIST's."""
    (folder / "digits/mnist").mkdir(parents=True)
    images = bytes(16) + bytes(range(256)) * (digits * 784 // 256 + 1)
    for name, content in (
        ("images-idx3", images[: 16 + digits * 784]),
        ("labels-idx1", bytes(8) + bytes(i % 10 for i in range(digits))),
    ):
        with gzip.open(folder / f"digits/mnist/t10k-{name}-ubyte.gz", "wb") as file:
            file.write(content)


def test_idx_files_are_read_as_they_are_written(tmp_path: Path) -> None:
    write_idx(tmp_path, 12)
    digits = read_mnist(tmp_path, "test")
    np.testing.assert_array_equal(digits.labels, [*range(10), 0, 1])
    np.testing.assert_array_equal(
        digits.images, (np.arange(12 * 784) % 256).reshape(12, 28, 28).astype(np.uint8)
    )


def test_damaged_digits_are_one_sentence(tmp_path: Path) -> None:
    write_idx(tmp_path, 12)
    images = tmp_path / "digits/mnist/t10k-images-idx3-ubyte.gz"
    whole = images.read_bytes()
    for damaged in (b"", b"no gzip", whole[:-9], gzip.compress(bytes(16 + 784 * 10_000 + 1))):
        images.write_bytes(damaged)
        with pytest.raises(SettingError, match=r"t10k-images.* is damaged.*get MNIST anew"):
            read_mnist(tmp_path, "test")
    images.write_bytes(gzip.compress(bytes(16 + 784 * 11)))
    with pytest.raises(SettingError, match=r"t10k-images.* and .*t10k-labels.* belong together"):
        read_mnist(tmp_path, "test")
    (tmp_path / "digits/usps").mkdir()
    (tmp_path / "digits/usps/usps.h5").write_bytes(b"no hdf5")
    with pytest.raises(SettingError, match=r"usps\.h5 is damaged"):
        read_usps(tmp_path, "test")


def test_mnist_m_of_other_digits_or_photographs_is_refused(tmp_path: Path) -> None:
    write_idx(tmp_path, 12)
    (tmp_path / "bsds500/train").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "bsds500/train/one.jpg"), np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(SettingError, match=r"has other pixels .* restore MNIST's idx files"):
        make_mnist_m(tmp_path, "test")


def test_data_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="give `data` the folder that holds digits/"):
        mnist_to_usps(tmp_path, tmp_path / "cache")
    with pytest.raises(SettingError, match="give `data` the folder that holds digits/"):
        read_usps(tmp_path, "train")
    write_idx(tmp_path, 3)
    with pytest.raises(SettingError, match="put BSDS500's training photographs there"):
        make_mnist_m(tmp_path, "test")


def test_without_h5py_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def without_h5py(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "h5py":
            raise ModuleNotFoundError("No module named 'h5py'", name="h5py")
        return original(name, *arguments, **options)

    monkeypatch.delitem(sys.modules, "h5py", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_h5py)
    with pytest.raises(MissingDependency, match=r"pip install 'render-adapt\[paper\]'"):
        read_usps(tmp_path, "train")
