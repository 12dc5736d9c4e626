"""glTF files put together number by number, and what a render shows of them."""

from __future__ import annotations

import base64
import json
import math
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cad_models import CadModel, load_models
from renderer import RasterRenderer, plans_from_poses

Color = tuple[int, int, int]
_COMPONENTS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
_KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
SQUARE = np.array([(-0.05, -0.05, 0), (0.05, -0.05, 0), (0.05, 0.05, 0), (-0.05, 0.05, 0)], "<f4")
"""100 mm, facing +z."""
SQUARE_UV = np.array([(0, 1), (1, 1), (1, 0), (0, 0)], "<f4")
"""The picture upright on it."""
SQUARE_FACES = np.array([0, 1, 2, 0, 2, 3], "<u2")


class Gltf:
    """A file that grows; each method gives the number of what it adds."""

    def __init__(self, **root: Any) -> None:
        self.root: dict[str, Any] = {"asset": {"version": "2.0"}, **root}
        self.blob = b""

    def add(self, kind: str, **fields: Any) -> int:
        entries = self.root.setdefault(kind, [])
        entries.append(fields)
        return len(entries) - 1

    def view(self, raw: bytes, **fields: Any) -> int:
        start = len(self.blob)
        self.blob += raw + bytes(-len(raw) % 4)
        return self.add("bufferViews", buffer=0, byteOffset=start, byteLength=len(raw), **fields)

    def accessor(self, values: ArrayLike, **fields: Any) -> int:
        """Of an array's rows and kind of number; scalars where it has no rows."""
        array = np.asarray(values)
        return self.add(
            "accessors",
            **{
                "bufferView": self.view(array.tobytes()),
                "componentType": _COMPONENTS[array.dtype.str[1:]],
                "count": len(array),
                "type": _KINDS[array[0].size],
                **fields,
            },
        )

    def image(self, picture: NDArray[np.uint8], suffix: str = ".png") -> int:
        content = encoded(picture, suffix)
        mime = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}[suffix]
        return self.add("images", bufferView=self.view(content), mimeType=mime)

    def texture(self, picture: NDArray[np.uint8], **sampler: Any) -> dict[str, Any]:
        """A texture's place in a material."""
        index = self.add("samplers", **sampler)
        return {"index": self.add("textures", source=self.image(picture), sampler=index)}

    def material(self, texture: Any = None, factor: Any = None, **fields: Any) -> int:
        base = {}
        if texture is not None:
            base["baseColorTexture"] = texture
        if factor is not None:
            base["baseColorFactor"] = factor
        return self.add("materials", pbrMetallicRoughness=base, **fields)

    def square(self, material: int | None = None, **attributes: Any) -> dict[str, Any]:
        """A primitive; attributes are accessors, or arrays for which they are added."""
        values = {"POSITION": SQUARE, "TEXCOORD_0": SQUARE_UV} | attributes
        fields: dict[str, Any] = {
            "attributes": {
                name: value if isinstance(value, int) else self.accessor(value)
                for name, value in values.items()
                if value is not None
            },
            "indices": self.accessor(SQUARE_FACES),
        }
        return fields if material is None else fields | {"material": material}

    def shown(self, *primitives: dict[str, Any], **node: Any) -> int:
        """A node with a mesh of these primitives."""
        mesh = self.add("meshes", primitives=list(primitives))
        return self.add("nodes", mesh=mesh, **node)

    def write(self, path: Path) -> Path:
        """As GLB, or for `.gltf` with its numbers in a data URI."""
        root = {**self.root, "buffers": [{"byteLength": len(self.blob)}]}
        if path.suffix == ".gltf":
            text = base64.b64encode(self.blob).decode()
            root["buffers"][0]["uri"] = f"data:application/octet-stream;base64,{text}"
            path.write_text(json.dumps(root))
        else:
            path.write_bytes(glb(json.dumps(root).encode(), self.blob))
        return path


def glb(text: bytes, blob: bytes) -> bytes:
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(blob), b"BIN\0") + blob
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def encoded(picture: NDArray[np.uint8], suffix: str = ".png") -> bytes:
    if picture.ndim == 3:
        picture = picture[..., [2, 1, 0, 3][: picture.shape[2]]]
    options = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else []
    return cv2.imencode(suffix, np.ascontiguousarray(picture), options)[1].tobytes()


def load(path: Path, **options: Any) -> CadModel:
    [model] = load_models([f"widget={path}"], **options)
    return model


def seen_from_front(model: CadModel) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(128, 128, 3) colours and (128, 128) mask from +z, y up, 1 mm a pixel at the model's middle
    depth, evenly lit. The model's box has its centre at the corner of four pixels."""
    plans = plans_from_poses(
        [model], [0], [np.diag([1.0, -1, -1])], 1e5, size=128, window=128.0, canonical=False,
        light_color=0.0, ambient_color=1.0,
    )  # fmt: skip
    crops = RasterRenderer([model], levels=False).render(plans)
    np.testing.assert_array_equal(crops.mask[0], crops.depth[0] > 0)
    return crops.rgb[0], crops.mask[0]


def color_at(model: CadModel, across: float, up: float) -> Color | None:
    """What is seen from the front so many millimetres from the middle of the model's box; None
    beside it."""
    rgb, mask = seen_from_front(model)
    row, column = math.floor(64 - up), math.floor(64 + across)
    red, green, blue = rgb[row, column].tolist()
    return (red, green, blue) if mask[row, column] else None
