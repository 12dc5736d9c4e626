"""glTF files made to do harm: each is refused, in one sentence and without memory."""

from __future__ import annotations

import json
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from cad_models import load_models
from tests.gltf_files import SQUARE, Gltf, glb
from tests.test_fuzz_models import gltf
from tests.test_untrusted_files import refused


def peak_of(path: Path, message: str) -> float:
    """MB of memory that it took to refuse the file."""
    tracemalloc.start()
    try:
        refused(path, message)
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


class TestSmallFilesThatClaimMuch:
    """They are refused before memory is taken for what they claim."""

    @pytest.mark.parametrize("used", [False, True])
    def test_more_numbers_than_a_mesh_has(self, tmp_path: Path, used: bool) -> None:
        file = Gltf()
        primitive = file.square()
        matrices = file.add("accessors", componentType=5126, count=40_000_000, type="MAT4")
        if used:
            primitive["attributes"]["NORMAL"] = matrices
        file.shown(primitive)
        path = file.write(tmp_path / "a.gltf")
        message = "has 640000026 numbers in its accessors and the limit is 192000000"
        assert peak_of(path, message) < 5

    @pytest.mark.parametrize(
        ("attribute", "message"),
        [
            ("positions", "has 13333333 triangles and the limit is"),
            ("indices", "has 13333333 triangles and the limit is"),
            ("colours", "COLOR_0 has not as many entries as POSITION"),
            ("sparse", "reaches beyond its buffer view"),
        ],
    )
    def test_accessors_of_zeros(self, tmp_path: Path, attribute: str, message: str) -> None:
        file = Gltf()
        primitive = file.square()
        many = {"count": 40_000_000, "type": "VEC3", "componentType": 5126}
        if attribute == "positions":
            primitive["attributes"]["POSITION"] = file.add("accessors", **many)
            del primitive["indices"]
        elif attribute == "indices":
            primitive["indices"] = file.add(
                "accessors", **many | {"type": "SCALAR", "componentType": 5125}
            )
        elif attribute == "colours":
            primitive["attributes"]["COLOR_0"] = file.add("accessors", **many)
        else:
            view = file.view(bytes(8))
            place = {"bufferView": view, "componentType": 5121}
            sparse = {"count": 10_000_000, "indices": place, "values": place}
            primitive["attributes"]["POSITION"] = file.add("accessors", **many, sparse=sparse)
        file.shown(primitive)
        assert peak_of(file.write(tmp_path / "a.gltf"), message) < 5

    def test_textures_that_are_large_together(self, tmp_path: Path) -> None:
        """Each is a few bytes that state a size."""
        file = Gltf()
        header = struct.pack(">4sII5B", b"IHDR", 8000, 8000, 8, 2, 0, 0, 0)
        image = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header
        for number in range(100):
            file.add("images", bufferView=file.view(image))
            texture = {"index": file.add("textures", source=number)}
            file.shown(file.square(file.material(texture)))
        path = file.write(tmp_path / "a.glb")
        assert peak_of(path, "has textures of more than 134217728 pixels in all") < 20

    def test_one_texture_in_many_colours(self, tmp_path: Path) -> None:
        file = Gltf()
        texture = file.texture(np.zeros((2048, 2048, 3), np.uint8))
        for number in range(100):
            material = file.material(texture, factor=[number / 100, 0, 0, 1])
            file.shown(file.square(material))
        path = file.write(tmp_path / "a.glb")
        assert peak_of(path, "has textures of more than 134217728 pixels in all") < 20

    def test_one_pixel_that_is_clamped_far_out(self, tmp_path: Path) -> None:
        file = Gltf()
        texture = file.texture(np.zeros((1, 1, 3), np.uint8), wrapS=33071, wrapT=33071)
        coordinates = np.array([(0, 0), (1e30, 0), (1e30, 1e30), (0, 1e30)], "<f4")
        file.shown(file.square(file.material(texture), TEXCOORD_0=coordinates))
        [model] = load_models([f"widget={file.write(tmp_path / 'a.glb')}"])
        assert model.mesh.texture is not None
        assert model.mesh.texture.size == 3
        assert model.notes == (
            "a.glb: a texture is repeated where it should be clamped or mirrored",
        )

    @pytest.mark.parametrize("kind", ["roots", "children", "chain"])
    def test_nodes_without_end(self, tmp_path: Path, kind: str) -> None:
        file = Gltf()
        file.shown(file.square())
        below = {"chain": lambda k: {"children": [k + 1]}}.get(kind, lambda k: {"mesh": 0})
        file.root["nodes"] = [below(k) for k in range(300_000)]
        if kind == "children":
            file.root["nodes"][0] = {"children": [*range(1, 300_000)]}
        path = file.write(tmp_path / "a.gltf")
        refused(path, "has more than 50000 nodes")

    def test_a_long_chain_of_nodes(self, tmp_path: Path) -> None:
        file = Gltf()
        file.shown(file.square())
        file.root["nodes"] += [
            {"children": [k], "translation": [0, 0, 1e-3]} for k in range(20_000)
        ]
        [model] = load_models([f"widget={file.write(tmp_path / 'a.gltf')}"], units="mm")
        np.testing.assert_allclose(model.bounds[:, 2], 20, rtol=1e-6)

    @pytest.mark.parametrize(
        "children", [{0: [0]}, {0: [1], 1: [0]}, {0: [1, 2], 1: [3], 2: [3]}, {0: [1, 1]}]
    )
    def test_circles_and_shared_children(
        self, tmp_path: Path, children: dict[int, list[int]]
    ) -> None:
        file = Gltf(scene=0, scenes=[{"nodes": [0]}])
        file.shown(file.square())
        file.root["nodes"] = [{"mesh": 0, "children": children.get(k, [])} for k in range(4)]
        refused(file.write(tmp_path / "a.gltf"), "has several parents")

    def test_one_part_shown_too_often(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cad_models._files.gltf.reader.MAX_FACES", 100)
        monkeypatch.setattr("cad_models._mesh.checked.MAX_FACES", 100)
        content = gltf()
        nodes = [{"mesh": 0, "name": f"n{k}"} for k in range(101)]
        content |= {"nodes": nodes, "scenes": [{"nodes": list(range(101))}], "scene": 0}
        path = tmp_path / "a.gltf"
        path.write_text(json.dumps(content))
        refused(path, "has 101 triangles and the limit is 100")

    def test_instances_without_end(self, tmp_path: Path) -> None:
        file = Gltf()
        many = file.add("accessors", componentType=5126, count=40_000_000, type="VEC3")
        instances = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": many}}}
        file.shown(file.square(), extensions=instances)
        assert peak_of(file.write(tmp_path / "a.gltf"), "has more than 50000 nodes") < 5

    def test_parts_without_end(self, tmp_path: Path) -> None:
        file = Gltf()
        primitive = file.square()
        mesh = file.add("meshes", primitives=[primitive] * 1000)
        for number in range(100):
            file.add("nodes", mesh=mesh, skin=number)
        refused(file.write(tmp_path / "a.gltf"), "has more than 50000 nodes")

    def test_morph_targets_without_end(self, tmp_path: Path) -> None:
        file = Gltf()
        positions = file.accessor(np.tile(SQUARE, (5_000, 1)))
        primitive = file.square(POSITION=positions, TEXCOORD_0=None)
        del primitive["indices"]
        primitive |= {"targets": [{"POSITION": positions}] * 20_000}
        file.shown(primitive, weights=[1.0] * 20_000)
        refused(file.write(tmp_path / "a.gltf"), "has morph targets for 400020000 vertices")

    def test_entries_without_end(self, tmp_path: Path) -> None:
        path = tmp_path / "a.gltf"
        path.write_text('{"asset": {"version": "2.0"}, "extras": [' + "{}," * 1_000_000 + "0]}")
        assert peak_of(path, "has more than 2000000 entries in its JSON") < 20


class TestDamage:
    @pytest.mark.parametrize(
        "text",
        [
            "[" * 100_000,
            '{"asset": {"version": "2.0"}, "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
            '{"asset": {"version": "2.0"}, "scene": ' + "9" * 5000 + "}",
            '{"asset": {"version": "2.0"}, "scene": NaN}',
            '{"asset": {"version": "2.0"}, "nodes": 1}',
            '{"asset": 2}',
            "[]",
            "\ud800",
        ],
    )
    def test_json_that_is_none(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "a.gltf"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        refused(path, "cannot be read as glTF")

    @pytest.mark.parametrize(
        "value", [-1, 10**30, 10**400, 0.5, True, None, "0", [], 1e400, -(2**63)]
    )
    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            ("accessors", "bufferView"), ("accessors", "byteOffset"), ("accessors", "count"),
            ("accessors", "componentType"), ("accessors", "type"), ("bufferViews", "buffer"),
            ("bufferViews", "byteOffset"), ("bufferViews", "byteLength"),
            ("bufferViews", "byteStride"), ("nodes", "mesh"), ("nodes", "children"),
            ("nodes", "translation"), ("nodes", "matrix"), ("meshes", "primitives"),
        ],
    )  # fmt: skip
    def test_values_of_wrong_kinds(
        self, tmp_path: Path, kind: str, name: str, value: object
    ) -> None:
        file = Gltf()
        file.shown(file.square())
        file.root[kind][0][name] = value
        if (name, value) in (("children", []), ("primitives", [])):
            return
        text = json.dumps(file.root).replace("Infinity", "1e400")
        path = tmp_path / "a.glb"
        path.write_bytes(glb(text.encode(), file.blob))
        refused(path, ".")

    @pytest.mark.parametrize(
        ("kind", "name", "more"),
        [
            ("accessors", "byteOffset", 4), ("accessors", "count", 1),
            ("bufferViews", "byteOffset", 9999), ("bufferViews", "byteLength", 9999),
            ("bufferViews", "byteStride", 13),
        ],
    )  # fmt: skip
    def test_beyond_the_buffer(self, tmp_path: Path, kind: str, name: str, more: int) -> None:
        file = Gltf()
        file.shown(file.square())
        file.root[kind][0][name] = file.root[kind][0].get(name, 0) + more
        refused(file.write(tmp_path / "a.glb"), ".")

    def test_damaged_containers(self, tmp_path: Path) -> None:
        file = Gltf()
        file.shown(file.square())
        path = file.write(tmp_path / "a.glb")
        good = path.read_bytes()
        for length in range(12, len(good), 7):
            path.write_bytes(good[:length])
            refused(path, "breaks off before its end")
        path.write_bytes(good[:4] + b"\1" + good[5:])
        refused(path, "its container is not of version 2")
        path.write_bytes(good[:16] + b"NOSJ" + good[20:])
        refused(path, "its first chunk is not JSON")
