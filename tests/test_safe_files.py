"""Files that somebody else made are opened in one way, and ours are written in one."""

from __future__ import annotations

import ast
import hashlib
import math
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safe_files import (
    UnusableFileError,
    append_bytes,
    create_file,
    decode_picture,
    hash_folder,
    hash_open_file,
    list_folder,
    numbers_of,
    open_file,
    parse_json,
    parse_toml,
    partials_of,
    picture_size,
    read_file,
    remove_partials,
    write_file,
)

posix = pytest.mark.skipif(os.name != "posix", reason="links, pipes and devices of POSIX systems")


@pytest.fixture(params=["folders held open", "folders by name"])
def on_every_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a folder cannot be held open, as on Windows, it is gone by its name."""
    if request.param == "folders by name":
        monkeypatch.setattr(os, "supports_dir_fd", frozenset())


def refusal(path: Path, *, most: int = 1000, inside: Path | None = None) -> str:
    with pytest.raises(UnusableFileError) as caught:
        read_file(path, most=most, inside=inside)
    assert caught.value.filename == str(path)
    return str(caught.value.strerror)


@given(st.binary(max_size=300), st.integers(0, 300))
def test_a_file_is_read_whole_or_not_at_all(content: bytes, most: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        create_file(path, content)
        if len(content) > most:
            assert refusal(path, most=most).startswith("it is larger than")
        else:
            assert read_file(path, most=most, inside=Path(folder)) == content


_ANY_JSON = st.one_of(
    st.none(), st.booleans(), st.text(max_size=2), st.integers(-12, 12), st.floats(-12.0, 12.0),
    st.sampled_from([math.nan, math.inf, -math.inf, 10**400]),
)  # fmt: skip


@given(st.one_of(_ANY_JSON, st.lists(_ANY_JSON, max_size=3)), st.integers(0, 3))
def test_numbers_are_what_json_calls_so(values: Any, count: int) -> None:
    """Not true, not false, and none that is not finite."""
    numbers = [v for v in values if type(v) in (int, float)] if isinstance(values, list) else []
    are = isinstance(values, list) and len(numbers) == len(values) == count
    are = are and all(-10 <= number <= 10 for number in numbers)
    assert numbers_of(values, count, most=10.0) == (numbers if are else None)


@posix
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "folder", Path("/dev/zero"), Path("/dev/stdin")):
        assert refusal(path) == "it is not a regular file"
    assert refusal(tmp_path / "pipe", inside=tmp_path) == "it is not a regular file"


@posix
def test_a_sparse_file_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 3 * 2**30)
    assert refusal(path, most=2**20) == "it is larger than 1 MiB"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_what_the_system_makes_up_as_it_is_read_is_refused() -> None:
    assert refusal(Path("/proc/self/status")) == "it changes while it is read"


@posix
def test_a_file_is_in_its_folder_wherever_its_links_lead(
    tmp_path: Path, on_every_system: None
) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, inside / "deep", outside):
        folder.mkdir()
        (folder / "file").write_bytes(folder.name.encode())
    (inside / "to_file").symlink_to("deep/file")
    (inside / "to_folder").symlink_to("deep")
    (inside / "out").symlink_to(outside / "file")
    (inside / "out_folder").symlink_to(outside)
    (inside / "round").symlink_to("round")
    for name in ("to_file", "to_folder/file", "deep/file"):
        assert read_file(inside / name, most=10, inside=inside) == b"deep"
    for name in ("out", "out_folder/file"):
        assert (
            refusal(inside / name, inside=inside)
            == "it is a link to something outside of its folder"
        )
    assert refusal(inside / ".." / "outside" / "file", inside=inside) == "it is not in its folder"
    assert refusal(outside / "file", inside=inside) == "it is not in its folder"
    assert refusal(inside / "round", inside=inside) == "its links lead in a circle"
    # The folder itself may be a link: the user named it.
    (tmp_path / "link").symlink_to(inside)
    assert read_file(tmp_path / "link/deep/file", most=10, inside=tmp_path / "link") == b"deep"


def test_what_is_not_there_is_said_as_the_system_says_it(
    tmp_path: Path, on_every_system: None
) -> None:
    for inside in (None, tmp_path):
        with pytest.raises(FileNotFoundError):
            read_file(tmp_path / "none" / "file", most=10, inside=inside)
        assert refusal(tmp_path / "nul\0", inside=inside).startswith("its name has a character")


def test_what_macos_leaves_is_passed_over(tmp_path: Path) -> None:
    for name in ("b.png", "._b.png", "a.PNG", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_folder(tmp_path, frozenset({".png"}))] == ["a.PNG", "b.png"]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_a_written_file_takes_the_place_of_what_was_there(before: bytes, after: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_file(folder / "file", before)
        write_file(folder / "file", after)
        assert (folder / "file").read_bytes() == after
        assert os.listdir(folder) == ["file"]
        with open_file(folder / "file", most=300) as file:
            assert hash_open_file(file) == hashlib.sha256(after).hexdigest()


@posix
def test_links_that_somebody_planted_are_never_followed(
    tmp_path: Path, on_every_system: None
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("the user's")
    (tmp_path / "link").symlink_to(precious)
    write_file(tmp_path / "link", "ours")
    assert precious.read_text() == "the user's"
    assert (tmp_path / "link").read_text() == "ours"
    assert not (tmp_path / "link").is_symlink()
    (tmp_path / "dangling").symlink_to(tmp_path / "new")
    with pytest.raises(FileExistsError):
        create_file(tmp_path / "dangling", b"ours")
    assert not (tmp_path / "new").exists()


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, on_every_system: None) -> None:
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "kept").touch()
    with pytest.raises(OSError, match=r".*"):
        write_file(tmp_path / "file", "ours")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.several_seconds
@posix
def test_a_killed_write_leaves_the_old_file_and_what_it_left_can_be_swept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"0" * 1_000_000)
    code = (
        "import sys, pathlib, safe_files\n"
        "number = 0\n"
        "while True:\n"
        "    number += 1\n"
        "    safe_files.write_file(pathlib.Path(sys.argv[1]), b'%d' % (number % 10) * 1_000_000)\n"
    )
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", code, str(path)])
        began = path.stat().st_ino
        while path.stat().st_ino == began:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        content = path.read_bytes()
        assert len(content) == 1_000_000
        assert len(set(content)) == 1
    assert {path, *partials_of(path)} == set(tmp_path.iterdir())
    (tmp_path / ".other.partial").touch()
    remove_partials(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".other.partial", "file"]


KINDS = (".png", ".jpg", ".bmp", ".webp", ".tiff")


@given(st.sampled_from(KINDS), st.integers(1, 70), st.integers(1, 70))
def test_pictures_are_as_large_as_their_headers_say(kind: str, width: int, height: int) -> None:
    picture = np.full((height, width, 3), 200, np.uint8)
    content = cv2.imencode(kind, picture)[1].tobytes()
    assert picture_size(content) == (width, height)
    decoded = decode_picture(content)
    assert decoded is not None
    assert decoded.shape == picture.shape
    assert decode_picture(content, most_pixels=width * height - 1) is None


@given(st.sampled_from(KINDS), st.data())
def test_damaged_pictures_are_none(kind: str, data: st.DataObject) -> None:
    content = bytearray(cv2.imencode(kind, np.zeros((5, 7, 3), np.uint8))[1].tobytes())
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(content[: data.draw(st.integers(0, len(content)))])
    decoded = decode_picture(cut, cv2.IMREAD_UNCHANGED, most_pixels=10_000)
    assert decoded is None or decoded.shape[0] * decoded.shape[1] <= 10_000


def test_a_jpeg_with_spare_bytes_before_its_size() -> None:
    """Any number of 255 may stand before a marker, and markers without a length between them."""
    content = cv2.imencode(".jpg", np.full((5, 7, 3), 200, np.uint8))[1].tobytes()
    filled = content[:2] + b"\xff" * 9 + b"\xff\x01" + content[2:]
    assert picture_size(filled) == picture_size(content) == (7, 5)


def test_a_bmp_of_os2() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8)
    size = struct.pack("<IHHHH", 12, 8, 5, 1, 24)
    start = struct.pack("<2sIHHI", b"BM", 26 + picture.size, 0, 0, 26)
    content = start + size + picture[::-1].tobytes()
    assert picture_size(content) == (8, 5)
    decoded = decode_picture(content)
    assert decoded is not None
    np.testing.assert_array_equal(decoded, picture)


def test_a_webp_that_begins_with_no_picture_is_none() -> None:
    content = cv2.imencode(".webp", np.zeros((5, 7, 3), np.uint8))[1].tobytes()
    changed = content[:12] + b"EXIF" + content[16:]
    assert picture_size(changed) is None
    assert decode_picture(changed) is None


def test_a_png_of_gigabytes_is_none() -> None:
    content = bytearray(cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes())
    content[16:24] = (2**16).to_bytes(4, "big") * 2
    assert decode_picture(bytes(content)) is None


@posix
def test_bytes_are_added_to_a_file_of_ours_and_to_no_link(tmp_path: Path) -> None:
    for content in (b"one", b"", b"two"):
        append_bytes(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == b"onetwo"
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(OSError, match="link"):
        append_bytes(tmp_path / "link", b"three")
    assert (tmp_path / "file").read_bytes() == b"onetwo"


@posix
def test_a_folder_is_hashed_through_and_no_link_followed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    contents = {"a": b"", "in/b": b"b", "in/deep/c": bytes(3 * 2**20)}
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "empty").mkdir()
    expected: dict[str, str | None] = {
        name: hashlib.sha256(content).hexdigest() for name, content in contents.items()
    }
    assert hash_folder(folder) == expected
    (folder / "to_file").symlink_to("a")
    (folder / "in/to_folder").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    odd = dict.fromkeys(("to_file", "in/to_folder", "pipe"))
    assert hash_folder(folder) == {**expected, **odd}


def test_nesting_that_cannot_be_told_is_no_json_and_no_toml() -> None:
    assert parse_json('{"a": [1]}') == {"a": [1]}
    assert parse_toml(b"\xef\xbb\xbfa.b = [1.5]") == {"a": {"b": [1.5]}}
    for text in ("[" * 100_000, "9" * 5000, "nan nan", b"\xff"):
        with pytest.raises(ValueError, match=r".*"):
            parse_json(text)
    for content in (b"a." * 200_000 + b"a = 1", b"a = " + b"9" * 5000, b"a = " + b"[" * 10_000):
        with pytest.raises(ValueError, match=r".*"):
            parse_toml(content)


PACKAGES = ("plug_ins", "cad_models", "renderer", "adapter", "render_adapt", "blender_addon")
OPENERS = {
    "open", "read_bytes", "read_text", "write_bytes", "write_text", "imread", "imwrite", "fromfile",
    "tofile", "load_file", "save_file", "safe_open", "read_table", "read_parquet", "write_parquet",
    "ZipFile", "ParquetFile", "InferenceSession", "memmap", "genfromtxt", "loadtxt", "savez",
    "save", "load",
}  # fmt: skip
ALLOWED = {
    "blender_addon/build.py": "builds the extension from our own checkout",
    "cad_models/builtin/make_models.py": "makes the built-in models in a checkout",
    "plug_ins/_plug_ins.py: load": "an entry point of an installed package",
    "cad_models/_files/three_mf/archive.py: open": "a member of an archive in memory",
    "cad_models/_files/three_mf/archive.py: ZipFile": "an archive in memory",
    "cad_models/_files/pictures.py: open": "Pillow, of a picture in memory",
    "cad_models/_files/step/worker.py: open": "the null device",
    "cad_models/_files/step/worker.py: load": "the converter, of bytes",
    "renderer/_engines/blender/inside/passes.py: open": "the null device",
    "renderer/_engines/blender/inside/passes.py: read_bytes": "what Blender drew, in our folder",
    "renderer/_engines/cuda/device.py: read_text": "the package's own source",
    "renderer/_engines/cuda/device.py: read_bytes": "the package's own source",
    "renderer/_engines/raster/level_cache.py: read_bytes": "the package's own source",
    "renderer/_engines/raster/level_cache.py: load": "numpy, of bytes whose hash is right",
    "renderer/_engines/raster/level_cache.py: savez": "numpy, into memory",
    "adapter/_training/checkpoint.py: safe_open": "a file that `open_file` has looked at",
    "adapter/_runtime/onnx.py: InferenceSession": "of bytes",
    "render_adapt/_paper/scenarios/cache.py: load": "numpy, of arrays whose hashes are right",
    "render_adapt/_formats/bop_webdataset.py: open": "a tar file that `open_file` has opened",
    "render_adapt/_readers/webdataset_pipeline.py: open": "a tar file that `open_file` has opened",
    "render_adapt/_cli/streams.py: open": "the null device",
    "render_adapt/_formats/index.py: write_parquet": "into memory",
    "render_adapt/_runs/pipeline.py: open": "`RunFolder.open`",
    "render_adapt/_align/dataset.py: open": "`RunFolder.open`",
    "render_adapt/_existing/crop.py: open": "`RunFolder.open`",
    "render_adapt/_merge/merge.py: open": "`RunFolder.open`",
    "render_adapt/_report/page.py: read_text": "the package's own page",
    "blender_addon/job_operators.py: open": "a browser",
    "blender_addon/job_process.py: open": "the log, in the session's own temporary folder",
    "blender_addon/job_process.py: read_text": "the log, in the session's own temporary folder",
    "renderer/_engines/blender/inside/materials.py: load": "Blender, of pictures looked at",
    "blender_addon/operators.py: load": "Blender, of a preview in the session's temporary folder",
}
"""Where packages open files otherwise, and why these need no look."""


def calls_that_open(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    methods = {function.attr for function in called if isinstance(function, ast.Attribute)}
    functions = {function.id for function in called if isinstance(function, ast.Name)}
    return methods & OPENERS | functions & (OPENERS - {"load", "save"})


def test_files_are_opened_and_written_here_alone() -> None:
    root = Path(__file__).resolve().parents[1]
    found = set()
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            name = file.relative_to(root).as_posix()
            if name not in ALLOWED:
                found |= {f"{name}: {call}" for call in calls_that_open(file)}
    allowed = {name for name in ALLOWED if ": " in name}
    assert found - allowed == set()
    assert allowed - found == set(), "no longer needed"
