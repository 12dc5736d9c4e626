"""Who may import whom: packages below packages, and rooms below rooms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BOTTOM = {"safe_files", "checked_settings", "plug_ins"}
BELOW: dict[str, set[str]] = {
    "safe_files": set(),
    "checked_settings": set(),
    "plug_ins": set(),
    "cad_models": BOTTOM,
    "renderer": {*BOTTOM, "cad_models"},
    "adapter": BOTTOM,
    "render_adapt": {*BOTTOM, "cad_models", "renderer", "adapter"},
}
"""The packages that each may import."""
ROOMS = {
    "safe_files": ("_decode", "_hash", "_lock", "_read", "_write"),
    "checked_settings": ("_errors", "_rules", "_check"),
    "plug_ins": ("_plug_ins",),
    "cad_models": (
        "_outermost", "_model", "_mesh", "_names", "_declared", "_units", "_files", "_registry",
        "builtin",
    ),
    "renderer": ("_streams", "_crops", "_refusals", "_pictures", "_plans", "_capture", "_engines"),
    "adapter": (
        "_errors", "_settings", "_cut", "_crop_tensor", "_files", "_batches", "_processes",
        "losses", "_networks", "_measures", "_runtime", "_target", "_training",
    ),
    "render_adapt": (
        "_own_packages", "_exceptions", "_printable", "_files", "_stores", "_coupling",
        "_fidelity", "_verdict", "_frames", "_formats", "_planner", "_config", "_run_models",
        "_runs", "_readers", "_pairs", "blenderproc", "_existing", "_merge", "_verify", "_report",
        "_train", "_target_crops", "_align", "_fit", "_paper", "_jobs", "jobs", "_cli", "_start",
        "__main__",
    ),
}  # fmt: skip
"""Each may import those before it."""
PAPER_ROOMS = ("files", "machine", "scenarios", "training", "results", "reproduce")
"""So within `render_adapt/_paper`."""


def imports(package: str) -> Iterator[tuple[Path, list[str]]]:
    """Files of a package, and the modules that each imports, in parts."""
    for file in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                assert node.level == 0 or package == "safe_files", f"{file}: a relative import"
                names = [node.module] if node.level == 0 else [f"{package}.{node.module}"]
            for name in names:
                yield file, name.split(".")


@pytest.mark.parametrize("package", BELOW)
def test_packages_import_only_what_is_below_them(package: str) -> None:
    known = BELOW[package] | {package}
    strange = {
        (file.relative_to(ROOT).as_posix(), module[0])
        for file, module in imports(package)
        if module[0] in {*BELOW, "benchmarks", "blender_addon", "tests"} - known
    }
    assert strange == set()


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_only_what_is_before_them(package: str) -> None:
    order = {room: number for number, room in enumerate(ROOMS[package])}
    upward = set()
    for file, module in imports(package):
        room = file.relative_to(ROOT / package).parts[0].removesuffix(".py")
        if module[0] != package or len(module) == 1 or room == "__init__":
            continue
        if order[module[1]] > order[room]:
            upward.add((file.relative_to(ROOT).as_posix(), ".".join(module)))
    assert upward == set()


@pytest.mark.parametrize("package", ROOMS)
def test_every_room_is_in_its_place(package: str) -> None:
    there = {
        path.name.removesuffix(".py")
        for path in (ROOT / package).iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert there - {"__init__"} == set(ROOMS[package])


def test_the_papers_rooms_import_only_what_is_before_them_and_published_names() -> None:
    order = {room: number for number, room in enumerate(PAPER_ROOMS)}
    folder = ROOT / "render_adapt/_paper"
    strange = set()
    for file, module in imports("render_adapt/_paper"):
        name = (file.relative_to(ROOT).as_posix(), ".".join(module))
        if module[0] in BELOW["render_adapt"] and len(module) > 1:
            strange.add(name)
        if module[:2] == ["render_adapt", "_paper"]:
            room = file.relative_to(folder).parts[0].removesuffix(".py")
            if order[module[2]] > order[room]:
                strange.add(name)
    assert strange == set()


FINDS_OUR_OWN = {"render_adapt/_own_packages.py"}
"""Takes the working directory off the path, where something may lie in front of our packages."""


@pytest.mark.parametrize("package", BELOW)
def test_nothing_reaches_for_what_is_not_installed_with_it(package: str) -> None:
    """No package changes where modules are found, or imports the benchmarks by their name."""
    reached = set()
    files = set((ROOT / package).rglob("*.py")) - {ROOT / name for name in FINDS_OUR_OWN}
    for file in sorted(files):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            changes_path = isinstance(node, ast.Attribute) and (
                ast.unparse(node) in ("sys.path", "sys.meta_path", "sys.path_hooks")
            )
            imports_path = isinstance(node, ast.ImportFrom) and (
                node.module == "sys" and "path" in {alias.name for alias in node.names}
            )
            called = node.func if isinstance(node, ast.Call) else None
            by_name = called is not None and ast.unparse(called).endswith("import_module")
            names_benchmarks = by_name and "benchmarks" in ast.unparse(node)
            if changes_path or imports_path or names_benchmarks:
                reached.add(f"{file.relative_to(ROOT).as_posix()}: {ast.unparse(node)}")
    assert reached == set()
