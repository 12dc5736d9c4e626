"""STEP files, which are turned into triangles in a process that may crash, hang or swell."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cad_models import CadModel, ModelError, load_models
from checked_settings import MissingDependency
from tests.looks import from_above, from_below
from tests.step_files import step_ball, step_box

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
BOX = step_box((100, 60, 40), (0.5, 0, 0), BLUE)

needs_converter = pytest.mark.skipif(
    importlib.util.find_spec("cascadio") is None, reason="cascadio is not installed"
)


def write(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def load(path: Path, **options: Any) -> CadModel:
    [model] = load_models([f"widget={path}"], **options)
    return model


def refused(path: Path, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))


@needs_converter
class TestShapes:
    @pytest.mark.parametrize(
        ("unit", "size"), [(".MILLI.", (100, 60, 40)), ("$", (0.1, 0.06, 0.04))]
    )
    @pytest.mark.parametrize("suffix", [".step", ".STP"])
    def test_a_box_with_the_axes_and_the_size_of_the_file(
        self, tmp_path: Path, unit: str, size: tuple[float, ...], suffix: str
    ) -> None:
        model = load(write(tmp_path / f"a{suffix}", step_box(size, RED, BLUE, unit)))
        np.testing.assert_allclose(model.bounds, [[0, 0, 0], [100, 60, 40]], atol=1e-4)
        assert len(model.mesh.faces) == 12
        assert len(model.mesh.vertices) == 24

    def test_colours_of_bodies_and_of_faces(self, tmp_path: Path) -> None:
        """Values are sRGB: 0.5 is 128."""
        model = load(write(tmp_path / "a.step", BOX))
        assert from_above(model)[32, 32].tolist() == [0, 0, 255]
        assert from_below(model)[32, 32].tolist() == [128, 0, 0]

    def test_an_assembly(self, tmp_path: Path) -> None:
        content = step_box((100, 60, 40), RED, BLUE, assembled=True)
        model = load(write(tmp_path / "a.step", content))
        np.testing.assert_allclose(model.bounds, [[0, 0, 0], [300, 60, 40]], atol=1e-4)
        assert len(model.mesh.faces) == 24
        picture = from_above(model)
        # 300 mm are 32 pixels, and the gap is in the middle.
        assert [picture[32, column].tolist() for column in (20, 32, 44)] == [
            [0, 0, 255], [0, 0, 0], [0, 0, 255],
        ]  # fmt: skip

    @pytest.mark.parametrize("radius", [5.0, 500.0])
    def test_curved_surfaces_whatever_their_size(self, tmp_path: Path, radius: float) -> None:
        mesh = load(write(tmp_path / "a.step", step_ball(radius))).mesh
        distance = np.linalg.norm(mesh.vertices, axis=1) / radius
        np.testing.assert_allclose(distance, 1, atol=1e-5)
        np.testing.assert_allclose(mesh.normals, mesh.vertices / radius, atol=1e-3)
        middles = np.linalg.norm(mesh.vertices[mesh.faces].mean(axis=1), axis=1) / radius
        assert middles.min() > 0.995
        assert 1000 < len(mesh.faces) < 5000


class TestRefusals:
    def test_without_the_converter(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
        path = write(tmp_path / "a.step", BOX)
        with pytest.raises(
            MissingDependency, match=r"pip install 'render-adapt\[step\]'"
        ) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}, a STEP file, needs cascadio; ")

    @needs_converter
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("The quick brown fox", "is not a STEP file"),
            ("ISO-10303-21;", "has no surfaces that can be read"),
            (BOX[: len(BOX) // 2], "has no surfaces that can be read"),
        ],
    )
    def test_damaged(self, tmp_path: Path, content: str, message: str) -> None:
        refused(write(tmp_path / "a.step", content), message)

    @needs_converter
    def test_one_that_takes_for_ever(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        worker = write(tmp_path / "worker.py", "import time\nwhile True: time.sleep(1)\n")
        monkeypatch.setattr("cad_models._files.step.reader._WORKER", worker)
        monkeypatch.setattr("cad_models._files.step.reader._SECONDS", 1)
        refused(write(tmp_path / "a.step", BOX), "takes more than 1 s to turn into triangles")

    @needs_converter
    def test_one_that_takes_all_memory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The limit is the converter's process's."""
        monkeypatch.setattr("cad_models._files.step.reader._MEMORY", 64 * 1024**2)
        refused(write(tmp_path / "a.step", BOX), "cannot be turned into triangles within 120 s")

    @needs_converter
    @pytest.mark.parametrize(
        "code", ["import os; os.abort()", "import sys; sys.stdout.buffer.write(bytes(2**20))"]
    )
    def test_one_that_ends_the_converter_or_grows_without_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
    ) -> None:
        monkeypatch.setattr(
            "cad_models._files.step.reader._WORKER", write(tmp_path / "worker.py", code)
        )
        monkeypatch.setattr("cad_models._files.step.reader.MAX_BYTES", 2**20 - 1)
        refused(write(tmp_path / "a.step", BOX), "ends the converter; export it as STL or 3MF")
