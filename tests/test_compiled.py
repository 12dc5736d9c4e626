"""What is compiled is kept on disk, and a damaged file there is no error."""

from __future__ import annotations

import gc
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numba
import pytest

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[: len(content) // 2],
    "a byte missing": lambda content: content[:-1],
    "zeros, as after a power cut": lambda content: bytes(len(content)),
    "something else": lambda content: b"cos\nsystem_of_another_kind\n." + content,
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    door = "from renderer._engines.raster.compiled import compiled\n"
    code = "@compiled\ndef twice(x):\n    return 2 * x\n"
    (tmp_path / "some_code.py").write_text(door + code)
    return tmp_path


def loaded(folder: Path) -> ModuleType:
    """The module anew, as another process would have it."""
    spec = importlib.util.spec_from_file_location("some_code", folder / "some_code.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hits(module: ModuleType) -> int:
    assert module.twice(21.0) == 42.0
    return sum(module.twice.stats.cache_hits.values())


def test_garbage_is_collected_as_before_once_it_is_compiled(cache: Path) -> None:
    hits(loaded(cache))
    assert gc.isenabled()
    gc.disable()
    try:
        loaded(cache).twice(21)  # a whole number: another signature
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_is_compiled_is_kept(cache: Path) -> None:
    assert [hits(loaded(cache)) for _ in range(3)] == [0, 1, 1]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_a_damaged_file_is_made_anew(cache: Path, kind: str, damage: str) -> None:
    assert hits(loaded(cache)) == 0
    [file] = (cache / "cache").rglob(f"*.{kind}")
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    assert [hits(loaded(cache)) for _ in range(2)] == [0, 1]


@pytest.mark.skipif(os.name != "posix", reason="homes of POSIX systems")
@pytest.mark.parametrize("home", [None, "relative"])
def test_without_a_home_nothing_is_written_where_it_does_not_belong(
    tmp_path: Path, home: str | None
) -> None:
    code = (
        "import pwd\n"
        "def unknown(number):\n"
        "    raise KeyError(number)\n"
        "pwd.getpwuid = unknown\n"
        "from renderer._engines.raster.cache_folder import cache_folder\n"
        "print(cache_folder())\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
    environment.pop("HOME", None)
    if home is not None:
        environment["HOME"] = home
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert found.stdout.strip() == "None"
    assert not any(tmp_path.iterdir())
