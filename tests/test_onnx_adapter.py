"""Adapters made of an ONNX network alone, as somebody else's tool exports it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from adapter import (
    Adapter,
    AdapterError,
    AdapterInfo,
    IdentityAdapter,
    TargetCut,
    load_adapter,
    read_info,
    save_onnx_adapter,
)
from cad_models import load_models
from render_adapt import adapt_faithfully, make_judge
from renderer import PlanConfig, RasterRenderer, make_plans

SIZE = 16
SHAPE = ["batch", 3, SIZE, SIZE]
TANH = [helper.make_node("Tanh", ["crops"], ["adapted"])]
TAKES = {"channels": 3, "size": SIZE, "noise_dimension": 0, "window_mm": 200}


def network(
    nodes: list[Any],
    *tensors: Any,
    inputs: dict[str, list[Any]] | None = None,
    takes: int = TensorProto.FLOAT,
    gives: int = TensorProto.FLOAT,
) -> bytes:
    """An ONNX file of these nodes, `crops` to `adapted`."""
    given = {"crops": SHAPE} if inputs is None else inputs
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, takes, shape) for name, shape in given.items()],
        [helper.make_tensor_value_info("adapted", gives, None)],
        list(tensors),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.ModelProto.SerializeToString(model)


def cast_to(kind: int) -> bytes:
    return network([helper.make_node("Cast", ["crops"], ["adapted"], to=kind)], gives=kind)


def crops(n: int = 20) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-1, 1, (n, 3, SIZE, SIZE)).astype(np.float32)


def no_noise(n: int = 20) -> NDArray[np.float32]:
    return np.zeros((n, 0), np.float32)


def test_it_is_loaded_and_run_by_what_its_description_has_to_say(tmp_path: Path) -> None:
    """Two files by hand: no weights, no training, no noise."""
    content = network(TANH)
    (tmp_path / "generator.onnx").write_bytes(content)
    least = {"format": "render-adapt adapter 1", **TAKES}
    least["sha256"] = {"generator.onnx": hashlib.sha256(content).hexdigest()}
    (tmp_path / "adapter.json").write_text(json.dumps(least))
    adapter = load_adapter(tmp_path)
    np.testing.assert_allclose(adapter.adapt(crops(), no_noise()), np.tanh(crops()), atol=1e-6)
    assert adapter.info == AdapterInfo(3, SIZE, 0, 200.0, least["sha256"])
    assert (adapter.info.preset, adapter.info.steps, adapter.info.class_names) == ("", 0, ())
    with pytest.raises(AdapterError, match=r"20 crops take \(20, 0\)"):
        adapter.adapt(crops(), np.zeros((20, 10), np.float32))
    for name in least:
        less = {key: value for key, value in least.items() if key != name}
        (tmp_path / "adapter.json").write_text(json.dumps(less))
        with pytest.raises(AdapterError, match=name):
            load_adapter(tmp_path)


def test_what_is_said_of_it_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "mine.onnx"
    file.write_bytes(network(TANH))
    said = {
        "class_names": ("ape",), "provenance": "my camera", "figures": {"outline": 0.9},
        "cut": TargetCut("mean", 200.0, 10.0),
    }  # fmt: skip
    made = save_onnx_adapter(file, tmp_path / "a", **TAKES, **said)
    assert read_info(tmp_path / "a") == made == load_adapter(tmp_path / "a").info
    assert {name: getattr(made, name) for name in said} == said


def test_torch_has_no_weights_of_it(tmp_path: Path) -> None:
    save_onnx_adapter(network(TANH), tmp_path / "a", **TAKES)
    with pytest.raises(AdapterError, match=r"a has no weights for torch .*runtime=\"onnx\"$"):
        load_adapter(tmp_path / "a", "torch")


def test_an_older_adapter_in_its_folder_is_replaced(tmp_path: Path) -> None:
    save_onnx_adapter(network(TANH), tmp_path, **TAKES)
    (tmp_path / "generator.safetensors").write_bytes(b"of the older one")
    (tmp_path / "MODEL_CARD.md").write_text("mine")
    again = helper.make_node("Tanh", ["once"], ["adapted"])
    twice = [helper.make_node("Tanh", ["crops"], ["once"]), again]
    save_onnx_adapter(network(twice), tmp_path, **TAKES)
    adapted = load_adapter(tmp_path).adapt(crops(), no_noise())
    np.testing.assert_allclose(adapted, np.tanh(np.tanh(crops())), atol=1e-6)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["MODEL_CARD.md", "adapter.json", "generator.onnx"]


@pytest.mark.parametrize(
    "shape",
    [[16, 3, SIZE, SIZE], ["n", 3, "height", "width"], [None, None, SIZE, SIZE]],
    ids=["batches of 16", "any size", "any channels"],
)
def test_sides_of_its_input_may_be_free(tmp_path: Path, shape: list[Any]) -> None:
    save_onnx_adapter(network(TANH, inputs={"crops": shape}), tmp_path / "a", **TAKES)
    adapted = load_adapter(tmp_path / "a").adapt(crops(), no_noise())
    np.testing.assert_allclose(adapted, np.tanh(crops()), atol=1e-6)


_TWO = helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0])
_FLAT = helper.make_tensor("flat", TensorProto.INT64, [2], [-1, 768])
_OVER_BATCH = [
    helper.make_node("ReduceMean", ["crops"], ["mean"], axes=[0]),
    helper.make_node("Sub", ["crops", "mean"], ["centred"]),
    helper.make_node("Tanh", ["centred"], ["adapted"]),
]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no network", r"is not a network that can be used"),
        (network(TANH, inputs={"crops": [1, 3, SIZE, SIZE]}), "any number of them at once"),
        (network(TANH, inputs={"crops": ["n", 4, SIZE, SIZE]}), r"takes .*\[4, 16, 16\].* says"),
        (network(TANH, inputs={"crops": SHAPE, "noise": ["n", 5]}), r"takes .*'noise': \[5\]"),
        (
            network([helper.make_node("Tanh", ["input"], ["adapted"])], inputs={"input": SHAPE}),
            r"takes .*'input'.* says .*'crops'",
        ),
        (network(TANH, takes=TensorProto.FLOAT16, gives=TensorProto.FLOAT16), "cannot be run"),
        (cast_to(TensorProto.INT64), "does not give crops as large as it takes"),
        (cast_to(TensorProto.STRING), "does not give crops as large as it takes"),
        (
            network([helper.make_node("Reshape", ["crops", "flat"], ["adapted"])], _FLAT),
            "does not give crops as large as it takes",
        ),
        (network([helper.make_node("Log", ["crops"], ["adapted"])]), "not finite numbers"),
        (
            network([helper.make_node("Mul", ["crops", "two"], ["adapted"])], _TWO),
            r"gives values from -2 to 2, and crops are in \[-1, 1\]",
        ),
        (
            network([helper.make_node("RandomUniformLike", ["crops"], ["adapted"])]),
            "other crops the second time",
        ),
        (network(_OVER_BATCH), "depend on those beside it"),
    ],
    ids=[
        "no network", "one at a time", "channels", "noise", "names", "half precision",
        "whole numbers", "text", "shape", "not finite", "range", "random", "over the batch",
    ],
)  # fmt: skip
def test_a_network_that_is_no_adapter_is_refused_and_nothing_written(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(AdapterError, match=message):
        save_onnx_adapter(content, tmp_path / "a", **TAKES)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 4}, "size 4; it must be 8 to 1024"),
        ({"noise_dimension": -1}, "noise_dimension -1; it must be 0"),
        ({"channels": True}, "lacks 'channels'"),
        ({"cut": TargetCut("left", 200.0, 0.0)}, "centre is left: it must be mean, box"),
    ],
)
def test_what_cannot_be_true_of_an_adapter_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(AdapterError, match=message):
        save_onnx_adapter(network(TANH), tmp_path / "a", **{**TAKES, **changes})
    assert not (tmp_path / "a").exists()


def test_a_network_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"mine\.onnx cannot be read \(No such file"):
        save_onnx_adapter(tmp_path / "mine.onnx", tmp_path / "a", **TAKES)


class Blackout(Adapter):
    """Nothing of the object is left in what it makes, and it takes no noise."""

    def __init__(self) -> None:
        self.info = IdentityAdapter(channels=3, size=64, noise_dimension=0).info
        self.adapted = 0

    def adapt(self, crops: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        self.adapted += len(crops)
        return np.full_like(crops, -1.0)


def test_without_noise_a_crop_is_not_adapted_anew(tmp_path: Path) -> None:
    """It would come out the same."""
    models = load_models(["ape"])
    renders = RasterRenderer(models, levels=False).render(make_plans(PlanConfig(), models, 1, 0, 4))
    adapter = Blackout()
    made = adapt_faithfully(
        renders, adapter, make_judge(tmp_path, adapter), seed=0, window=200.0, min_fidelity=0.5,
        redraws=3,
    )  # fmt: skip
    assert (made.dropped, made.redrawn) == (4, 0)
    assert adapter.adapted == 4
