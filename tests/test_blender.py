"""Blender as an engine: what only it does, and what happens where it is missing or ends."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.engine_pictures import crowded_crops
from cad_models import load_models
from renderer import (
    BlenderRenderer,
    Instances,
    Plans,
    RenderError,
    Surfaces,
    check_engine,
    plans_from_poses,
    rotation_about,
)
from renderer._engines.blender import wire
from renderer._engines.blender.inside.exr import read_exr
from tests.blend_files import PYTHON_VARIABLE
from tests.shapes import ball, rectangle

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(
    scope="module", params=[pytest.param("installed", marks=pytest.mark.several_seconds)]
)
def blender() -> None:
    check = check_engine("blender")
    if not check.works:
        pytest.skip(f"Blender does not work here: {check.message.split(':')[0]}")


def plate(**options: object) -> Plans:
    """A crop that a square of 100 mm fills, 500 mm away, facing the camera."""
    return plans_from_poses(
        [rectangle(-50, -50, 50, 50)], [0], [np.eye(3)], 500.0, window=80.0, size=16,
        canonical=False, **options,
    )  # fmt: skip


def test_a_worker_needs_nothing_of_its_python_but_numpy_and_bpy(tmp_path: Path) -> None:
    (tmp_path / "bpy.py").write_text("raise ImportError('as far as this')")
    for package in Path(np.__file__).parents[1].glob("numpy*"):
        (tmp_path / package.name).symlink_to(package)
    script = CHECKOUT / "renderer/_engines/blender/inside/worker.py"
    start = f"import runpy, sys; sys.path.append({str(tmp_path)!r}); "
    start += f"runpy.run_path({str(script)!r}, run_name='__main__')"
    request = io.BytesIO()
    wire.send(request, {})
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", start], input=request.getvalue(), capture_output=True
    )
    answers = io.BytesIO(result.stdout)
    wire.await_greeting(answers)
    assert str(wire.receive(answers)["error"]).endswith("(as far as this)")


def test_light_is_kept_off_by_what_is_before_it(blender: None) -> None:
    models = [rectangle(-50, -50, 50, 50), rectangle(-10, -50, 10, 50)]
    # Light comes from the left at 45 degrees: the strip, 30 mm in front, has its shadow on x from
    # 20 to 40 mm of the plate, beside itself as the camera sees it.
    plans = plate(light_direction=(-1.0, 0.0, -1.0), light_color=0.8, ambient_color=0.0)
    others = Instances(
        np.array([[1]], np.int32), np.eye(3)[None, None], np.array([[[0.0, 0.0, 470.0]]])
    )
    plans = dataclasses.replace(plans, others=others, surfaces=Surfaces.plain(1, 1))
    with_shadow = BlenderRenderer(models)
    row = with_shadow.render(plans).rgb[0, 8, :, 0]
    with_shadow.close()
    # A pixel is 5 mm; the strip is seen from -10.6 to 10.6 mm.
    lit = 200 * 0.8 * np.sqrt(0.5)
    np.testing.assert_allclose(row[[0, 1, 2, 3, 4, 7, 8]], lit, atol=1)
    np.testing.assert_allclose(row[12:15], 0, atol=8)  # nothing but what the strip sends back


def sky(folder: Path) -> Path:
    """A folder with an HDRI picture whose upper half shines, four times as much as white."""
    picture = np.zeros((32, 64, 3), np.float32)
    picture[:16] = 4.0
    assert cv2.imwrite(str(folder / "sky.hdr"), picture)
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.mark.parametrize("tilt", [-60.0, 0.0, 45.0])
def test_surroundings_light_what_faces_them(blender: None, tilt: float, tmp_path: Path) -> None:
    turned = rotation_about((1.0, 0.0, 0.0), np.radians(tilt))
    model = rectangle(-50, -50, 50, 50, normals=[(0, 0, -1)] * 4)
    upright = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])  # the model's z is the image's up
    lying = dataclasses.replace(
        model,
        mesh=dataclasses.replace(
            model.mesh,
            vertices=(model.mesh.vertices @ turned.T @ upright).astype(np.float32),
            normals=(model.mesh.normals @ turned.T @ upright).astype(np.float32),
        ),
    )
    plans = plans_from_poses(
        [lying], [0], [upright], 500.0, window=30.0, size=8, canonical=False,
        light_color=0.0, ambient_color=(0.6, 0.5, 0.4),
    )  # fmt: skip
    renderer = BlenderRenderer([lying], environments=sky(tmp_path), samples=64)
    rgb = renderer.render(plans).rgb[0]
    renderer.close()
    # A plate whose normal is at t from up is lit by a sky of 2 (on the mean 1) as by 1 + cos t.
    normal = turned @ [0, 0, -1.0]
    share = 1 + normal @ [0, -1.0, 0]
    expected = np.minimum(200 * share * np.array([0.6, 0.5, 0.4]), 255)
    np.testing.assert_allclose(rgb.mean(axis=(0, 1)), expected, atol=4)


def test_which_picture_lights_a_crop_is_drawn_from_the_seed(blender: None, tmp_path: Path) -> None:
    folder = sky(tmp_path)
    dark = np.zeros((32, 64, 3), np.float32)
    dark[:, :16] = 1.0
    assert cv2.imwrite(str(folder / "window.hdr"), dark)
    model = ball(40)
    plans = plans_from_poses([model], [0] * 6, [np.eye(3)] * 6, 500.0, size=16, light_color=0.0)

    def rendered(seed: int, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        renderer = BlenderRenderer([model], environments=folder, seed=seed)
        rgb = renderer.render(plans[rows]).rgb
        renderer.close()
        return rgb

    first = rendered(0, np.arange(6))
    assert len(np.unique(first.reshape(6, -1), axis=0)) == 6
    np.testing.assert_array_equal(first[[4, 1]], rendered(0, np.array([4, 1])))
    assert (first != rendered(1, np.arange(6))).any()


def test_passes_are_the_same_through_a_file(blender: None) -> None:
    models = load_models(["ape", "cat"])
    plans = crowded_crops(models, 2)
    batches = []
    for through_file in (False, True):
        renderer = BlenderRenderer(models, through_file=through_file)
        batches.append(renderer.render(plans, surface_maps=True))
        renderer.close()
    for field in dataclasses.fields(batches[0]):
        if field.name != "plans":
            a, b = (getattr(batch, field.name) for batch in batches)
            np.testing.assert_array_equal(a, b)


def test_what_blenders_cameras_cannot_do_is_refused(blender: None) -> None:
    renderer = BlenderRenderer([rectangle(-50, -50, 50, 50)])
    plans = plate()
    skewed = plans.camera_matrix.copy()
    skewed[0, 0, 1] = 3.0
    with pytest.raises(RenderError, match="K has a skew of 3"):
        renderer.render(dataclasses.replace(plans, camera_matrix=skewed))
    with pytest.raises(RenderError, match="3 x 3 pixels are too small for Blender"):
        renderer.render(dataclasses.replace(plans, width=3, height=3))
    # It goes on afterwards.
    assert renderer.render(plans).mask.all()
    renderer.close()


HERE = """
import hashlib, sys
from cad_models import load_models
from benchmarks.engine_pictures import crowded_crops
from renderer import BlenderRenderer
models = load_models(["ape", "cat"])
renderer = BlenderRenderer(models)
crops = renderer.render(crowded_crops(models, 2))
print(renderer.description)
print(hashlib.sha256(crops.rgb.tobytes() + crops.depth.tobytes()).hexdigest())
import bpy
mine = [scene for scene in bpy.data.scenes if scene.name.startswith("render-adapt")]
assert mine
renderer.close()
print([thing.name for kind in (bpy.data.scenes, bpy.data.objects, bpy.data.meshes,
       bpy.data.materials, bpy.data.worlds, bpy.data.images, bpy.data.lights, bpy.data.cameras)
       for thing in kind if thing.name.startswith("render-adapt")])
"""


def test_in_blenders_own_python_it_is_the_same_and_leaves_nothing_behind(blender: None) -> None:
    python = os.environ.get(PYTHON_VARIABLE)
    if not python or subprocess.run([python, "-c", "import cv2"], capture_output=True).returncode:
        pytest.skip(f"needs {PYTHON_VARIABLE} to name a Python that has cv2 beside bpy")
    surroundings = {n: v for n, v in os.environ.items() if n != PYTHON_VARIABLE}
    # An interpreter with bpy may hang at its end.
    result = subprocess.run(
        [python, "-c", HERE], capture_output=True, text=True, timeout=600, cwd=CHECKOUT,
        env={**surroundings, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    description, digest, left = result.stdout.splitlines()
    assert description.endswith("in this process")
    assert left == "[]"
    models = load_models(["ape", "cat"])
    renderer = BlenderRenderer(models)
    crops = renderer.render(crowded_crops(models, 2))
    renderer.close()
    assert digest == hashlib.sha256(crops.rgb.tobytes() + crops.depth.tobytes()).hexdigest()


def program(file: Path, code: str) -> Path:
    """A program that takes Blender's arguments and speaks as our worker does."""
    file.write_text(
        f"#!{sys.executable}\nimport os, sys\nsys.path.insert(0, {str(CHECKOUT)!r})\n"
        "from renderer._engines.blender import wire\nout = sys.stdout.buffer\n" + code
    )
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


GREET = "print('Blender 9.9, Read prefs', flush=True); out.write(wire.GREETING); out.flush()\n"


def test_a_blender_that_dies_is_told_of_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = GREET + "wire.receive(sys.stdin.buffer)\nsys.exit('out of memory')\n"
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setenv("RENDER_ADAPT_BLENDER", str(program(tmp_path / "blender", code)))
    renderer = BlenderRenderer([rectangle(-50, -50, 50, 50)])
    with pytest.raises(RenderError, match=r"has died \(exit code 1, .*: out of memory\)"):
        renderer.render(plate())


def test_what_is_wrong_on_blenders_side_is_said_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = GREET + (
        "m = wire.receive(sys.stdin.buffer)\n"
        "assert len(wire.unpack_list('mesh', m)[0]['faces']) == 2\n"
        "wire.send(out, {'error': 'Blender 2.8 is too old: use 4.2 to 5.2.'})\n"
        "sys.stdin.read()\n"
    )
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setenv("RENDER_ADAPT_BLENDER", str(program(tmp_path / "blender", code)))
    renderer = BlenderRenderer([rectangle(-50, -50, 50, 50)])
    with pytest.raises(RenderError, match=r"blender: Blender 2\.8 is too old"):
        renderer.render(plate())


def test_the_other_process_ends_with_the_renderer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = GREET + (
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "wire.receive(sys.stdin.buffer)\nwire.send(out, {'version': '9.9'})\nsys.stdin.read()\n"
    )
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setenv("RENDER_ADAPT_BLENDER", str(program(tmp_path / "blender", code)))
    renderer = BlenderRenderer([rectangle(-50, -50, 50, 50)])
    assert renderer.description == f"Blender 9.9 through {tmp_path / 'blender'}"
    process = int((tmp_path / "pid").read_text())
    os.kill(process, 0)
    del renderer
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_python_without_bpy_and_a_program_that_is_missing_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer = BlenderRenderer([rectangle(-50, -50, 50, 50)])
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)
    with pytest.raises(RenderError, match=r"cannot be used as Blender 4\.2 to 5\.2 can .*bpy"):
        renderer.render(plate())
    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "python"))
    with pytest.raises(RenderError, match=f"{PYTHON_VARIABLE} is .*no program: make an env"):
        renderer.render(plate())
    monkeypatch.delenv(PYTHON_VARIABLE)
    monkeypatch.delenv("RENDER_ADAPT_BLENDER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RenderError, match="there is no Blender: make an environment"):
        renderer.render(plate())


def test_settings_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    models = [rectangle(-50, -50, 50, 50)]
    with pytest.raises(RenderError, match="samples is 0: give at least 1"):
        BlenderRenderer(models, samples=0)
    (tmp_path / "._sky.hdr").write_bytes(b"what macOS writes beside it")
    with pytest.raises(RenderError, match="no HDRI pictures"):
        BlenderRenderer(models, environments=tmp_path)


def test_messages_come_through_as_they_were() -> None:
    message = {
        "picture": np.arange(24, dtype=np.uint8).reshape(2, 4, 3)[:, ::-1],
        "nothing": np.empty((0, 3)),
        "text": "Grüße",
        "flag": True,
        "number": np.float32(1.5),
    }
    stream = io.BytesIO()
    wire.send(stream, message)
    stream.seek(0)
    received = wire.receive(stream)
    assert list(received) == list(message)
    np.testing.assert_array_equal(received["picture"], message["picture"])
    assert received["nothing"].shape == (0, 3)
    assert (str(received["text"]), bool(received["flag"])) == ("Grüße", True)
    assert received["number"].dtype == np.float32
    with pytest.raises(EOFError):
        wire.receive(io.BytesIO(stream.getvalue()[:-1]))


def test_a_greeting_is_found_behind_other_output() -> None:
    stream = io.BytesIO(b"Blender 4.5\n" + wire.GREETING[:5] + wire.GREETING + b"rest")
    wire.await_greeting(stream)
    assert stream.read() == b"rest"
    with pytest.raises(EOFError):
        wire.await_greeting(io.BytesIO(wire.GREETING[:-1]))


def attribute(name: str, kind: str, content: bytes) -> bytes:
    return (
        name.encode() + b"\0" + kind.encode() + b"\0" + len(content).to_bytes(4, "little") + content
    )


def exr(channels: list[str], *, kind: int = 2, compression: int = 0, flags: int = 0) -> bytes:
    """An OpenEXR file, 3 wide and 2 high; each value is all its own.

    After https://openexr.com/en/latest/OpenEXRFileLayout.html.
    """
    listed = b"".join(
        name.encode() + b"\0" + np.array([kind, 0, 1, 1], "<i4").tobytes() for name in channels
    )
    head = np.array([20000630, 2 | flags], "<u4").tobytes()
    head += attribute("channels", "chlist", listed + b"\0")
    head += attribute("compression", "compression", bytes([compression]))
    head += attribute("dataWindow", "box2i", np.array([5, 7, 7, 8], "<i4").tobytes()) + b"\0"
    values = np.arange(6 * len(channels), dtype="<f4").reshape(2, -1)
    lines = [
        np.array([row, 12 * len(channels)], "<i4").tobytes() + line.tobytes()
        for row, line in zip((7, 8), values, strict=True)
    ]
    first = len(head) + 16
    return head + np.array([first, first + len(lines[0])], "<u8").tobytes() + b"".join(lines)


def test_openexr_files_are_read_as_the_standard_has_them() -> None:
    channels = read_exr(exr(["A", "View.Depth.V"]))
    np.testing.assert_array_equal(channels["A"], [[0, 1, 2], [6, 7, 8]])
    np.testing.assert_array_equal(channels["View.Depth.V"], [[3, 4, 5], [9, 10, 11]])


def test_openexr_files_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(RenderError, match="compressed"):
        read_exr(exr(["A"], compression=3))
    with pytest.raises(RenderError, match="not of 32-bit floats"):
        read_exr(exr(["A"], kind=1))
    for other in (b"GIF89a" + bytes(20), exr(["A"], flags=0x1000)):
        with pytest.raises(RenderError, match="no OpenEXR file of one part"):
            read_exr(other)
