"""Files made to do harm, and what fuzzing found: each is refused, quickly and in one sentence."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pyarrow
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from pyarrow import parquet

from adapter import AdapterError, load_adapter, read_target
from cad_models import ModelError, load_models
from checked_settings import SettingError
from render_adapt import DatasetError, RunConfig, Shard, formats, generate, write_report
from renderer import RenderError, load_photographs, read_randomization
from tests.command import run_command
from tests.test_fuzz_adapters import description, toy
from tests.test_fuzz_models import TRIANGLE
from tests.test_fuzz_scenes import scene, write

DESCRIPTION, ONNX = "adapter.json", "generator.onnx"


def refused(path: Path, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load_models([f"widget={path}"], units="mm")
    assert str(caught.value).startswith(str(path))


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG that states a size, whatever it holds."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


TEXTURED = (
    b"ply\nformat ascii 1.0\ncomment TextureFile skin.png\nelement vertex 3\n"
    b"property float x\nproperty float y\nproperty float z\n"
    b"property float texture_u\nproperty float texture_v\nelement face 1\n"
    b"property list uchar int vertex_indices\nend_header\n"
    b"0 0 0 0 0\n90 0 0 1 0\n0 90 0 0 1\n3 0 1 2\n"
)


class TestPictures:
    def texture(self, folder: Path, content: bytes) -> NDArray[np.uint8] | None:
        """What a mesh's texture is read as."""
        (folder / "part.ply").write_bytes(TEXTURED)
        (folder / "skin.png").write_bytes(content)
        [model] = load_models([f"widget={folder / 'part.ply'}"], units="mm")
        return model.mesh.texture

    def refused(self, folder: Path, content: bytes) -> None:
        with pytest.raises(ModelError, match=r"skin\.png"):
            self.texture(folder, content)

    def test_what_is_decoded(self, tmp_path: Path) -> None:
        picture = np.random.default_rng(0).integers(0, 256, (9, 17, 3), np.uint8)
        content = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
        found = self.texture(tmp_path, content)
        np.testing.assert_array_equal(found, picture)
        smooth = cv2.GaussianBlur(picture, (0, 0), 3)
        jpeg = cv2.imencode(".jpg", smooth[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])[1]
        found = self.texture(tmp_path, jpeg.tobytes())
        assert found is not None
        assert np.abs(found.astype(int) - smooth).max() <= 8

    @pytest.mark.parametrize("kind", [".bmp", ".tiff", ".webp"])
    def test_other_kinds_are_read_within_the_same_limit(
        self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        picture = np.random.default_rng(0).integers(0, 256, (9, 17, 3), np.uint8)
        lossless = [cv2.IMWRITE_WEBP_QUALITY, 101] if kind == ".webp" else []
        content = cv2.imencode(kind, picture[..., ::-1], lossless)[1].tobytes()
        np.testing.assert_array_equal(self.texture(tmp_path, content), picture)
        monkeypatch.setattr("cad_models._files.pictures.MAX_PIXELS", 9 * 17 - 1)
        self.refused(tmp_path, content)

    def test_kinds_that_meshes_do_not_have_are_not(self, tmp_path: Path) -> None:
        for kind in (".pgm", ".ras"):
            content = cv2.imencode(kind, np.zeros((8, 8), np.uint8))[1].tobytes()
            self.refused(tmp_path, content)

    def test_a_size_beyond_the_limit_is_believed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing is decoded: of a size that is said to be too large not one byte is taken."""
        jpeg = bytearray(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
        at = jpeg.index(b"\xff\xc0") + 5
        jpeg[at : at + 4] = struct.pack(">HH", 40_000, 40_000)
        monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
        for content in (png(30_000, 30_000), png(2**31, 2**31), bytes(jpeg), b"\xff\xd8\xff", b""):
            self.refused(tmp_path, content)

    def test_pictures_beyond_opencvs_limit(self, tmp_path: Path) -> None:
        """OpenCV raises an error of its own for these."""
        (tmp_path / "a.png").write_bytes(png(60_000, 60_000))
        with pytest.raises(RenderError, match=r"a.png cannot be read as a picture"):
            load_photographs(tmp_path)
        with pytest.raises(AdapterError, match="none an image that can be used"):
            read_target(tmp_path)


class TestMeshes:
    def test_a_texture_that_would_fill_the_memory(self, tmp_path: Path) -> None:
        (tmp_path / "part.ply").write_bytes(TEXTURED)
        (tmp_path / "skin.png").write_bytes(png(30_000, 30_000, bytes(90_001 * 300)))
        refused(tmp_path / "part.ply", "of at most 16384 x 8192 pixels")

    def test_a_device_and_a_pipe_in_place_of_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "zero.ply").symlink_to("/dev/zero")
        refused(tmp_path / "zero.ply", "is not a regular file")
        os.mkfifo(tmp_path / "pipe.stl")
        refused(tmp_path / "pipe.stl", "is not a regular file")
        os.mkfifo(tmp_path / "part.mtl")
        obj = tmp_path / "part.obj"
        obj.write_text("mtllib part.mtl\nv 0 0 0\nv 90 0 0\nv 0 90 0\nusemtl a\nf 1 2 3\n")
        refused(obj, "refers to 'part.mtl', which cannot be read")

    def test_a_link_out_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "secret.mtl").write_text("newmtl a\nKd 1 0 0\n")
        folder = tmp_path / "inner"
        folder.mkdir()
        (folder / "part.mtl").symlink_to(tmp_path / "secret.mtl")
        obj = folder / "part.obj"
        obj.write_text("mtllib part.mtl\nv 0 0 0\nv 90 0 0\nv 0 90 0\nusemtl a\nf 1 2 3\n")
        refused(obj, "refers to 'part.mtl', which cannot be read from its folder")


class TestScenes:
    def test_textures_of_too_many_parts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import PIL.Image
        import trimesh

        shown = trimesh.Scene()
        monkeypatch.setattr("cad_models._mesh.atlas.MAX_PIXELS", 10**7)
        for color in range(3):
            part = trimesh.creation.box((60, 40, 20))
            part.visual = trimesh.visual.TextureVisuals(
                uv=np.random.default_rng(color).uniform(0, 3000, (8, 2)),
                image=PIL.Image.new("RGB", (4, 4), (color, 0, 0)),
            )
            shown.add_geometry(part)
        shown.export(tmp_path / "a.glb")
        refused(tmp_path / "a.glb", "has textures of more than 10000000 pixels in all")


class TestModelsFolders:
    def folder(self, tmp_path: Path, content: str) -> Path:
        (tmp_path / "obj_000001.ply").write_bytes(TRIANGLE)
        (tmp_path / "models_info.json").write_text(content)
        return tmp_path

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ('{"1": {"diameter": ' + "9" * 5000 + "}}", "is not JSON"),
            ("[" * 100_000, "is not JSON"),
            (
                '{"1": {"symmetries_discrete": ' + json.dumps([[0] * 16] * 1001) + "}}",
                "1000 entries",
            ),
            (" " * (65 * 2**20), "larger than 64 MiB"),
        ],
        ids=["digits", "depth", "symmetries", "size"],
    )
    def test_a_models_info_that_takes_too_much(
        self, tmp_path: Path, content: str, message: str
    ) -> None:
        folder = self.folder(tmp_path, content)
        with pytest.raises(ModelError, match=message):
            load_models(["1"], models=folder)

    def test_a_device_as_models_info(self, tmp_path: Path) -> None:
        folder = self.folder(tmp_path, "{}")
        (folder / "models_info.json").unlink()
        (folder / "models_info.json").symlink_to("/dev/zero")
        with pytest.raises(
            ModelError, match=r"cannot be read \(it is a link to something outside of its folder\)"
        ):
            load_models(["1"], models=folder)


class TestAdapters:
    def write(
        self,
        folder: Path,
        change: Callable[[dict[str, Any]], None] = lambda fields: None,
        **files: bytes,
    ) -> Path:
        """The toy adapter with another description, or another network as `onnx`."""
        contents = toy() | {ONNX if name == "onnx" else name: c for name, c in files.items()}
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        fields = description(contents)
        change(fields)
        (folder / DESCRIPTION).write_text(json.dumps(fields))
        return folder

    def adapt(self, folder: Path) -> None:
        adapter = load_adapter(folder)
        adapter.adapt(np.zeros((1, 3, 16, 16), np.float32), np.zeros((1, 10), np.float32))

    def test_the_toy_itself(self, tmp_path: Path) -> None:
        self.adapt(self.write(tmp_path))

    def test_files_of_other_names_are_not_even_hashed(self, tmp_path: Path) -> None:
        for name in ("/dev/zero", "../secret", "other.bin"):
            folder = self.write(
                tmp_path, lambda fields, name=name: fields["sha256"].update({name: "0"})
            )
            with pytest.raises(AdapterError, match="or has others"):
                load_adapter(folder)

    def test_an_adapter_of_weights_alone(self, tmp_path: Path) -> None:
        folder = self.write(tmp_path, lambda fields: fields["sha256"].pop(ONNX))
        with pytest.raises(AdapterError, match=f"lacks the SHA-256 of {ONNX}"):
            load_adapter(folder, "torch")

    @pytest.mark.parametrize("field", ["width", "blocks", "noise_dimension"])
    def test_a_network_larger_than_the_machine(self, tmp_path: Path, field: str) -> None:
        folder = self.write(tmp_path, lambda fields: fields["config"].update({field: 10**8}))
        with pytest.raises(AdapterError, match="does not fit the network"):
            load_adapter(folder, "torch")

    @pytest.mark.parametrize(
        ("field", "value"),
        [("size", 10**9), ("channels", 0), ("window_mm", float("inf")), ("steps", -1),
         ("window_mm", float("nan")), ("noise_dimension", 10**12)],
    )  # fmt: skip
    def test_values_out_of_all_proportion(self, tmp_path: Path, field: str, value: float) -> None:
        folder = self.write(tmp_path, lambda fields: fields.update({field: value}))
        with pytest.raises(AdapterError, match=f"has {field} .* it must be"):
            load_adapter(folder)

    def test_a_description_of_gigabytes(self, tmp_path: Path) -> None:
        folder = self.write(tmp_path)
        (folder / DESCRIPTION).write_text(" " * (2**20 + 1))
        with pytest.raises(AdapterError, match="larger than 1 MiB"):
            load_adapter(folder)

    def test_weights_from_outside_the_folder(self, tmp_path: Path) -> None:
        """ONNX may name files for its weights; one elsewhere is not opened."""
        (tmp_path / "secret").write_bytes(bytes(4 * 3 * 16 * 16))
        folder = tmp_path / "adapter"
        folder.mkdir()
        outside = helper.make_tensor("w", TensorProto.FLOAT, [3, 16, 16], [0.0] * 768)
        outside.ClearField("float_data")
        outside.data_location = TensorProto.EXTERNAL
        outside.external_data.add(key="location", value="../secret")
        self.write(
            folder, onnx=network([helper.make_node("Add", ["crops", "w"], ["adapted"])], outside)
        )
        with pytest.raises(AdapterError, match=r"can be used \(it has weights in another file\)"):
            self.adapt(folder)

    @pytest.mark.parametrize("kind", ["constant", "outer product", "decided as it runs"])
    def test_a_network_that_asks_for_the_whole_memory(self, tmp_path: Path, kind: str) -> None:
        """Refused where it asks, in a process that may not have it."""
        folder = self.write(tmp_path, onnx=greedy_network(kind))
        code = (
            "import re, sys, numpy as np\n"
            "from pathlib import Path\n"
            "from adapter import AdapterError, load_adapter\n"
            "crops, noise = np.zeros((1, 3, 16, 16), np.float32), np.zeros((1, 10), np.float32)\n"
            "try:\n"
            "    load_adapter(Path(sys.argv[1])).adapt(crops, noise)\n"
            "except AdapterError as error:\n"
            "    print(error)\n"
            "print(*re.findall('VmHWM:\\s*(.*) kB', Path('/proc/self/status').read_text()))\n"
        )
        found = subprocess.run(
            [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
        )
        message, kilobytes = found.stdout.splitlines()  # the most that it had, of its own
        assert message == f"{folder / ONNX} cannot be run; make the adapter anew"
        assert int(kilobytes) < 500_000
        assert not found.stderr

    def test_a_network_that_need_not_end(self, tmp_path: Path) -> None:
        body = helper.make_graph(
            [helper.make_node("Identity", ["go"], ["going"])],
            "body",
            [helper.make_tensor_value_info("i", TensorProto.INT64, []),
             helper.make_tensor_value_info("go", TensorProto.BOOL, [])],
            [helper.make_tensor_value_info("going", TensorProto.BOOL, [])],
        )  # fmt: skip
        endless = helper.make_node("Loop", ["", ""], [], body=body)
        folder = self.write(
            tmp_path, onnx=network([endless, helper.make_node("Relu", ["crops"], ["adapted"])])
        )
        with pytest.raises(AdapterError, match=r"can be used \(it has a loop\)"):
            self.adapt(folder)

    def test_nothing_of_a_network_reaches_the_terminal(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        evil = "\x1b]0;title\x07"
        folder = self.write(tmp_path, onnx=network([helper.make_node("Relu", ["crops"], [evil])]))
        with pytest.raises(AdapterError) as caught:
            self.adapt(folder)
        assert "\x1b" not in str(caught.value)
        assert capfd.readouterr() == ("", "")

    def test_a_network_that_gives_something_else(self, tmp_path: Path) -> None:
        nodes = [helper.make_node("Identity", ["noise"], ["adapted"])]
        folder = self.write(tmp_path, onnx=network(nodes))
        with pytest.raises(AdapterError, match="does not give crops as large as it takes"):
            self.adapt(folder)

    def test_a_network_that_gives_more_than_crops_hold(self, tmp_path: Path) -> None:
        """Depth of it would be kilometres, and wrap around in 16 bits."""
        nodes = [helper.make_node("Add", ["crops", "w"], ["adapted"])]
        far = helper.make_tensor("w", TensorProto.FLOAT, [1], [1e6])
        folder = self.write(tmp_path, onnx=network(nodes, far))
        with pytest.raises(AdapterError, match=r"gives values from 1e\+06 to 1e\+06"):
            self.adapt(folder)

    def test_a_network_that_gives_no_numbers(self, tmp_path: Path) -> None:
        nodes = [helper.make_node("Div", ["crops", "crops"], ["adapted"])]
        folder = self.write(tmp_path, onnx=network(nodes))
        with pytest.raises(AdapterError, match="not finite"):
            self.adapt(folder)

    def test_a_network_that_fails_in_the_middle(self, tmp_path: Path) -> None:
        shape = helper.make_tensor("w", TensorProto.INT64, [2], [7, 11])
        nodes = [helper.make_node("Reshape", ["crops", "w"], ["adapted"])]
        folder = self.write(tmp_path, onnx=network(nodes, shape))
        with pytest.raises(AdapterError, match="cannot be run"):
            self.adapt(folder)


def network(nodes: list[Any], *tensors: Any) -> bytes:
    inputs = [
        helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["batch", 3, 16, 16]),
        helper.make_tensor_value_info("noise", TensorProto.FLOAT, ["batch", 10]),
    ]
    outputs = [helper.make_tensor_value_info("adapted", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(tensors))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.ModelProto.SerializeToString(model)


def greedy_network(kind: str) -> bytes:
    """A few hundred bytes (half a megabyte for the outer product) that ask for 40 GB."""
    mean = [
        helper.make_node("ReduceMean", ["big"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["crops", "mean"], ["adapted"]),
    ]
    size = numpy_helper.from_array(np.array([10**10], np.int64), "size")
    if kind == "constant":
        return network([helper.make_node("ConstantOfShape", ["size"], ["big"]), *mean], size)
    if kind == "decided as it runs":
        zero = numpy_helper.from_array(np.array(0, np.int64), "zero")
        nodes = [
            helper.make_node("ReduceMin", ["noise"], ["least"], keepdims=0),
            helper.make_node("Cast", ["least"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Mul", ["whole", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "size"], ["shape"]),
            helper.make_node("ConstantOfShape", ["shape"], ["big"]),
        ]
        return network([*nodes, *mean], size, zero)
    column = numpy_helper.from_array(np.ones((10**5, 1), np.float32), "column")
    row = numpy_helper.from_array(np.ones((1, 10**5), np.float32), "row")
    return network([helper.make_node("Add", ["column", "row"], ["big"]), *mean], column, row)


class TestTargets:
    def test_names_with_digits_that_are_no_numbers(self, tmp_path: Path) -> None:
        """'²' is a digit to Python, and no number."""
        for number in range(16):
            picture = cv2.imencode(".png", np.full((8, 8, 3), number, np.uint8))[1]
            (tmp_path / f"²{number}.png").write_bytes(picture.tobytes())
        assert read_target(tmp_path, size=8).names[:3] == ("²0", "²1", "²2")

    @pytest.mark.parametrize(
        ("file", "entry"),
        [
            ("scene_gt", [{}]),
            ("scene_gt", [None]),
            ("scene_gt", {"a": 1}),
            ("scene_gt", [{"cam_t_m2c": [0, 0]}]),
            ("scene_gt", [{"cam_t_m2c": [0, 0, "5"]}]),
            ("scene_gt", [{"cam_t_m2c": [0, 0, float("nan")]}]),
            ("scene_gt_info", []),
            ("scene_gt_info", [None]),
            ("scene_gt_info", [{"visib_fract": "all"}]),
            ("scene_camera", None),
            ("scene_camera", {}),
            ("scene_camera", {"cam_K": [1] * 8}),
            ("scene_camera", {"cam_K": [0] * 9}),
            ("scene_camera", {"cam_K": [1] * 9, "depth_scale": -1}),
            ("scene_camera", {"cam_K": [1] * 9, "depth_scale": float("inf")}),
            ("scene_camera", {"cam_K": [1] * 9, "pixel_center": None}),
            ("scene_camera", {"cam_K": [1] * 9, "pixel_center": 0.3}),
        ],
    )
    def test_a_malformed_scene_is_named(self, tmp_path: Path, file: str, entry: object) -> None:
        files = dict(scene(40))
        content = json.loads(files[f"{file}.json"])
        files[f"{file}.json"] = json.dumps({**content, "3": entry}).encode()
        write(files, tmp_path / "train/000000")
        with pytest.raises(AdapterError, match=rf"{file}.json has a malformed entry for image '3'"):
            read_target(tmp_path, size=16)

    def test_a_point_that_no_picture_reaches(self, tmp_path: Path) -> None:
        files = dict(scene(40))
        content = json.loads(files["scene_gt.json"])
        content["0"][0]["cam_t_m2c"] = [1.0, 1.0, 5e-324]
        files["scene_gt.json"] = json.dumps(content).encode()
        write(files, tmp_path / "train/000000")
        # The object is passed over; the scene has an image too few without it.
        with pytest.raises(AdapterError, match="holds 15 usable crops; at least 16"):
            read_target(tmp_path, size=16)

    @pytest.mark.parametrize("change", [{"depth_scale": "1"}, {"centre_depth": {"a": None}},
                                        {"centre_depth": [1]}])  # fmt: skip
    def test_malformed_settings_are_named(self, tmp_path: Path, change: dict[str, Any]) -> None:
        (tmp_path / "crops.json").write_text(json.dumps(change))
        cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
        with pytest.raises(AdapterError, match=r"crops.json must have"):
            read_target(tmp_path, size=8)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("small") / "dataset"
    generate(RunConfig(objects=("ape",), n=3, adapter="none", workers=1, out=out))
    return out


@pytest.fixture
def made(small: Path, tmp_path: Path) -> Path:
    """A dataset of three crops, to be changed."""
    return Path(shutil.copytree(small, tmp_path / "dataset"))


class TestDatasets:
    def test_a_tar_file_without_the_crop(self, tmp_path: Path) -> None:
        write({"train_web/shard-000000.tar": bytes(10240)}, tmp_path)
        with pytest.raises(DatasetError, match=r"image 0 of scene 0 .* is damaged"):
            formats()["bop-webdataset"].reader(tmp_path).read(Shard(0), 0)

    @pytest.mark.parametrize("change", [{"shard": 1}, {"start": 4}, {"start": -1, "stop": -1}])
    def test_an_entry_of_another_shard(self, made: Path, change: dict[str, int]) -> None:
        path = made / "shards/000000.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        with pytest.raises(DatasetError, match="it is not this shard's entry"):
            write_report(made)

    def test_a_quaternion_that_squares_to_nothing(self, made: Path) -> None:
        path = made / "index/000000.parquet"
        rows = parquet.read_table(path).to_pylist()
        rows[0]["quaternion"] = [1e-320, 0.0, 0.0, 0.0]
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        with pytest.raises(DatasetError, match="without number, pose or object"):
            write_report(made)

    def test_a_setting_that_is_too_long_to_be_one(
        self, made: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = made / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["settings"]["distance"] = ["a" * 1000] * 2
        path.write_text(json.dumps(manifest))
        with pytest.raises(SystemExit) as end:
            run_command("--out", made, "--only", 0)
        assert end.value.code == 1
        message = capsys.readouterr().err
        assert "damaged (distance is too long)" in message
        assert len(message) < 400 + len(str(made))

    @pytest.mark.parametrize(
        ("file", "field", "value"),
        [
            ("scene_gt", "cam_R_m2c", [None] + [0] * 8),
            ("scene_gt", "cam_t_m2c", [0, 0, float("nan")]),
            ("scene_camera", "cam_K", [None] + [0] * 8),
            ("scene_camera", "depth_scale", float("inf")),
        ],
    )
    def test_a_pose_or_camera_that_is_no_number(
        self, tmp_path: Path, file: str, field: str, value: object
    ) -> None:
        """numpy takes null for NaN."""
        self.write_scene(tmp_path, file, field, value)
        with pytest.raises(DatasetError, match="not of finite numbers"):
            formats()["bop"].reader(tmp_path).read(Shard(0), 0)

    @pytest.mark.parametrize("value", [0.3, float("nan"), [0], None, 10**400, "0"])
    def test_a_way_to_count_pixels_that_there_is_not(self, tmp_path: Path, value: object) -> None:
        self.write_scene(tmp_path, "scene_camera", "pixel_center", value)
        with pytest.raises(DatasetError, match=r"its pixel_center is .*, not 0 or 0\.5"):
            formats()["bop"].reader(tmp_path).read(Shard(0), 0)

    def test_a_pose_beyond_all_numbers(self, tmp_path: Path) -> None:
        self.write_scene(tmp_path, "scene_gt", "cam_t_m2c", [0, 0, 10**400])
        with pytest.raises(DatasetError, match=r"image 0 of scene 0 .* is damaged"):
            formats()["bop"].reader(tmp_path).read(Shard(0), 0)

    def write_scene(self, folder: Path, file: str, field: str, value: object) -> None:
        files = dict(scene())
        content = json.loads(files[f"{file}.json"])
        entry = content["0"][0] if file == "scene_gt" else content["0"]
        entry[field] = value
        lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in content.items())
        files[f"{file}.json"] = ("{\n" + lines + "\n}\n").encode()
        write(files, folder / "train/000000")


def test_a_setting_that_no_message_can_quote(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"preset = [{'9' * 400}]")
    with pytest.raises(SettingError, match=r"preset is \[9999") as caught:
        read_randomization(path)
    assert len(str(caught.value)) < 400


def test_a_settings_file_of_gigabytes(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("#" * (2**20 + 1))
    with pytest.raises(SettingError, match="larger than 1 MiB"):
        read_randomization(tmp_path / "a.toml")


def test_what_a_message_quotes_cannot_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name of a stranger's file neither moves the cursor nor adds a line."""
    path = tmp_path / "mine.toml"
    path.write_text('"\\u001b[2Jnot\\nhere\\u2028or é 猫" = 1\n')
    with pytest.raises(SystemExit):
        run_command("--objects", "ape", "--n", 1, "--randomize", path, "--out", tmp_path / "d")
    error = capsys.readouterr().err
    assert "\x1b[2J" not in error
    assert [line[:14] for line in error.splitlines()] == ["render-adapt: "]
    assert "\\x1b[2Jnot\\nhere\\u2028or é 猫" in error
