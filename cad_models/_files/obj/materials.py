"""Materials of OBJ files.

Source: http://paulbourke.net/dataformats/mtl.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cad_models._mesh.color_values import as_bytes

_ARGUMENTS = {
    "-blendu": 1, "-blendv": 1, "-cc": 1, "-clamp": 1, "-bm": 1, "-boost": 1, "-texres": 1,
    "-imfchan": 1, "-type": 1, "-colorspace": 1, "-mm": 2, "-o": 3, "-s": 3, "-t": 3,
}  # fmt: skip
"""Of a map's options, at most."""
_RELIEF = ("bump", "map_bump", "norm", "map_kn", "disp", "map_disp")


@dataclass(frozen=True)
class TextureMap:
    """A picture and how it lies on the surface."""

    name: str
    folder: str
    """Of the MTL file that names it, below the OBJ file's own."""
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    clamp: bool = False
    """Whether nothing of it is to be seen outside of (0, 0) to (1, 1)."""

    def moved(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 2) texture coordinates as they are in the picture."""
        return coordinates * self.scale + self.offset


@dataclass
class Material:
    """What is shown of a material."""

    diffuse: NDArray[np.uint8] | None = None
    """(3,), RGB."""
    texture: TextureMap | None = None
    opacity: float = 1.0
    left_out: set[str] = field(default_factory=set)
    """What else it says that can be seen and is not shown."""


def parse(text: str, folder: str) -> dict[str, Material]:
    """The materials of an MTL file by name.

    `map_Ka` stands in where there is no `map_Kd`. `Tr` is not read: of the programs that write it,
    some mean by 1 what others mean by 0.
    """
    materials: dict[str, Material] = {}
    material, ambient = Material(), False
    for line in text.splitlines():
        key, _, rest = line.strip().replace("\t", " ").partition(" ")
        key, rest = key.lower(), rest.strip()
        if key == "newmtl":
            material, ambient = materials.setdefault(rest, Material()), False
        elif key == "kd":
            material.diffuse = _color(rest)
        elif key == "d" and (numbers := _numbers(rest.removeprefix("-halo").split())):
            material.opacity = numbers[0]
        elif key in ("map_kd", "map_ka") and rest:
            if material.texture is None or (key == "map_kd" and ambient):
                material.texture = _texture(rest, folder, material)
                ambient = key == "map_ka"
        elif key in _RELIEF and rest:
            material.left_out.add("relief")
        elif key in ("map_d", "map_opacity") and rest:
            material.left_out.add("transparency")
        elif key == "map_ke" or (key == "ke" and any(_numbers(rest.split()))):
            material.left_out.add("glow")
    for material in materials.values():
        if 0 < material.opacity < 1:
            material.left_out.add("transparency")
    return materials


def _numbers(words: list[str]) -> list[float]:
    """Those at the beginning that are finite."""
    numbers = []
    for word in words:
        try:
            numbers.append(float(word))
        except ValueError:
            break
        if not np.isfinite(numbers[-1]):
            return []
    return numbers


def _color(text: str) -> NDArray[np.uint8] | None:
    """As most viewers show it: the values are the picture's, not the light's."""
    numbers = _numbers(text.split())
    if len(numbers) == 1:
        numbers *= 3
    return as_bytes(np.array([numbers[:3]]))[0] if len(numbers) >= 3 else None


def _texture(text: str, folder: str, material: Material) -> TextureMap | None:
    words, at = text.split(), 0
    values: dict[str, list[float]] = {}
    clamp = False
    while at < len(words) - 1 and words[at].lower() in _ARGUMENTS:
        option = words[at].lower()
        arguments = words[at + 1 : at + 1 + _ARGUMENTS[option]]
        if option in ("-o", "-s", "-t", "-mm"):
            values[option] = _numbers(arguments)
            arguments = arguments[: len(values[option])]
        clamp |= option == "-clamp" and arguments == ["on"]
        at += 1 + len(arguments)
    # Blanks within the name stay as they are.
    name = text.split(maxsplit=at)[-1].strip().strip('"') if at < len(words) else ""
    if not name:
        return None
    if "-t" in values or "-mm" in values:
        material.left_out.add("texture's -t or -mm")
    scale = [*values.get("-s", []), 1.0, 1.0]
    offset = [*values.get("-o", []), 0.0, 0.0]
    return TextureMap(name, folder, (scale[0], scale[1]), (offset[0], offset[1]), clamp)
