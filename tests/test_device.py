"""Adapter and judge on a device of torch's: the processor, by its other name, and a GPU if any."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from numpy.typing import NDArray

import adapter
from adapter import (
    AdapterError,
    AdapterInfo,
    TorchNetwork,
    check_device,
    device_here,
    draw_noise,
    load_adapter,
    precision_here,
    save_adapter,
    save_onnx_adapter,
    train,
    train_on_pairs,
)
from cad_models import load_models
from checked_settings import MissingDependency, SettingError
from render_adapt import DatasetError, RunConfig, generate, make_judge, verify
from renderer import CropBatch, PlanConfig, RasterRenderer, make_plans
from tests import paired_toy
from tests.pixelda_toy import TOY, toy_source, toy_target

TORCH = "cpu:0"
"""The processor as torch knows it, and ONNX Runtime does not."""
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
on_each_device = pytest.mark.parametrize(
    "device", [TORCH, pytest.param("cuda:0", marks=needs_cuda)]
)
GREY_LEVEL = 2 / 255


class FakeGpus:
    """What of torch a machine's GPUs are seen by."""

    def __init__(self, *names: str, fails: Exception | None = None, built: bool = True) -> None:
        self.names, self.fails, self.tried = names, fails, list[str]()
        self.backends = SimpleNamespace(cuda=SimpleNamespace(is_built=lambda: built))
        self.cuda = SimpleNamespace(
            init=self.init,
            device_count=lambda: len(names),
            get_device_name=lambda number: names[number],
            get_device_capability=lambda device: (7, 5) if "T4" in names[0] else (9, 0),
        )
        self.OutOfMemoryError = torch.OutOfMemoryError
        self.__spec__ = SimpleNamespace()

    def init(self) -> None:
        if not self.names:
            raise RuntimeError("Found no NVIDIA driver on your system.\nPlease check it")

    def ones(self, count: int, device: str) -> Any:
        self.tried.append(device)
        if self.fails is not None:
            raise self.fails
        return torch.ones(count)


Machine = Callable[[Any], None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return functools.partial(monkeypatch.setitem, sys.modules, "torch")


def test_a_gpu_that_works_is_taken(machine: Machine) -> None:
    gpus = FakeGpus("H100", "H100")
    machine(gpus)
    found = [device_here(asked) for asked in ("auto", "cuda", "cuda:1")]
    assert found == gpus.tried == ["cuda:0", "cuda:0", "cuda:1"]
    assert device_here("cpu") == "cpu"


@pytest.mark.parametrize(
    ("gpus", "asked", "words"),
    [
        (None, "cuda", r"`device` cuda needs torch; install with: pip install 'render-adapt\[cuda"),
        (FakeGpus(built=False), "cuda", "this torch was built for processors alone"),
        (FakeGpus(), "cuda", r"can use no GPU here \(Found no NVIDIA driver .* update the GPU's"),
        (FakeGpus("H100", "H100"), "cuda:999", "is cuda:999, and of GPUs there is cuda:0 to cud"),
        (
            FakeGpus("K20", fails=RuntimeError("no kernel image is available")), "cuda:0",
            r"and cuda:0 does not work \(no kernel image is available\): install a torch",
        ),
        (
            FakeGpus("T4", fails=torch.OutOfMemoryError("out of memory")), "cuda",
            "the memory of cuda:0 is full: give fewer `workers`",
        ),
    ],
    ids=["torch missing", "torch for processors", "no driver", "not so many", "too old", "full"],
)  # fmt: skip
def test_without_a_gpu_that_works_there_is_a_sentence_or_the_processor(
    gpus: FakeGpus | None, asked: str, words: str, machine: Machine
) -> None:
    machine(gpus)
    with pytest.raises((AdapterError, MissingDependency), match=words) as caught:
        device_here(asked)
    assert "\n" not in str(caught.value)
    if asked == "cuda":
        assert device_here("auto") == "cpu"


def test_what_torch_cannot_run_stays_on_the_processor(tmp_path: Path, machine: Machine) -> None:
    """`auto` of an adapter that is an ONNX file alone; the GPU itself is refused it."""
    info = adapter.read_info(adapter.SHIPPED_ADAPTER)
    onnx_alone = replace(info, sha256={"generator.onnx": ""})
    save_onnx_adapter(
        adapter.SHIPPED_ADAPTER / "generator.onnx", tmp_path / "a", channels=4, size=64,
        noise_dimension=info.noise_dimension, window_mm=200.0,
    )  # fmt: skip
    with pytest.raises(AdapterError, match=r"has no weights for torch .* give `device` cpu, or"):
        load_adapter(tmp_path / "a", device=TORCH)
    machine(FakeGpus("H100"))
    assert [device_here("auto", of) for of in (info, onnx_alone)] == ["cuda:0", "cpu"]


def test_workers_share_the_gpus_that_are_alike(machine: Machine) -> None:
    gpus = FakeGpus("H100", "T4", "H100")
    machine(gpus)
    found = [device_here("cuda", worker=worker) for worker in range(3)]
    assert found == gpus.tried == ["cuda:0", "cuda:2", "cuda:0"], "no other GPU is touched"
    assert [device_here(asked, worker=1) for asked in ("cpu", "cuda:0")] == ["cpu", "cuda:0"]


def test_bf16_is_for_gpus_that_have_it(machine: Machine) -> None:
    machine(FakeGpus("H100"))
    assert [precision_here(asked, device="cuda") for asked in ("auto", "bf16", "fp32")] == [
        "bf16", "bf16", "fp32",
    ]  # fmt: skip
    machine(FakeGpus("T4"))
    assert [precision_here(asked, device="cuda") for asked in ("auto", "fp32")] == ["fp32"] * 2
    with pytest.raises(SettingError, match="`precision` is bf16, which this GPU does not compute"):
        precision_here("bf16", device="cuda")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"device": "gpu"}, "`device` is gpu: it must be auto, cpu, cuda, or one GPU as in cuda:1"),
        ({"device": "cuda:x"}, "`device` is cuda:x: it must be"),
        ({"device": "cuda:01"}, "`device` is cuda:01: it must be"),
        ({"device": "cuda", "adapter": "none"}, "`device` is what an adapter runs on"),
        ({"device": "cuda:1", "executor": "ray"}, "actors of a cluster have processors alone"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        RunConfig(("ape",), n=1, **settings)


def inputs(info: AdapterInfo, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    random = np.random.default_rng(3)
    shape = (n, info.channels, info.size, info.size)
    crops = random.uniform(-1, 1, shape).astype(np.float32)
    crops[:, 3:, : info.size // 2] = 1.0  # nothing there, for what looks at depth
    return crops, draw_noise(3, np.arange(n), info.noise_dimension)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Adapters of each architecture, as users train them."""
    out = tmp_path_factory.mktemp("trained")
    pixelda = train(toy_source(channels=4), toy_target(channels=4), TOY, out / "a")
    save_adapter(pixelda, out / "pixelda", preset="toy", provenance="toy squares")
    config = replace(paired_toy.TOY, steps=2, noise_dimension=10)
    layered = train_on_pairs(paired_toy.toy_source(12), paired_toy.toy_pairs(10), config, out / "b")
    save_adapter(layered, out / "layered", preset="toy", provenance="toy boxes")
    return {"shipped": adapter.SHIPPED_ADAPTER, **{n: out / n for n in ("pixelda", "layered")}}


@on_each_device
@pytest.mark.parametrize("name", ["shipped", "pixelda", "layered"])
def test_every_adapter_makes_the_processors_pictures(
    name: str, device: str, trained: dict[str, Path]
) -> None:
    """Within a grey level in fp32; in bf16 so in the mean."""
    exact = load_adapter(trained[name])
    crops, noise = inputs(exact.info, 21)
    expected = exact.adapt(crops, noise)
    by_torch = load_adapter(trained[name], device=device)
    assert np.abs(by_torch.adapt(crops, noise) - expected).max() < GREY_LEVEL
    half = load_adapter(trained[name], device=device, precision="bf16").adapt(crops, noise)
    assert half.dtype == np.float32
    assert 0 < np.abs(half - expected).mean() < GREY_LEVEL


@on_each_device
def test_a_crop_depends_on_itself_alone_to_the_last_bit(device: str) -> None:
    by_torch = load_adapter("shipped", device=device)
    crops, noise = inputs(by_torch.info, 19)
    whole = by_torch.adapt(crops, noise)
    np.testing.assert_array_equal(by_torch.adapt(crops[17:], noise[17:]), whole[17:])
    assert by_torch.adapt(crops[:0], noise[:0]).shape == (0, 4, 64, 64)
    assert by_torch.notes == ()


class Greedy(torch.nn.Module):
    """Twice the sum, of so many rows at once and no more."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.rows = most, list[int]()

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.rows.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return 2 * (x + y[:, :1])


def test_what_is_too_much_is_halved_and_said_once() -> None:
    greedy = Greedy(most=5)
    network = TorchNetwork(greedy, TORCH, at_once=32)
    x, y = np.random.default_rng(0).normal(size=(2, 21, 3)).astype(np.float32)
    np.testing.assert_array_equal(network(x, y), 2 * (x + y[:, :1]))
    assert greedy.rows == [32, 16, 8, *[4] * 6]
    assert len(network.notes) == 1
    network(x, y)
    assert greedy.rows[9:] == [4] * 6
    assert len(network.notes) == 1


def test_no_room_for_one_is_one_sentence() -> None:
    network = TorchNetwork(Greedy(most=0), TORCH, at_once=4)
    x = np.zeros((1, 3), np.float32)
    with pytest.raises(AdapterError, match=r"the memory of the processor is too small .*`workers`"):
        network(x, x)


def test_what_fails_on_a_device_is_one_sentence() -> None:
    class Broken(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("CUDA error: an illegal memory access\nwas encountered")

    words = r"cannot be run on the processor \(CUDA error: an illegal memory access was enc"
    with pytest.raises(AdapterError, match=words):
        TorchNetwork(Broken(), TORCH)(np.zeros((1, 3), np.float32))


def test_callers_keep_their_settings_of_torch() -> None:
    before = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    by_torch = load_adapter("shipped", device=TORCH)
    by_torch.adapt(*inputs(by_torch.info, 1))
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32) == before
    assert not torch.is_inference_mode_enabled()


@on_each_device
def test_a_device_is_tried_with_the_shipped_adapter(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = torch.cuda.get_device_name(device) if device != TORCH else "the processor"
    assert check_device(device) == expected
    monkeypatch.setattr(TorchNetwork, "_run", lambda self, rows: 0.9 * rows[0])
    with pytest.raises(AdapterError, match=r"adapts crops [\d.]+ grey levels off the processor's"):
        check_device(device)


@pytest.fixture
def torch_in_place_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs on `cuda` run in torch, on the processor."""
    studio = "render_adapt._runs.studio"
    monkeypatch.setattr(
        f"{studio}.device_here", lambda asked, info, worker: "cpu" if asked == "cpu" else TORCH
    )
    monkeypatch.setattr(f"{studio}.precision_here", lambda asked, device: asked)


def config(out: Path, device: str, **settings: Any) -> RunConfig:
    values = {"n": 24, "workers": 1, "min_fidelity": 0.3, "device": device, **settings}
    return RunConfig(("ape", "cat"), out=out, **values)


@pytest.mark.parametrize(
    "fixture", ["torch_in_place_of_a_gpu", pytest.param("tmp_path", marks=needs_cuda)],
    ids=["processor", "cuda"],
)  # fmt: skip
def test_a_run_makes_the_same_decisions_and_pictures(
    fixture: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(fixture)
    settings = {"adapter": "linemod-rgbd-fast"}  # which other noise helps
    runs = {
        device: generate(config(tmp_path / device, device, **settings))
        for device in ("cpu", "cuda")
    }
    ours, theirs = runs["cpu"], runs["cuda"]
    assert ours.redrawn > 0
    assert ours.dropped > 0
    assert (ours.crops, ours.redrawn, ours.dropped) == (
        theirs.crops, theirs.redrawn, theirs.dropped,
    )  # fmt: skip
    index = [parquet.read_table(summary.folder / "index").to_pydict() for summary in runs.values()]
    for column in index[0]:
        if not column.startswith("fidelity") and column != "config_sha256":
            assert index[0][column] == index[1][column], column
    # Scores have three digits.
    np.testing.assert_allclose(index[0]["fidelity"], index[1]["fidelity"], rtol=2e-2)
    for file in sorted((tmp_path / "cpu/train/000000").rglob("*")):
        other = tmp_path / "cuda" / file.relative_to(tmp_path / "cpu")
        if file.suffix == ".png":
            pictures = [cv2.imread(str(one), cv2.IMREAD_UNCHANGED).astype(int)
                        for one in (file, other)]  # fmt: skip
            # Depth has tenths of a millimetre, of which the window's 400 mm are 255 grey levels.
            most = {"rgb": 1, "depth": 400 / 255 / 0.1}.get(file.parent.name, 0)
            assert np.abs(pictures[0] - pictures[1]).max() <= most, file
        elif file.is_file() and file.name != "scene_gt_info.json":
            assert file.read_bytes() == other.read_bytes(), file


@needs_cuda
def test_workers_on_a_gpu_make_the_bytes_of_one(tmp_path: Path) -> None:
    one, two = (
        generate(config(tmp_path / str(workers), "cuda", n=500, workers=workers))
        for workers in (1, 2)
    )
    assert one.sha256 == two.sha256
    assert verify(tmp_path / "2").bad == ()


def test_a_manifest_says_what_a_run_was_made_on_and_no_other_goes_on_with_it(
    tmp_path: Path, torch_in_place_of_a_gpu: None
) -> None:
    out = tmp_path / "run"
    first = generate(config(out, "cuda:1", n=3))
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["device"] == manifest["settings"]["device"] == "cuda"
    assert manifest["versions"]["gpu"] == "the processor"
    assert manifest["versions"]["torch"] == torch.__version__
    assert generate(config(out, "cuda", n=3)).sha256 == first.sha256
    assert verify(out).bad == ()
    with pytest.raises(DatasetError, match="device only there"):
        generate(config(out, "cpu", n=3))
    generate(config(tmp_path / "cpu", "cpu", n=3))
    ours = json.loads((tmp_path / "cpu/manifest.json").read_text())
    assert "device" not in {*ours, *ours["settings"]}
    assert "torch" not in ours["versions"]
    with pytest.raises(DatasetError, match="device only here"):
        generate(config(tmp_path / "cpu", "cuda", n=3))


def test_a_run_goes_on_on_another_gpu_and_says_so(
    tmp_path: Path, torch_in_place_of_a_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(config(tmp_path / "run", "cuda", n=3))
    monkeypatch.setattr("adapter._runtime.adapters.device_name", lambda device: "H100")
    (note,) = (
        note
        for note in generate(config(tmp_path / "run", "cuda", n=4)).notes
        if "began with" in note
    )
    assert "began with gpu the processor, and other versions may round otherwise" in note


def test_a_run_says_once_that_memory_was_too_small(
    tmp_path: Path, torch_in_place_of_a_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = generate(config(tmp_path / "whole", "cuda", n=260, min_fidelity=0.0))
    run = TorchNetwork._run

    def run_few(network: TorchNetwork, rows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        if network.at_once > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(network, rows)

    monkeypatch.setattr(TorchNetwork, "_run", run_few)
    summary = generate(config(tmp_path / "run", "cuda", n=260, min_fidelity=0.0))
    (note,) = set(summary.notes) - set(whole.notes)
    assert "memory was too small" in note
    assert len(summary.notes) == len(whole.notes) + 1
    assert (summary.crops, summary.dropped) == (whole.crops, whole.dropped)


@on_each_device
def test_the_judge_says_the_same(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = load_adapter("shipped")
    crops, renders = _judged()
    exact = make_judge("shipped", shipped).score(crops, renders)
    by_torch = make_judge("shipped", shipped, device=device).score(crops, renders)
    np.testing.assert_allclose(by_torch.judge, exact.judge, rtol=2e-2)
    np.testing.assert_array_equal(by_torch.edges, exact.edges)
    assert len(set(exact.judge)) > 10
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependency, match=r"judging on .* needs onnx; .*adapt\[cuda\]"):
        make_judge("shipped", shipped, device=device)


def _judged() -> tuple[CropBatch, CropBatch]:
    """Crops whose pictures get worse and worse."""
    models = load_models(("ape", "cat"))
    plans = make_plans(PlanConfig(), models, 0, 0, 20)
    renders = RasterRenderer(models, levels=False).render(plans)
    rolled = np.stack([np.roll(one, shift, axis=1) for shift, one in enumerate(renders.rgb)])
    return replace(renders, rgb=rolled), renders
