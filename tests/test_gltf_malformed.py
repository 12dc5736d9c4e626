"""glTF files that break the standard in one place each: the refusal names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gltf_files import SQUARE, Gltf, glb, load
from tests.test_untrusted_files import refused


def written(file: Gltf, folder: Path) -> Path:
    """With its own list of buffers, where it has one."""
    path = folder / "a.glb"
    root = {"buffers": [{"byteLength": len(file.blob)}], **file.root}
    path.write_bytes(glb(json.dumps(root).encode(), file.blob))
    return path


def skinned(**changes: Any) -> Gltf:
    """A square that two joints hold; arrays take the place of the skin's or the square's own."""
    values = {
        "joints": np.array([[0, 1, 0, 0]] * 4, "u1"),
        "weights": np.array([[0.5, 0.5, 0, 0]] * 4, "<f4"),
        "inverse": np.tile(np.eye(4, dtype="<f4"), (2, 1, 1)),
        "nodes": [1, 2],
    } | changes
    file = Gltf()
    primitive = file.square(JOINTS_0=values["joints"], WEIGHTS_0=values["weights"])
    file.add("skins", joints=values["nodes"], inverseBindMatrices=file.accessor(values["inverse"]))
    file.shown(primitive, skin=0)
    file.add("nodes", translation=[0.1, 0, 0])
    file.add("nodes", translation=[0.3, 0, 0])
    file.root |= {"scene": 0, "scenes": [{"nodes": [0, 1, 2]}]}
    return file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": np.array([[0, 1, 0, 0]] * 4, "<f4")}, "joints are not integers"),
        ({"joints": np.array([[0, 2, 0, 0]] * 4, "u1")}, "not as many joints as its vertices"),
        ({"joints": np.array([[0, -1, 0, 0]] * 4, "i1")}, "not as many joints as its vertices"),
        ({"weights": np.zeros((4, 4), "<f4")}, "weights of a skin do not add up"),
        ({"weights": np.full((4, 4), np.inf, "<f4")}, "weights of a skin do not add up"),
        ({"inverse": np.eye(4, dtype="<f4")[None]}, "not as many matrices as joints"),
        ({"nodes": [1, 9]}, "no entry 9 in nodes"),
    ],
)
def test_a_skin(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    np.testing.assert_allclose(
        load(written(skinned(), tmp_path)).bounds[:, 0], [150, 250], atol=1e-3
    )
    refused(written(skinned(**changes), tmp_path), message)


def test_a_joint_outside_the_scene(tmp_path: Path) -> None:
    file = skinned()
    file.root["scenes"] = [{"nodes": [0, 1]}]
    refused(written(file, tmp_path), "joint 2 is not in the scene")


def test_a_skin_without_weights_counts_for_nothing(tmp_path: Path) -> None:
    file = skinned()
    del file.root["meshes"][0]["primitives"][0]["attributes"]["WEIGHTS_0"]
    np.testing.assert_allclose(load(written(file, tmp_path)).bounds[:, 0], [-50, 50], atol=1e-3)


def test_two_skinned_meshes_of_one_skin(tmp_path: Path) -> None:
    """The second finds the joints' places as the first did; normals turn with their joints."""
    file = skinned()
    turn = [float(np.sin(np.pi / 4)), 0, 0, float(np.cos(np.pi / 4))]
    for node in (1, 2):
        file.root["nodes"][node]["rotation"] = turn
    other = file.square(
        JOINTS_0=np.array([[0, 1, 0, 0]] * 4, "u1"),
        WEIGHTS_0=np.array([[0.0, 1.0, 0, 0]] * 4, "<f4"),
        NORMAL=np.array([(0, 0, 1)] * 4, "<f4"),
    )
    file.root["scenes"][0]["nodes"].append(file.shown(other, skin=0))
    mesh = load(written(file, tmp_path)).mesh
    np.testing.assert_allclose(mesh.vertices.min(axis=0), [150, 0, -50], atol=1e-3)
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [350, 0, 50], atol=1e-3)
    np.testing.assert_allclose(mesh.normals, [(0, -1, 0)] * len(mesh.normals), atol=1e-6)


Change = Callable[[Gltf, dict[str, Any]], object]


def primitive_of(file: Gltf) -> dict[str, Any]:
    primitive: dict[str, Any] = file.root["meshes"][0]["primitives"][0]
    return primitive


PRIMITIVES: dict[str, Change] = {
    "a primitive is not an object": lambda file, _: file.root["meshes"][0].update(primitives=[7]),
    "attributes is not an object": lambda _, primitive: primitive.update(attributes=[]),
    "a primitive's mode is 7": lambda _, primitive: primitive.update(mode=7),
    "indices are not unsigned integers": lambda file, primitive: primitive.update(
        indices=file.accessor(np.array([0, 1, 2], "i1"))
    ),
    "name vertices it does not have": lambda file, primitive: primitive.update(
        indices=file.accessor(np.array([0, 1, 4], "u1"))
    ),
    "NORMAL has not as many entries as POSITION": lambda file, primitive: primitive[
        "attributes"
    ].update(NORMAL=file.accessor(SQUARE[:3])),
    "coordinates that are not finite": lambda file, primitive: primitive["attributes"].update(
        POSITION=file.accessor(SQUARE + np.float32(np.inf))
    ),
    "colours are not finite numbers": lambda file, primitive: primitive["attributes"].update(
        COLOR_0=file.accessor(np.full((4, 3), np.nan, "<f4"))
    ),
    "not as many weights as morph targets": lambda file, primitive: (
        primitive.update(targets=[{"POSITION": file.accessor(SQUARE)}]),
        file.root["nodes"][0].update(weights=[1, 1]),
    ),
    "a morph target is not an object": lambda file, primitive: (
        primitive.update(targets=[3]),
        file.root["nodes"][0].update(weights=[1]),
    ),
    "accessor 1 is of type VEC2": lambda _, primitive: primitive["attributes"].update(
        POSITION=primitive["attributes"]["TEXCOORD_0"]
    ),
    "needs Draco": lambda file, primitive: (
        primitive.update(extensions={"KHR_draco_mesh_compression": {"bufferView": 0}}),
        file.root["accessors"][primitive["attributes"]["POSITION"]].pop("bufferView"),
    ),
    "needs meshopt": lambda file, _: (
        file.root.update(buffers=[{"byteLength": len(file.blob)}, {"byteLength": 99}]),
        file.root["bufferViews"][0].update(
            buffer=1, extensions={"EXT_meshopt_compression": {"buffer": 0}}
        ),
    ),
    "buffer 1 has no data": lambda file, _: (
        file.root.update(buffers=[{"byteLength": len(file.blob)}, {"byteLength": 99}]),
        file.root["bufferViews"][0].update(buffer=1),
    ),
    "byteStride is 65537": lambda file, _: file.root["bufferViews"][0].update(byteStride=2**16 + 1),
    "componentType is 5124": lambda file, _: file.root["accessors"][0].update(componentType=5124),
    "entry 0 of accessors is not an object": lambda file, _: file.root.update(accessors=[1]),
    "normalized is neither true nor false": lambda file, _: file.root["accessors"][0].update(
        normalized="yes"
    ),
    "sparse accessor's indices do not rise": lambda file, _: file.root["accessors"][0].update(
        sparse={
            "count": 2,
            "indices": {"bufferView": file.view(bytes([1, 1])), "componentType": 5121},
            "values": {"bufferView": file.view(SQUARE.tobytes())},
        }
    ),
    "a URI is not text": lambda file, _: file.root.update(buffers=[{"uri": 5}]),
    "a data URI has no data": lambda file, _: file.root.update(buffers=[{"uri": "data:nothing"}]),
    "a data URI is not base64": lambda file, _: file.root.update(
        buffers=[{"uri": "data:x;base64,A"}]
    ),
    "node 0 has a transform that is not finite": lambda file, _: (
        file.root["nodes"][0].update(scale=[1e200] * 3),
        file.add("nodes", scale=[1e200] * 3, children=[0]),
    ),
}


@pytest.mark.parametrize("message", PRIMITIVES)
def test_a_surface(tmp_path: Path, message: str) -> None:
    file = Gltf()
    file.shown(file.square())
    PRIMITIVES[message](file, primitive_of(file))
    refused(written(file, tmp_path), message)


def test_a_part_without_positions_is_left_out(tmp_path: Path) -> None:
    file = Gltf()
    file.shown(file.square(), file.square(POSITION=None))
    assert len(load(file.write(tmp_path / "a.glb")).mesh.faces) == 2


def test_normals_that_are_not_finite_are_made_anew(tmp_path: Path) -> None:
    file = Gltf()
    file.shown(file.square(NORMAL=np.array([(0, np.nan, 1)] * 4, "<f4")))
    normals = load(file.write(tmp_path / "a.glb")).mesh.normals
    np.testing.assert_allclose(normals, [(0, 0, 1)] * 4, atol=1e-6)


def test_a_morph_target_of_weight_0_is_not_looked_at(tmp_path: Path) -> None:
    file = Gltf()
    moved = {"POSITION": file.accessor(SQUARE)}
    file.shown(file.square() | {"targets": [3, moved, {}]}, weights=[0, 1, 1])
    np.testing.assert_allclose(
        load(file.write(tmp_path / "a.glb")).bounds[:, 0], [-100, 100], atol=1e-3
    )


@pytest.mark.parametrize("count", [4.0, 4])
def test_whole_numbers_may_be_written_as_floats(tmp_path: Path, count: float) -> None:
    file = Gltf()
    file.shown(file.square())
    file.root["accessors"][0]["count"] = count
    assert len(load(file.write(tmp_path / "a.glb")).mesh.vertices) == 4


def test_data_that_is_not_base64_is_percent_encoded(tmp_path: Path) -> None:
    file = Gltf()
    file.shown(file.square())
    text = "".join(f"%{value:02x}" for value in file.blob)
    file.root["buffers"] = [{"byteLength": len(file.blob), "uri": f"data:,{text}"}]
    path = tmp_path / "a.gltf"
    path.write_text(json.dumps(file.root))
    np.testing.assert_allclose(load(path).bounds, [[-50, -50, 0], [50, 50, 0]], atol=1e-3)


def textured() -> Gltf:
    file = Gltf()
    picture = np.full((2, 2, 3), (10, 200, 30), np.uint8)
    file.shown(file.square(file.material(file.texture(picture))))
    return file


MATERIALS: dict[str, Change] = {
    "alphaMode is CUT": lambda file, material: material.update(alphaMode="CUT"),
    "alphaCutoff is": lambda file, material: material.update(alphaCutoff="half"),
    "baseColorFactor is not 4 numbers": lambda file, material: material[
        "pbrMetallicRoughness"
    ].update(baseColorFactor=[1, 1, 1]),
    "neither repeated nor clamped nor mirrored": lambda file, _: file.root["samplers"][0].update(
        wrapS=1
    ),
    "no entry 7 in images": lambda file, _: file.root["textures"][0].update(source=7),
    "needs KTX2": lambda file, _: file.root["textures"].__setitem__(
        0, {"extensions": {"KHR_texture_basisu": {"source": 0}}}
    ),
    "needs the extension 'OF_MINE'": lambda file, _: file.root["textures"].__setitem__(
        0, {"extensions": {"OF_MINE": {"source": 0}}}
    ),
    "the texture 'image 0', which is not a picture": lambda file, _: file.root["images"][0].update(
        bufferView=1
    ),
    "the texture 'bark', which is not a picture": lambda file, _: file.root["images"][0].update(
        name="bark", bufferView=file.view(cut_png())
    ),
}


def cut_png() -> bytes:
    """A picture that states its size and breaks off."""
    file = Gltf()
    file.image(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    return file.blob[:60]


@pytest.mark.parametrize("message", MATERIALS)
def test_a_material(tmp_path: Path, message: str) -> None:
    file = textured()
    MATERIALS[message](file, file.root["materials"][0])
    refused(written(file, tmp_path), message)


def test_a_texture_without_an_image_shows_the_factor_alone(tmp_path: Path) -> None:
    file = Gltf()
    texture = {"index": file.add("textures")}
    file.shown(file.square(file.material(texture, factor=[1, 0, 0, 1])))
    mesh = load(file.write(tmp_path / "a.glb")).mesh
    assert mesh.texture is None
    assert np.array_equal(mesh.colors, [(255, 0, 0)] * 4)


INSTANCES: dict[str, Change] = {
    "attributes of instances differ in number": lambda file, attributes: attributes.update(
        TRANSLATION=file.accessor(np.zeros((3, 3), "<f4"))
    ),
    "an instance has a transform that is not finite": lambda file, attributes: attributes.update(
        TRANSLATION=file.accessor(np.full((2, 3), np.nan, "<f4"))
    ),
}


@pytest.mark.parametrize("message", INSTANCES)
def test_instances(tmp_path: Path, message: str) -> None:
    file = Gltf()
    attributes = {"SCALE": file.accessor(np.ones((2, 3), "<f4"))}
    file.shown(file.square(), extensions={"EXT_mesh_gpu_instancing": {"attributes": attributes}})
    INSTANCES[message](file, attributes)
    refused(written(file, tmp_path), message)
