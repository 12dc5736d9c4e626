"""Each package offers what its `__all__` says, no more and no less."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import FunctionType, ModuleType

import pytest

PACKAGES = [
    "adapter", "adapter.losses", "cad_models", "checked_settings", "plug_ins", "render_adapt",
    "render_adapt.blenderproc", "renderer", "safe_files",
]  # fmt: skip


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def test_all_is_sorted_and_importable(package: ModuleType) -> None:
    def constants_classes_functions(name: str) -> tuple[bool, bool, str]:
        return not name.isupper(), not name[0].isupper(), name

    assert package.__all__ == sorted(set(package.__all__), key=constants_classes_functions)
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_nothing_public_is_left_out_of_all(package: ModuleType) -> None:
    public = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and name not in {"annotations", "Any", "TYPE_CHECKING"}
    }
    assert public <= set(package.__all__)


def test_every_public_object_has_a_docstring(package: ModuleType) -> None:
    undocumented = [
        name
        for name in package.__all__
        if isinstance(getattr(package, name), type | FunctionType)
        and not getattr(package, name).__doc__
    ]
    assert undocumented == []


@pytest.mark.parametrize("package_name", sorted({*PACKAGES} - {"adapter.losses"}))
def test_importing_a_package_does_not_import_what_is_heavy(package_name: str) -> None:
    """Blender's own Python has numpy, opencv and onnxruntime only."""
    code = (
        f"import sys, {package_name}; heavy = {{'torch', 'numba', 'trimesh', 'pyrender', 'ray', "
        "'pyarrow', 'cyclopts', 'rich', 'scipy'}; print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
