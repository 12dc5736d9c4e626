"""Adapters on disk and at work."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from adapter import (
    Adapter,
    AdapterError,
    IdentityAdapter,
    draw_noise,
    load_adapter,
    read_info,
    save_adapter,
    train,
)
from tests.pixelda_toy import SIZE, TOY, toy_source, toy_target

DESCRIPTION, WEIGHTS, ONNX = "adapter.json", "generator.safetensors", "generator.onnx"
CHUNK = 16
"""Crops that pass through a network together."""
N = 2 * CHUNK + 5


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    config = replace(TOY, steps=20, learning_rate=5e-3)
    return train(toy_source(channels=4), toy_target(channels=4), config, folder)


@pytest.fixture(scope="module")
def saved(checkpoint: Path) -> Path:
    folder = checkpoint.parent / "adapter"
    save_adapter(
        checkpoint,
        folder,
        preset="fast",
        provenance="toy squares",
        figures={"outline": 0.9},
        window_mm=150.0,
    )
    return folder


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "adapter"))


def inputs(n: int = N) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    random = np.random.default_rng(4)
    crops = random.uniform(-1, 1, (n, 4, SIZE, SIZE)).astype(np.float32)
    return crops, draw_noise(4, np.arange(n))


@pytest.mark.parametrize("noise_path", ["official", "paper", "coarse-to-fine"])
@pytest.mark.parametrize("half_resolution", [False, True])
def test_both_runtimes_run_every_kind_of_generator(
    noise_path: Literal["official", "paper", "coarse-to-fine"],
    half_resolution: bool,
    tmp_path: Path,
) -> None:
    """`save_adapter` itself refuses runtimes that disagree."""
    config = replace(
        TOY, steps=1, noise_path=noise_path, half_resolution=half_resolution, dilated=True, blocks=2
    )
    made = train(toy_source(channels=4), toy_target(channels=4), config, tmp_path / "training")
    save_adapter(made, tmp_path / "adapter", preset="fast", provenance="toy squares")
    crops, noise = inputs()
    adapted = load_adapter(tmp_path / "adapter").adapt(crops, noise)
    assert not np.allclose(adapted, load_adapter(tmp_path / "adapter").adapt(crops, -noise))


def test_an_adapter_knows_where_it_came_from(saved: Path) -> None:
    info = load_adapter(saved).info
    assert (info.channels, info.size, info.noise_dimension) == (4, SIZE, 10)
    assert info.window_mm == 150.0
    assert info.preset == "fast"
    assert info.steps == 20
    assert info.provenance == "toy squares"
    assert info.figures == {"outline": 0.9}
    assert info.class_names == ("square", "other square")
    assert info.config["learning_rate"] == 5e-3
    for name in (WEIGHTS, ONNX):
        assert info.sha256[name] == hashlib.sha256((saved / name).read_bytes()).hexdigest()


def test_an_adapter_is_three_files(saved: Path) -> None:
    assert sorted(file.name for file in saved.iterdir()) == sorted([DESCRIPTION, WEIGHTS, ONNX])


def test_both_runtimes_agree(saved: Path) -> None:
    crops, noise = inputs()
    by_onnx = load_adapter(saved, "onnx").adapt(crops, noise)
    by_torch = load_adapter(saved, "torch").adapt(crops, noise)
    assert by_onnx.dtype == by_torch.dtype == np.float32
    assert np.abs(by_onnx - by_torch).max() <= 1e-4
    assert np.abs(by_onnx).max() <= 1.0


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
@pytest.mark.parametrize("threads", [1, 2])
def test_results_do_not_depend_on_batches_order_or_threads(
    saved: Path, runtime: str, threads: int
) -> None:
    crops, noise = inputs()
    expected = load_adapter(saved, runtime).adapt(crops, noise)  # type: ignore[arg-type]
    loaded = load_adapter(saved, runtime, threads)  # type: ignore[arg-type]
    order = np.random.default_rng(0).permutation(N)
    np.testing.assert_array_equal(loaded.adapt(crops[order], noise[order]), expected[order])
    for start, stop in [(0, 1), (3, 3 + CHUNK), (5, 5 + CHUNK + 1), (7, 7), (N - 1, N)]:
        part = loaded.adapt(crops[start:stop], noise[start:stop])
        np.testing.assert_array_equal(part, expected[start:stop])


def test_adapting_leaves_the_given_crops_as_they_were(saved: Path) -> None:
    crops, noise = inputs()
    before = crops.copy()
    load_adapter(saved).adapt(crops, noise)
    np.testing.assert_array_equal(crops, before)


def test_views_give_what_copies_give(saved: Path) -> None:
    crops, noise = inputs()
    loaded = load_adapter(saved)
    np.testing.assert_array_equal(
        loaded.adapt(crops[::2], noise[::2]), loaded.adapt(crops[::2].copy(), noise[::2].copy())
    )


@pytest.mark.parametrize("make", [IdentityAdapter, None], ids=["identity", "onnx"])
def test_arrays_of_another_shape_are_refused(saved: Path, make: type[Adapter] | None) -> None:
    loaded = IdentityAdapter(size=SIZE) if make is IdentityAdapter else load_adapter(saved)
    crops, noise = inputs(3)
    with pytest.raises(AdapterError, match=r"this adapter takes \(N, 4, 16, 16\)"):
        loaded.adapt(crops[:, :3], noise)
    with pytest.raises(AdapterError, match=r"3 crops take \(3, 10\)"):
        loaded.adapt(crops, noise[:2])
    with pytest.raises(AdapterError, match=r"3 crops take \(3, 10\)"):
        loaded.adapt(crops, noise[:, :9])


def test_no_convolution_is_followed_by_a_normalisation_of_its_own(saved: Path) -> None:
    onnx = pytest.importorskip("onnx")
    nodes = onnx.load(saved / ONNX).graph.node
    from_convolutions = {node.output[0] for node in nodes if node.op_type == "Conv"}
    assert len(from_convolutions) >= 2 + 2 * TOY.blocks
    normalised = {node.input[0] for node in nodes if node.op_type == "BatchNormalization"}
    assert not normalised & from_convolutions


def test_onnx_runs_where_there_is_no_torch(saved: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; import numpy as np;"
        "from adapter import draw_noise, load_adapter;"
        f"a = load_adapter({str(saved)!r});"
        f"y = a.adapt(np.zeros((2, 4, {SIZE}, {SIZE}), np.float32), draw_noise(0, np.arange(2)));"
        "print(y.shape)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == f"(2, 4, {SIZE}, {SIZE})", result.stderr


def test_without_torch_training_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; import adapter, checked_settings\n"
        "try: adapter.train\n"
        "except checked_settings.MissingDependency as error: print(error)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    said = "what trains adapters (adapter.train) needs torch; install with: pip install 'render-"
    assert result.stdout.startswith(said), result.stderr
    assert "render-adapt[train]" in result.stdout


def test_importing_the_package_loads_neither_torch_nor_onnxruntime() -> None:
    code = "import sys, adapter; print(sorted({'torch', 'onnxruntime'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_saving_twice_gives_the_same_bytes_and_replaces(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_adapter(checkpoint, tmp_path / name, preset="x", provenance="y")
    for name in (WEIGHTS, ONNX, DESCRIPTION):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    save_adapter(checkpoint, tmp_path / "a", preset="other", provenance="y")
    assert load_adapter(tmp_path / "a").info.preset == "other"


def test_nothing_is_written_where_the_runtimes_disagree(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter._training.artifact.TOLERANCE", -1.0)
    with pytest.raises(AdapterError, match="disagree"):
        save_adapter(checkpoint, tmp_path / "a", preset="x", provenance="y")
    assert not (tmp_path / "a").exists()


def test_a_folder_that_cannot_be_made_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" / "a"
    with pytest.raises(AdapterError, match="cannot be made"):
        save_adapter(checkpoint, folder, preset="x", provenance="y")
    with pytest.raises(AdapterError, match="cannot be made"):
        train(toy_source(), toy_target(), TOY, folder)


def test_a_full_disk_leaves_the_old_adapter(
    checkpoint: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = {file: file.read_bytes() for file in copied.iterdir()}
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AdapterError, match=f"{WEIGHTS} cannot be written .No space left"):
        save_adapter(checkpoint, copied, preset="x", provenance="y")
    assert {file: file.read_bytes() for file in copied.iterdir()} == before


class Malicious:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return (pytest.fail, ("a pickle was loaded",))


def rehash(folder: Path) -> None:
    """Make the description vouch for whatever the files now hold."""
    fields = json.loads((folder / DESCRIPTION).read_text())
    for name in (WEIGHTS, ONNX):
        fields["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / DESCRIPTION).write_text(json.dumps(fields))


def describe(folder: Path, **changes: object) -> None:
    fields = json.loads((folder / DESCRIPTION).read_text())
    fields.update(changes)
    (folder / DESCRIPTION).write_text(json.dumps(fields))


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
@pytest.mark.parametrize("name", [WEIGHTS, ONNX])
def test_a_changed_file_is_refused_by_its_hash(copied: Path, name: str, runtime: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(bytes(content))
    with pytest.raises(AdapterError, match=f"{name} is not the file .* SHA-256 differs"):
        load_adapter(copied, runtime)  # type: ignore[arg-type]


def test_a_missing_file_is_named(copied: Path) -> None:
    (copied / ONNX).unlink()
    with pytest.raises(AdapterError, match=f"lacks {ONNX}"):
        load_adapter(copied)


def test_a_folder_without_description_is_no_adapter(copied: Path) -> None:
    (copied / DESCRIPTION).unlink()
    for folder in (copied, copied / "absent", copied / ONNX):
        with pytest.raises(AdapterError, match=f"not an adapter: it has no {DESCRIPTION}"):
            load_adapter(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as JSON"),
        (b"{", "cannot be read as JSON"),
        (b"\xff\xfe\x00", "cannot be read as JSON"),
        (b"[]", "has format None"),
        (b'{"format": "render-adapt adapter 99"}', "this version reads"),
        (b'{"format": "render-adapt adapter 1"}', "lacks 'channels'"),
    ],
)
def test_a_broken_description_is_refused(copied: Path, content: bytes, message: str) -> None:
    (copied / DESCRIPTION).write_bytes(content)
    with pytest.raises(AdapterError, match=message):
        read_info(copied)


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": "4"},
        {"channels": True},
        {"size": None},
        {"window_mm": "200"},
        {"sha256": {}},
    ],
)
def test_a_field_of_another_type_is_refused(copied: Path, changes: dict[str, object]) -> None:
    describe(copied, **changes)
    with pytest.raises(AdapterError, match="lacks"):
        read_info(copied)


@pytest.mark.parametrize(
    "changes",
    [
        {"preset": None},
        {"steps": 1.5},
        {"config": []},
        {"class_names": "ape"},
        {"provenance": 3},
        {"figures": []},
    ],
    ids=lambda c: next(iter(c)),
)
def test_a_field_that_may_be_left_out_is_of_its_type_where_it_is_there(
    copied: Path, changes: dict[str, object]
) -> None:
    describe(copied, **changes)
    [name] = changes
    with pytest.raises(AdapterError, match=f"has a '{name}' that is not a .* may be left out"):
        read_info(copied)


@pytest.mark.parametrize(
    "changes", [{"channels": 3}, {"size": 32}, {"noise_dimension": 9}], ids=lambda c: next(iter(c))
)
def test_a_network_of_another_shape_than_described_is_refused(
    copied: Path, changes: dict[str, object]
) -> None:
    describe(copied, **changes)
    with pytest.raises(AdapterError, match=r"takes .* where adapter\.json says"):
        load_adapter(copied)


def test_weights_of_an_architecture_from_before_there_were_others(copied: Path) -> None:
    config = json.loads((copied / DESCRIPTION).read_text())["config"]
    assert config.pop("architecture") == "pixelda"
    crops, noise = inputs()
    expected = load_adapter(copied, "torch").adapt(crops, noise)
    describe(copied, config=config)
    np.testing.assert_array_equal(load_adapter(copied, "torch").adapt(crops, noise), expected)


def test_weights_of_another_network_than_described_are_refused(copied: Path) -> None:
    describe(copied, noise_dimension=9)
    with pytest.raises(AdapterError, match="does not fit the network"):
        load_adapter(copied, "torch")
    describe(copied, noise_dimension=10)
    describe(copied, channels=3)
    with pytest.raises(AdapterError, match="does not fit the network"):
        load_adapter(copied, "torch")
    config = json.loads((copied / DESCRIPTION).read_text())["config"]
    describe(copied, channels=4, config=config | {"unknown": 1})
    with pytest.raises(AdapterError, match="does not fit the network"):
        load_adapter(copied, "torch")


@pytest.mark.parametrize(
    "content",
    [b"", b"not a network", bytes(4096), pickle.dumps(Malicious())],
    ids=["empty", "text", "zeros", "pickle"],
)
def test_garbage_with_a_right_hash_is_refused_and_never_unpickled(
    copied: Path, content: bytes
) -> None:
    for name in (WEIGHTS, ONNX):
        (copied / name).write_bytes(content)
    rehash(copied)
    with pytest.raises(AdapterError, match=f"{ONNX} is not a network"):
        load_adapter(copied)
    with pytest.raises(AdapterError, match=f"{WEIGHTS} cannot be read as safetensors"):
        load_adapter(copied, "torch")


def test_a_torch_pickle_named_safetensors_is_refused(copied: Path) -> None:
    torch.save({"weight": Malicious()}, copied / WEIGHTS)
    rehash(copied)
    with pytest.raises(AdapterError, match="cannot be read as safetensors"):
        load_adapter(copied, "torch")


@pytest.mark.parametrize("name", [WEIGHTS, ONNX])
def test_a_truncated_file_with_a_right_hash_is_refused(copied: Path, name: str) -> None:
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[: len(content) // 2])
    rehash(copied)
    with pytest.raises(AdapterError, match=name):
        load_adapter(copied, "onnx" if name == ONNX else "torch")


def test_noise_of_a_crop_depends_on_seed_and_index_alone() -> None:
    noise = draw_noise(7, np.arange(100), 10)
    assert noise.shape == (100, 10)
    assert noise.dtype == np.float32
    order = np.random.default_rng(0).permutation(100)
    np.testing.assert_array_equal(draw_noise(7, order, 10), noise[order])
    assert not np.array_equal(draw_noise(8, np.arange(100), 10), noise)
    assert len(np.unique(noise)) > 990


def test_noise_is_uniform_between_minus_one_and_one() -> None:
    noise = draw_noise(0, np.arange(2000))
    assert noise.min() >= -1.0
    assert noise.max() < 1.0
    counts, _ = np.histogram(noise, bins=10, range=(-1, 1))
    assert np.abs(counts / noise.size - 0.1).max() < 0.01


def test_noise_is_the_documented_stream() -> None:
    expected = 2 * np.random.default_rng([3, 5, 2]).random(10, dtype=np.float32) - 1
    np.testing.assert_array_equal(draw_noise(3, np.array([5]))[0], expected)
