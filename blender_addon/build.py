# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the extension: one zip for each platform, with everything that Blender's Python lacks.

numpy is not among the wheels: Blender has its own.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

ADDON = Path(__file__).resolve().parent
CHECKOUT = ADDON.parent
CONSTRAINTS = CHECKOUT / "constraints-addon.txt"

PACKAGES = (
    "safe_files", "checked_settings", "plug_ins", "cad_models", "renderer", "adapter",
    "render_adapt",
)  # fmt: skip
NOT_SHIPPED = ("build.py", "README.md", "blender_manifest.toml")
PYTHONS = ("3.11", "3.13", "3.14")
WHEEL_TAGS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_14_0_arm64", "macosx_13_0_arm64", "macosx_12_0_arm64",
                    "macosx_11_0_arm64"),
}  # fmt: skip
"""By Blender's name of a platform."""


def main() -> None:
    """Build what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--platforms", default="linux-x64", help=", ".join(WHEEL_TAGS))
    parser.add_argument("--pythons", default=",".join(PYTHONS), help="Blender's, 4.2 to 5.2")
    parser.add_argument("--out", type=Path, default=CHECKOUT / "build" / "addon")
    options = parser.parse_args()
    own_wheel = build_wheel(options.out / "wheels")
    for platform in options.platforms.split(","):
        if platform not in WHEEL_TAGS:
            parser.error(f"there is no platform {platform!r}: {', '.join(WHEEL_TAGS)}")
        bundled = fetch_wheels(options.out / "wheels", platform, options.pythons.split(","))
        archive = build_zip(options.out, platform, [own_wheel, *bundled])
        sys.stdout.write(f"{archive} {archive.stat().st_size / 1e6:.0f} MB\n")


def build_wheel(folder: Path) -> Path:
    """The packages as one wheel, from a copy: a build leaves files beside what it is built from."""
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "source"
        ignored = shutil.ignore_patterns("__pycache__")
        for package in PACKAGES:
            shutil.copytree(CHECKOUT / package, source / package, ignore=ignored)
        for file in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
            shutil.copy2(CHECKOUT / file, source / file)
        _pip("wheel", "--no-deps", "--wheel-dir", name, str(source))
        (wheel,) = Path(name).glob("*.whl")
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy2(wheel, folder / wheel.name))


def fetch_wheels(folder: Path, platform: str, pythons: Sequence[str]) -> list[Path]:
    """The wheels of CONSTRAINTS for a platform; those of last time, where nothing changed."""
    wheels: dict[str, Path] = {}
    for python in pythons:
        place = folder / f"{platform}-{python}"
        constraints = CONSTRAINTS.read_text("utf-8")
        complete = place / "complete"
        if not complete.exists() or complete.read_text("utf-8") != constraints:
            shutil.rmtree(place, ignore_errors=True)
            tags = [f"--platform={tag}" for tag in WHEEL_TAGS[platform]]
            _pip(
                "download", "--no-deps", "--only-binary=:all:", "--implementation=cp", *tags,
                f"--python-version={python}", f"--dest={place}", f"--requirement={CONSTRAINTS}",
            )  # fmt: skip
            complete.write_text(constraints, "utf-8")
        # A wheel for the stable ABI is the same file for all of them.
        wheels |= {wheel.name: wheel for wheel in place.glob("*.whl")}
    return list(wheels.values())


def build_zip(out: Path, platform: str, wheels: Sequence[Path]) -> Path:
    """Build the extension with Blender's own tool, and validate it."""
    with tempfile.TemporaryDirectory(dir=out) as name:
        source = Path(name)
        for file in ADDON.iterdir():
            if file.is_file() and file.name not in NOT_SHIPPED:
                shutil.copy2(file, source / file.name)
        (source / "wheels").mkdir()
        for wheel in wheels:
            shutil.copy2(wheel, source / "wheels" / wheel.name)
        (source / "blender_manifest.toml").write_text(_manifest(platform, wheels), "utf-8")
        archive = out / f"render_adapt-{_version()}-{platform}.zip"
        _extension_tool("build", f"--source-dir={source}", f"--output-filepath={archive}")
    _extension_tool("validate", str(archive))
    return archive


def _manifest(platform: str, wheels: Sequence[Path]) -> str:
    """The manifest with what depends on the build; its tables come last."""
    text = (ADDON / "blender_manifest.toml").read_text("utf-8").split("\n", 1)[1]
    names = "".join(f'    "./wheels/{name}",\n' for name in sorted(wheel.name for wheel in wheels))
    filled = f'platforms = ["{platform}"]\nwheels = [\n{names}]\n\n[permissions]'
    text = text.replace('version = "0.0.0"', f'version = "{_version()}"')
    return text.replace("[permissions]", filled)


def _version() -> str:
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", *arguments, "--quiet"], check=True)


def _extension_tool(*arguments: str) -> None:
    """Blender's own, from the bpy wheel of this Python."""
    pattern = re.compile(r"bpy/[\d.]+/scripts/addons_core/bl_pkg/cli/blender_ext\.py")
    bpy = distribution("bpy")
    (tool,) = [str(bpy.locate_file(file)) for file in bpy.files or () if pattern.match(str(file))]
    subprocess.run([sys.executable, tool, *arguments], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
