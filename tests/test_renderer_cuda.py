"""The GPU's rasteriser beside the processor's: emulated, and on a GPU where there is one."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from adapter import encode
from benchmarks.cuda_rendering import StageClock, describe, measure
from cad_models import CadModel, load_models
from checked_settings import MissingDependency
from renderer import (
    RANDOMIZATIONS,
    CropBatch,
    CropTensors,
    CudaRasterRenderer,
    Instances,
    PlanConfig,
    Plans,
    RasterRenderer,
    RenderError,
    Surfaces,
    make_plans,
    plans_from_poses,
    uniform_rotation,
)
from tests.emulated_gpu import (
    COMPILER,
    THREADS,
    EmulatedGpu,
    compile_kernels,
    compiled,
    run,
)
from tests.shapes import ball, lopsided, model_of, rectangle

Make = Callable[..., CudaRasterRenderer]

emulated = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def on_emulated_gpu(models: list[CadModel], seed: int = 0, **options: Any) -> CudaRasterRenderer:
    return CudaRasterRenderer(models, launcher=EmulatedGpu(seed), **{"levels": False, **options})


def on_gpu(models: list[CadModel], **options: Any) -> CudaRasterRenderer:
    return CudaRasterRenderer(models, **{"levels": False, **options})


def on_processor(models: list[CadModel], **options: Any) -> RasterRenderer:
    return RasterRenderer(models, **{"levels": False, **options})


@pytest.fixture(
    params=[pytest.param("emulated", marks=emulated), pytest.param("cuda", marks=needs_cuda)]
)
def make(request: pytest.FixtureRequest) -> Make:
    """Makes renderers whose kernels run on the emulated GPU, or on a real one."""
    return on_emulated_gpu if request.param == "emulated" else on_gpu


def textured() -> CadModel:
    texture = np.random.default_rng(2).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    coordinates = np.array([(-0.3, 1.2), (1.7, 1), (1, 0), (0, -0.6)], np.float32)
    return rectangle(-70, -50, 60, 80, texture=texture, texture_coordinates=coordinates)


MODELS = [lopsided(), ball(50, (5, 5, 5), 4), textured()]
TEXTURES = [
    np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)
    for shape in ((7, 5, 3), (16, 16, 3))
]


def scenes(
    models: list[CadModel], seed: int, count: int, others: int, lights: int, width: int, height: int
) -> Plans:
    """Crops with everything in them: other objects around the target, lights, glossy surfaces."""
    plans = make_plans(PlanConfig(viewpoints="so3"), models, seed, 0, count)
    generator = np.random.default_rng(seed)
    which = generator.integers(-1, len(models), (count, others)).astype(np.int32)
    turn = uniform_rotation(generator.random((count, others, 3)))
    centres = np.stack([model.centre for model in models])
    target = np.einsum("nij,nj->ni", plans.rotation, centres[plans.object_index])
    place = (target + plans.translation)[:, None] + generator.uniform(-90, 90, turn.shape[:-1])
    place -= np.einsum("nkij,nkj->nki", turn, centres[which])
    absent = which < 0
    turn[absent], place[absent] = np.eye(3), 0
    camera_matrix = plans.camera_matrix.copy()
    camera_matrix[:, 0] *= width / 64
    camera_matrix[:, 1] *= height / 64
    towards = generator.normal(size=(count, lights, 3)) - [0, 0, 1]
    shape = (count, 1 + others)
    return dataclasses.replace(
        plans,
        camera_matrix=camera_matrix,
        others=Instances(which, turn, place),
        light_direction=np.asarray(
            towards / np.linalg.norm(towards, axis=-1, keepdims=True), np.float32
        ),
        light_color=generator.uniform(0, 0.6, (count, lights, 3)).astype(np.float32),
        surfaces=Surfaces(
            gain=generator.uniform(0.6, 1.4, (*shape, 3)).astype(np.float32),
            specular=generator.choice([0, 0.4, 0.9], shape).astype(np.float32),
            shininess=generator.uniform(5, 90, shape).astype(np.float32),
            texture=generator.integers(-1, len(TEXTURES), shape).astype(np.int32),
            texture_period=generator.uniform(20, 80, shape).astype(np.float32),
        ),
        width=width,
        height=height,
    )


def assert_same(found: CropBatch, expected: CropBatch) -> None:
    """Masks are equal, depth is within 1 um, colour within a level, surface maps within 1e-5."""
    for name in ("mask", "mask_visib", "others_mask", "others_mask_visib"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)
    for name in ("depth", "object_depth"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3, err_msg=name)
    assert found.rgb.dtype == np.uint8
    assert np.abs(found.rgb.astype(int) - expected.rgb).max(initial=0) <= 1
    assert (found.rgb != expected.rgb).mean() < 1e-3
    for name in ("normals", "object_coordinates"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("others", "lights", "width", "height"),
    [(0, 1, 64, 64), (3, 3, 64, 64), (2, 2, 120, 50), (5, 1, 33, 70)],
)
@pytest.mark.parametrize("antialias", [False, True])
def test_crops_are_the_processors(
    make: Make, others: int, lights: int, width: int, height: int, antialias: bool
) -> None:
    plans = scenes(MODELS, others, 8, others, lights, width, height)
    options: dict[str, Any] = {"antialias": antialias, "textures": TEXTURES}
    expected = on_processor(MODELS, **options).render(plans, surface_maps=True)
    assert expected.mask.any(axis=(1, 2)).all()
    assert_same(make(MODELS, **options).render(plans, surface_maps=True), expected)


def test_crops_off_the_cameras_axis_are_the_processors(make: Make) -> None:
    """Their principal points lie outside the pictures."""
    crowd = dataclasses.replace(RANDOMIZATIONS["linemod"], occluders=(1, 2), neighbours=(0, 2))
    config = PlanConfig(centre="mean", off_axis=40.0, viewpoints="so3")
    plans = make_plans(config, MODELS, 0, 0, 8, crowd)
    assert (np.abs(plans.camera_matrix[:, :2, 2] - 32) > 64).any()
    expected = on_processor(MODELS).render(plans, surface_maps=True)
    assert expected.mask.any(axis=(1, 2)).all()
    assert_same(make(MODELS).render(plans, surface_maps=True), expected)


def test_scanned_objects_are_the_processors(make: Make, data_dir: Path) -> None:
    models = load_models(["ape", "duck"], models=data_dir / "linemod/models")
    plans = scenes(models, 1, 6, 1, 2, 64, 64)
    expected = on_processor(models, textures=TEXTURES).render(plans)
    assert_same(make(models, textures=TEXTURES).render(plans), expected)


def test_levels_of_detail_are_the_processors(make: Make) -> None:
    models = [ball(50, subdivisions=3), lopsided()]
    plans = scenes(models, 2, 4, 1, 1, 48, 48)
    options: dict[str, Any] = {"textures": TEXTURES, "levels": True}
    expected = RasterRenderer(models, **options).render(plans, surface_maps=True)
    assert (expected.depth != on_processor(models, textures=TEXTURES).render(plans).depth).any()
    assert_same(make(models, **options).render(plans, surface_maps=True), expected)


def test_frames_are_the_processors(make: Make) -> None:
    plans = scenes(MODELS, 4, 1, 6, 2, 640, 480)
    expected = on_processor(MODELS, textures=TEXTURES).render(plans, surface_maps=True)
    assert_same(make(MODELS, textures=TEXTURES).render(plans, surface_maps=True), expected)


def test_after_it_is_closed_it_draws_the_same(make: Make) -> None:
    plans = scenes(MODELS, 0, 4, 1, 1, 32, 32)
    renderer = make(MODELS, textures=TEXTURES)
    before = renderer.render(plans)
    renderer.close()
    assert_same(renderer.render(plans), before)


@emulated
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(1, 2**31), blocks=st.sampled_from([1, 20, 4096]))
def test_the_order_of_threads_and_blocks_and_their_number_change_nothing(
    seed: int, blocks: int
) -> None:
    models = [*MODELS, ball(60, subdivisions=4)]  # more faces than a block looks through at once
    plans = scenes(models, 7, 3, 2, 1, 40, 40)
    first = on_emulated_gpu(models, textures=TEXTURES).render(plans)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("renderer._engines.cuda.renderer._BLOCKS", blocks)
        other = on_emulated_gpu(models, seed, textures=TEXTURES).render(plans)
    for name in ("rgb", "depth", "object_depth", "others_mask", "others_mask_visib"):
        np.testing.assert_array_equal(getattr(first, name), getattr(other, name))


NEIGHBOURS = """
struct Job { unsigned *out; };
extern "C" __global__ void neighbours(const __grid_constant__ Job job) {
    __shared__ unsigned values[THREADS];
    unsigned number = blockIdx.x * blockDim.x + threadIdx.x;
    values[threadIdx.x] = number;
    BARRIER;
    job.out[number] = values[(threadIdx.x + 1) % blockDim.x];
}
"""


@emulated
def test_a_missing_barrier_would_be_noticed(tmp_path: Path) -> None:
    source = tmp_path / "neighbours.cu"
    source.write_text(NEIGHBOURS)

    def neighbours(barrier: str) -> NDArray[np.uint32]:
        out = np.zeros((3, THREADS), np.uint32)
        run(
            compiled(source, f"-DBARRIER={barrier}"),
            "neighbours",
            3,
            np.uint64(out.ctypes.data).tobytes(),
            1,
        )
        return out

    expected = np.roll(np.arange(3 * THREADS).reshape(3, THREADS), -1, axis=1)
    np.testing.assert_array_equal(neighbours("__syncthreads()"), expected)
    assert (neighbours("") != expected).any()
    with pytest.raises(AssertionError, match="same barriers"):
        neighbours("if (threadIdx.x < 7) __syncthreads()")


@emulated
@pytest.mark.parametrize("antialias", [False, True])
def test_crops_that_do_not_fit_are_drawn_one_part_after_the_other(
    antialias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = scenes(MODELS, 2, 9, 1, 1, 32, 32)
    whole = on_emulated_gpu(MODELS, antialias=antialias, textures=TEXTURES).render(plans)
    monkeypatch.setattr("renderer._engines.cuda.renderer._SCRATCH_BYTES", 150_000)
    gpu = EmulatedGpu()
    renderer = CudaRasterRenderer(MODELS, TEXTURES, antialias=antialias, levels=False, launcher=gpu)
    parts = renderer.render(plans)
    assert 3 <= sum(kernel == "shade_pixels" for kernel, _ in gpu.launches) <= 9
    for name in ("rgb", "depth", "object_depth", "others_mask", "others_mask_visib"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def facing(vertices: NDArray[Any], faces: Any) -> tuple[CadModel, Plans]:
    """A flat shape, and a crop of 64 pixels in which 4 mm are a pixel and (0, 0) is the middle."""
    model = model_of(vertices, faces)
    plans = plans_from_poses(
        [model], [0], [np.eye(3)], 256.0, size=64, window=256.0, canonical=False
    )
    return model, dataclasses.replace(plans, translation=np.array([[0.0, 0.0, 256.0]]))


def test_edges_through_pixel_centres_belong_to_the_top_left(make: Make) -> None:
    left, top, right, bottom = (4 * (edge - 32) for edge in (10.5, 20.5, 14.5, 23.5))
    corners = np.array([(left, top, 0), (right, top, 0), (right, bottom, 0), (left, bottom, 0)])
    model, plans = facing(corners, [(0, 2, 1), (0, 3, 2)])
    expected = np.zeros((64, 64), bool)
    expected[20:23, 10:14] = True
    np.testing.assert_array_equal(make([model]).render(plans).mask[0], expected)


@emulated
@given(seed=st.integers(0, 2**32), snap=st.sampled_from([0.0, 0.5, 0.25]))
@settings(max_examples=10, deadline=None)
def test_triangles_of_a_tiling_neither_gap_nor_overlap(seed: int, snap: float) -> None:
    from scipy.spatial import Delaunay

    inner = np.random.default_rng(seed).uniform(5, 59, (25, 2))
    if snap:
        # Corners and edges through pixel centres are where fill rules go wrong.
        inner = np.unique(np.round(inner / snap) * snap, axis=0)
    corners = [(4.0, 4.0), (60.0, 4.0), (60.0, 60.0), (4.0, 60.0)]
    points = np.concatenate([corners, inner])
    vertices = np.column_stack([4 * (points - 32), np.zeros(len(points))])
    pieces = [model_of(vertices, [face]) for face in Delaunay(points).simplices]
    _, one = facing(vertices, [(0, 1, 2)])
    plans = one[np.zeros(len(pieces), int)]
    plans = dataclasses.replace(plans, object_index=np.arange(len(pieces), dtype=np.int32))
    covered = on_emulated_gpu(pieces).render(plans).mask.sum(axis=0)
    expected = np.zeros((64, 64), int)
    expected[4:60, 4:60] = 1
    np.testing.assert_array_equal(covered, expected)


def test_of_two_objects_at_one_depth_the_first_is_seen(make: Make) -> None:
    corners = np.array([(-40, -40, 0), (40, -40, 0), (40, 40, 0), (-40, 40, 0)], float)
    model, alone = facing(corners, [(0, 2, 1), (0, 3, 2)])
    others = Instances(
        np.zeros((1, 2), np.int32),
        np.broadcast_to(np.eye(3), (1, 2, 3, 3)).copy(),
        np.array([[[0.0, 0, 256], [20.0, 0, 256]]]),
    )
    plans = dataclasses.replace(alone, others=others, surfaces=Surfaces.plain(1, 2))
    batch = make([model]).render(plans)
    assert batch.mask[0].sum() == batch.mask_visib[0].sum() == 400
    assert (batch.others_mask[0].sum(axis=(1, 2)) == 400).all()
    # What the last one shows beside the target: 20 mm, five columns.
    assert batch.others_mask_visib[0].sum(axis=(1, 2)).tolist() == [0, 100]


def test_tensors_stay_where_they_were_drawn(make: Make) -> None:
    renderer = make(MODELS, textures=TEXTURES)
    plans = scenes(MODELS, 5, 4, 2, 1, 48, 40)
    tensors, batch = renderer.render_tensors(plans), renderer.render(plans)
    assert isinstance(tensors, CropTensors)
    assert len(tensors) == 4
    for name in ("rgb", "depth", "object_depth", "mask", "mask_visib", "others_mask_visib"):
        tensor = getattr(tensors, name)
        assert tensor.device == renderer.device
        np.testing.assert_array_equal(tensor.cpu().numpy(), getattr(batch, name))
    assert tensors.normals is None
    shared = torch.from_dlpack(tensors.depth)  # type: ignore[attr-defined]
    assert shared.data_ptr() == tensors.depth.data_ptr()
    assert batch.rgb.flags.writeable


def test_the_adapters_tensor_is_the_adapters(make: Make) -> None:
    renderer = make(MODELS, textures=TEXTURES)
    plans = scenes(MODELS, 6, 4, 1, 1, 64, 64)
    for window in (200.0, 120.0):
        found = renderer.render_tensors(plans).encode(window)
        batch = renderer.render(plans)
        expected = encode(batch.rgb, batch.depth, plans.centre_depth, window)
        assert found.device == renderer.device
        # A GPU may divide to another last bit.
        np.testing.assert_allclose(found.cpu().numpy(), expected, rtol=0, atol=2**-22)


def test_no_crops_are_an_empty_batch(make: Make) -> None:
    plans = scenes(MODELS, 0, 2, 1, 1, 64, 48)[:0]
    assert make(MODELS, textures=TEXTURES).render(plans).rgb.shape == (0, 48, 64, 3)


@pytest.mark.parametrize("z", [45.0, 0.0, -300.0])
def test_objects_at_the_camera_or_behind_it_are_refused_by_name(make: Make, z: float) -> None:
    plans = scenes(MODELS[1:2], 0, 3, 0, 1, 64, 64)
    plans.translation[1, 2] = z
    with pytest.raises(RenderError, match=r"^crop 1: ball reaches to .* mm.*farther away"):
        make(MODELS[1:2], textures=TEXTURES).render(plans)


def test_what_only_its_box_brings_too_near_is_drawn(make: Make) -> None:
    """A ball's box, turned, has a corner before the camera's plane; the ball has none."""
    model = ball(50)
    turn = uniform_rotation(np.array([0.3, 0.4, 0.6]))
    plans = plans_from_poses([model], [0], [turn], 62.0, size=64, window=100.0, canonical=False)
    expected = on_processor([model]).render(plans)
    assert expected.mask.sum() > 1000
    assert_same(make([model]).render(plans), expected)


def test_bad_plans_and_models_are_refused_as_by_the_processor(make: Make) -> None:
    plans = scenes(MODELS, 0, 5, 0, 1, 64, 64)
    with pytest.raises(RenderError, match=r"asks for model .*, but there are 1"):
        make(MODELS[:1], textures=TEXTURES).render(plans)
    broken = plans.translation.copy()
    broken[4, 1] = np.nan
    with pytest.raises(RenderError, match="crop 4 has a translation that is not finite"):
        make(MODELS, textures=TEXTURES).render(dataclasses.replace(plans, translation=broken))
    with pytest.raises(RenderError, match="no models"):
        make([])


@emulated
def test_more_objects_than_a_key_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = scenes(MODELS, 0, 1, 4, 1, 16, 16)
    monkeypatch.setattr("renderer._engines.cuda.renderer._bits", lambda count: 30)
    with pytest.raises(RenderError, match=r"5 objects of up to 5,120 faces.*use RasterRenderer"):
        on_emulated_gpu(MODELS, textures=TEXTURES).render(plans)


@emulated
def test_too_little_memory_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB")

    monkeypatch.setattr(CudaRasterRenderer, "_empty_images", exhausted)
    plans = scenes(MODELS, 0, 3, 0, 1, 64, 64)
    with pytest.raises(RenderError, match=r"memory is too small for 3 crops of 64 x 64.*fewer"):
        on_emulated_gpu(MODELS, textures=TEXTURES).render(plans)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so_in_one_sentence() -> None:
    with pytest.raises(RenderError, match=r"^no CUDA device was found: .*`renderer` raster.*[^.]$"):
        on_gpu(MODELS)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("renderer._engines.cuda.device._find", torch.device)
    monkeypatch.setitem(sys.modules, "cuda", None)
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(MissingDependency, match=r"needs cuda-bindings; .* 'render-adapt\[cuda"):
        on_gpu(MODELS)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependency, match=r"needs torch; .* 'render-adapt\[cuda"):
        on_gpu(MODELS)


def nvrtc_is_here() -> bool:
    try:
        from cuda.bindings import nvrtc

        nvrtc.nvrtcVersion()
    except (ImportError, RuntimeError):
        return False
    return True


@pytest.mark.skipif(not nvrtc_is_here(), reason="needs cuda-bindings and NVRTC")
def test_kernels_compile_for_gpus_from_turing_on() -> None:
    for architecture in ("sm_75", "sm_90", "sm_120"):
        assert compile_kernels(architecture).startswith(b"\x7fELF")
    with pytest.raises(RenderError, match="does not know sm_999: install"):
        compile_kernels("sm_999")


@emulated
def test_throughput_is_measured_and_told() -> None:
    clock = StageClock(EmulatedGpu())
    figures = measure(clock, faces=300, crops=4, repeats=2)
    rates, times = figures["crops/s"], figures["us a crop"]
    assert rates["on the GPU"] > rates["in the processor's memory"] * 0.5 > 0
    kernels = {"project_vertices", "draw_faces", "keep_target", "shade_pixels"}
    assert {name for name in times if name.endswith(", kernel")} == {
        f"{k}, kernel" for k in kernels
    }
    assert 0 < sum(times[f"{kernel}, kernel"] for kernel in kernels) < 1e6
    assert figures["differs from the processor's"]["pixels of the masks"] == 0
    text = describe(10_000, figures)
    assert "(target 100,000)" in text
    assert max(times, key=lambda name: times[name]) in text.splitlines()[-2]
    assert not clock.seconds()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_the_benchmark_says_so_in_one_sentence() -> None:
    command = [sys.executable, "-m", "benchmarks.cuda_rendering"]
    result = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(r"benchmarks.cuda_rendering: no CUDA device [^.\n]*\n", result.stderr)


@needs_cuda
def test_devices_that_are_not_there_are_refused() -> None:
    for device in ("cuda:99", "cpu"):
        with pytest.raises(RenderError, match="give one of them"):
            CudaRasterRenderer(MODELS, device=device)
    with pytest.raises(RenderError, match="give 'cuda'"):
        CudaRasterRenderer(MODELS, device="gpu")


@needs_cuda
def test_drawing_waits_for_nothing() -> None:
    """CUDA's own check for calls that wait finds none."""
    renderer = on_gpu(MODELS, textures=TEXTURES)
    plans = scenes(MODELS, 3, 64, 1, 1, 64, 64)
    renderer.render(plans)
    torch.cuda.set_sync_debug_mode("error")
    try:
        renderer.render_tensors(plans).encode()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@needs_cuda
def test_crops_are_drawn_in_torchs_stream() -> None:
    renderer = on_gpu(MODELS, textures=TEXTURES)
    plans = scenes(MODELS, 3, 64, 1, 1, 64, 64)
    expected = renderer.render(plans)
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        tensors = renderer.render_tensors(plans)
        sums = tensors.rgb.long().sum()
    stream.synchronize()
    assert sums.item() == expected.rgb.astype(np.int64).sum()
