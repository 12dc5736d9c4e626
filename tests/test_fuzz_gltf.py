"""glTF files from strangers, with all that the reader looks at: a model, or one sentence."""

from __future__ import annotations

import base64
import json
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cad_models import ModelError, SourceFiles
from cad_models._files.gltf.document import Document
from tests.fuzzing import damaged_bytes, damaged_json
from tests.gltf_files import SQUARE, Gltf, glb, load
from tests.test_fuzz_models import loads_or_refuses

QUICK = settings(max_examples=100, deadline=None)


def scene() -> Gltf:
    """Masks, tints, wraps, transforms, a skin, morph targets, sparse numbers and instances."""
    file = Gltf(scene=0, extensionsUsed=["KHR_texture_transform", "EXT_mesh_gpu_instancing"])
    picture = np.random.default_rng(0).integers(0, 256, (4, 8, 4)).astype(np.uint8)
    texture = file.texture(picture, wrapS=33071, wrapT=33648)
    texture["extensions"] = {"KHR_texture_transform": {"scale": [2, 1], "rotation": 0.3}}
    again = file.texture(picture[:, :, :3], magFilter=9728) | {"texCoord": 0}
    colors = np.random.default_rng(1).random((4, 4)).astype("<f4")
    masked = file.material(texture, [1, 1, 0.5, 0.9], alphaMode="MASK", alphaCutoff=0.4)
    blended = file.material(again, [0.2, 1, 1, 1], alphaMode="BLEND", emissiveFactor=[1, 0, 0])
    joints = np.array([[0, 1, 0, 0]] * 4, "u1")
    weights = file.accessor(np.array([[200, 55, 0, 0]] * 4, "u1"), normalized=True)
    sparse = {
        "count": 1,
        "indices": {"bufferView": file.view(bytes([2])), "componentType": 5121},
        "values": {"bufferView": file.view(SQUARE[2].tobytes())},
    }
    primitive = file.square(
        masked, POSITION=file.accessor(SQUARE, sparse=sparse), COLOR_0=colors,
        NORMAL=np.array([[0, 0, 1]] * 4, "<f4"), JOINTS_0=joints, WEIGHTS_0=weights,
    )  # fmt: skip
    primitive["targets"] = [{"POSITION": file.accessor(SQUARE)}]
    strip = file.square(blended, COLOR_0=colors) | {"mode": 5}
    fan = file.square(file.material(factor=[0.2, 0.3, 0.4, 1])) | {"mode": 6}
    del fan["indices"]
    skin = file.add("skins", joints=[0, 1])
    file.add("nodes", children=[1], rotation=[0, 0, 0.6, 0.8])
    file.add("nodes", translation=[0, 0, 0.01], scale=[1, -1, 1])
    mesh = file.add("meshes", primitives=[primitive, strip, fan], weights=[0.5])
    moved = file.accessor(np.array([(0, 0, 0), (0.1, 0, 0)], "<f4"))
    instances = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": moved}}}
    file.add("nodes", mesh=mesh, skin=skin, children=[3])
    file.add("nodes", mesh=mesh, matrix=np.eye(4).ravel().tolist(), extensions=instances)
    file.add("scenes", nodes=[0, 2])
    return file


def embedded(file: Gltf) -> dict[str, Any]:
    text = base64.b64encode(file.blob).decode()
    uri = f"data:application/octet-stream;base64,{text}"
    return file.root | {"buffers": [{"byteLength": len(file.blob), "uri": uri}]}


def container(file: Gltf) -> bytes:
    root = file.root | {"buffers": [{"byteLength": len(file.blob)}]}
    return glb(json.dumps(root).encode(), file.blob)


def test_the_scene_itself_is_read() -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = load(scene().write(Path(folder) / "a.glb"))
    assert model.mesh.texture is not None
    assert model.notes == (
        "a.glb: it is shown at rest, without animation",
        "a.glb: emission and transparency are left out",
    )


@QUICK
@given(damaged_json(embedded(scene())))
def test_damaged_scenes(content: bytes) -> None:
    loads_or_refuses("part.gltf", content)


@QUICK
@given(damaged_bytes(container(scene()), header=6000))
def test_damaged_containers(content: bytes) -> None:
    loads_or_refuses("part.glb", content)


_FORMATS = {5120: "b", 5121: "B", 5122: "h", 5123: "H", 5125: "I", 5126: "f"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


@QUICK
@given(
    st.binary(min_size=80, max_size=80),
    st.sampled_from(sorted(_FORMATS)),
    st.sampled_from(sorted(_WIDTHS)),
    *[st.integers(0, 24)] * 4,
    st.sampled_from([0, 0, 4, 8, 12, 13]),
)
def test_any_accessor(
    data: bytes, component: int, kind: str, count: int, start: int, offset: int, length: int,
    stride: int,
) -> None:  # fmt: skip
    """The numbers that the standard's words say, or a refusal where they lie outside."""
    view = {"buffer": 0, "byteOffset": offset, "byteLength": 3 * length, "byteStride": stride}
    accessor = {
        "bufferView": 0, "byteOffset": start, "componentType": component, "count": count,
        "type": kind,
    }  # fmt: skip
    root = {"asset": {"version": "2.0"}, "bufferViews": [view], "accessors": [accessor]}
    row = struct.Struct(f"<{_WIDTHS[kind]}{_FORMATS[component]}")
    places = [start + number * (stride or row.size) for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.glb"
        path.write_bytes(glb(json.dumps(root | {"buffers": [{}]}).encode(), data))
        document = Document(SourceFiles(path))
        if offset + 3 * length > 80 or any(place + row.size > 3 * length for place in places):
            with pytest.raises(ModelError):
                document.accessor(0, kind)
            return
        found = document.accessor(0, kind).rows(np.arange(count))
    part = data[offset : offset + 3 * length]
    expected = [row.unpack_from(part, place) for place in places]
    np.testing.assert_array_equal(found, np.reshape(expected, (count, _WIDTHS[kind])))
