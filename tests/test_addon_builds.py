"""The Blender extension for Windows and macOS, as far as Linux can look at it: its zips."""

from __future__ import annotations

import io
import os
import stat
import struct
import subprocess
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import parse_wheel_filename

from tests.blend_files import PYTHON_VARIABLE

CHECKOUT = Path(__file__).resolve().parents[1]
PYTHON = (3, 11)
PLATFORMS = {"windows-x64": ["win_amd64"], "macos-arm64": list(mac_platforms((14, 0), "arm64"))}
"""By Blender's names, what wheels may be of there."""
MOST_LETTERS = 140
"""Of a file in a wheel: Windows takes 260, and Blender unpacks wheels some 118 letters deep, below
`AppData` of a user with a long name."""
RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(10)),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get(PYTHON_VARIABLE), reason=f"needs {PYTHON_VARIABLE} to build with"
    ),
]


@pytest.fixture(scope="module", params=PLATFORMS)
def built(request: pytest.FixtureRequest) -> tuple[str, zipfile.ZipFile]:
    """A platform's name, and its zip, which Blender's own tool has validated."""
    out = CHECKOUT / "build" / "addon" / "other-platforms"
    subprocess.run(
        [
            os.environ[PYTHON_VARIABLE], "blender_addon/build.py", f"--platforms={request.param}",
            f"--pythons={PYTHON[0]}.{PYTHON[1]}", f"--out={out}",
        ],
        cwd=CHECKOUT, check=True, capture_output=True,
    )  # fmt: skip
    (file,) = out.glob(f"*-{request.param}.zip")
    return request.param, zipfile.ZipFile(file)


def wheels(archive: zipfile.ZipFile) -> Iterator[tuple[str, zipfile.ZipFile]]:
    for name in archive.namelist():
        if name.endswith(".whl"):
            yield PurePosixPath(name).name, zipfile.ZipFile(io.BytesIO(archive.read(name)))


def test_the_manifest_has_the_wheels_that_are_there(built: tuple[str, zipfile.ZipFile]) -> None:
    platform, archive = built
    manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    assert manifest["platforms"] == [platform]
    assert sorted(manifest["wheels"]) == sorted(f"./wheels/{name}" for name, _ in wheels(archive))


def test_wheels_are_for_that_platform(built: tuple[str, zipfile.ZipFile]) -> None:
    platform, archive = built
    tags: set[Tag] = {
        *cpython_tags(PYTHON, platforms=PLATFORMS[platform]),
        *compatible_tags(PYTHON, platforms=PLATFORMS[platform]),
    }
    names = set()
    for name, _ in wheels(archive):
        package, _, _, of_wheel = parse_wheel_filename(name)
        assert tags & of_wheel, name
        names.add(package)
    assert {"render-adapt", "onnxruntime", "opencv-python-headless", "arro3-core"} <= names
    assert "numpy" not in names  # Blender's own


def test_compiled_modules_are_for_that_processor(built: tuple[str, zipfile.ZipFile]) -> None:
    platform, archive = built
    compiled = 0
    for wheel, content in wheels(archive):
        for name in content.namelist():
            if name.endswith((".pyd", ".dll", ".so", ".dylib")):
                compiled += 1
                assert processor_of(content.read(name)) == platform, f"{wheel}: {name}"
    assert compiled >= 4


def processor_of(module: bytes) -> str | None:
    """Which of the platforms a compiled module is for, by the head of its file."""
    if module[:2] == b"MZ":
        place = struct.unpack_from("<I", module, 0x3C)[0]
        signature, machine = struct.unpack_from("<4sH", module, place)
        return "windows-x64" if (signature, machine) == (b"PE\0\0", 0x8664) else None
    magic, kind = struct.unpack_from("<2I", module)
    return "macos-arm64" if (magic, kind) == (0xFEEDFACF, 0x0100000C) else None


def test_files_can_be_written_there(built: tuple[str, zipfile.ZipFile]) -> None:
    """No links; names that Windows takes, that differ by more than case, and are not too long."""
    _, archive = built
    for wheel, content in (("the zip", archive), *wheels(archive)):
        names = content.namelist()
        assert len({name.casefold() for name in names}) == len(names), wheel
        for entry in content.infolist():
            assert not stat.S_ISLNK(entry.external_attr >> 16), f"{wheel}: {entry.filename}"
            assert len(entry.filename) <= MOST_LETTERS, f"{wheel}: {entry.filename}"
            for part in PurePosixPath(entry.filename).parts:
                assert part.isascii(), entry.filename
                assert not set(part) & set('<>:"|?*\\'), entry.filename
                assert part[-1] not in ". ", entry.filename
                assert part.partition(".")[0].casefold() not in RESERVED, entry.filename
