"""Adapters and training checkpoints from strangers: one that runs, or one sentence."""

from __future__ import annotations

import functools
import hashlib
import json
import struct
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from adapter import (
    SHIPPED_ADAPTER,
    AdapterError,
    TargetCut,
    architecture_of,
    export_onnx,
    load_adapter,
    read_checkpoint,
    read_info,
    read_target,
    train,
)
from render_adapt import TrainRun, read_calibration
from tests.fuzzing import check_refusal, damaged_bytes, damaged_json, json_values
from tests.pixelda_toy import SIZE, TOY, toy_source, toy_target

DESCRIPTION, WEIGHTS, ONNX = "adapter.json", "generator.safetensors", "generator.onnx"

QUICK = settings(max_examples=40, deadline=None)


@functools.cache
def toy() -> dict[str, bytes]:
    """The files of a small untrained adapter."""
    torch.manual_seed(0)
    generator = architecture_of(TOY).build(3, SIZE, TOY).eval()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_file(generator.state_dict(), folder / WEIGHTS)
        (folder / ONNX).write_bytes(export_onnx(generator, 3, SIZE, TOY.noise_dimension))
        return {file: (folder / file).read_bytes() for file in (WEIGHTS, ONNX)}


def description(files: dict[str, bytes]) -> dict[str, Any]:
    return {
        "format": "render-adapt adapter 1", "channels": 3, "size": SIZE,
        "noise_dimension": TOY.noise_dimension,
        "window_mm": 200.0, "preset": "fast", "steps": 3, "class_names": ["ape"],
        "provenance": "none", "figures": {"outline": 0.9}, "config": asdict(TOY),
        "target_cut": {
            "centre": "mean", "window_mm": 200.0, "off_axis_degrees": 10.0, "pixels": None,
        },
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }  # fmt: skip


def loads_or_refuses(files: dict[str, bytes], describing: bytes | None = None) -> None:
    """Under both runtimes; what loads gives finite crops."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        text = json.dumps(description(files)).encode() if describing is None else describing
        (folder / DESCRIPTION).write_bytes(text)
        for runtime in ("onnx", "torch"):
            try:
                adapter = load_adapter(folder, runtime)
                info = adapter.info
                crops = np.zeros((2, info.channels, info.size, info.size), np.float32)
                adapted = adapter.adapt(crops, np.zeros((2, info.noise_dimension), np.float32))
            except AdapterError as error:
                check_refusal(error, folder)
            else:
                assert adapted.shape == crops.shape
                assert np.isfinite(adapted).all()
                assert 0 < info.window_mm < 1e6
                assert can_be_planned(info.cut)


def can_be_planned(cut: TargetCut | None) -> bool:
    """Whether a source could be rendered as a target is said to be cut."""
    run = TrainRun(("ape",), target=Path(), out=Path())
    assert cut is None or cut.pixels is None or cut.pixels >= 1
    return run.plan(cut).window >= 1


@QUICK
@given(st.data())
def test_damaged_descriptions(data: st.DataObject) -> None:
    loads_or_refuses(toy(), data.draw(damaged_json(description(toy()))))


@pytest.mark.parametrize("value", ["x" * 5000, {"y" * 300: [10**4000]}, [[]] * 999])
@pytest.mark.parametrize("key", sorted(description(toy())))
def test_no_message_quotes_a_long_value_whole(key: str, value: object) -> None:
    loads_or_refuses(toy(), json.dumps(description(toy()) | {key: value}).encode())


@QUICK
@given(st.data())
def test_damaged_descriptions_of_an_onnx_file_alone(data: st.DataObject) -> None:
    """With no more in them than there has to be."""
    files = {ONNX: toy()[ONNX]}
    needed = ("format", "channels", "size", "noise_dimension", "window_mm", "sha256")
    least = {name: description(files)[name] for name in needed}
    loads_or_refuses(files, data.draw(st.just(json.dumps(least).encode()) | damaged_json(least)))


_CUT = st.fixed_dictionaries(
    {"centre": st.sampled_from(["mean", "box", "origin", "visible", "mode"]) | json_values},
    optional={
        "window_mm": st.floats(-10, 2e5) | json_values,
        "off_axis_degrees": st.floats(-10, 90) | json_values,
        "pixels": st.integers(-3, 2 * 10**6) | st.floats(0, 100) | json_values,
        "centre_mm": json_values,
    },
)


@settings(max_examples=300, deadline=None)
@given(_CUT | json_values)
def test_any_cut(cut: Any) -> None:
    """In an adapter's description and beside crops."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / DESCRIPTION).write_text(json.dumps(description(toy()) | {"target_cut": cut}))
        (folder / "crops.json").write_text(json.dumps({"cut": cut}))
        messages = []
        try:
            info = read_info(folder)
        except AdapterError as error:
            check_refusal(error, folder / DESCRIPTION)
            messages.append(str(error).replace(DESCRIPTION, "crops.json"))
        else:
            assert can_be_planned(info.cut)
        # There are no crops; what is said of them comes first.
        with pytest.raises(AdapterError) as caught:
            read_target(folder)
        check_refusal(caught.value, folder)
        assert not messages or messages == [str(caught.value)]


@QUICK
@given(st.data(), st.sampled_from([WEIGHTS, ONNX]))
def test_damaged_weights(data: st.DataObject, name: str) -> None:
    """The description vouches for whatever the file holds."""
    loads_or_refuses({**toy(), name: data.draw(damaged_bytes(toy()[name], header=4000))})


_TENSOR = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "I64", "BOOL", "F8_E4M3", "X"]),
        "shape": st.lists(st.sampled_from([0, 1, 3, 2**40, -1]), max_size=4),
        "data_offsets": st.lists(st.sampled_from([0, 4, 12, 2**62, -4]), min_size=1, max_size=3),
    }
)


@QUICK
@given(
    st.dictionaries(st.sampled_from(["a", "b", "__metadata__", ""]), _TENSOR | json_values),
    st.integers(-8, 8) | st.sampled_from([2**31, 2**63]),
    st.binary(max_size=16),
)
def test_any_safetensors_header(header: dict[str, Any], off_by: int, body: bytes) -> None:
    text = json.dumps(header).encode()
    length = struct.pack("<Q", (len(text) + off_by) % 2**64)
    loads_or_refuses({**toy(), WEIGHTS: length + text + body})


@functools.cache
def checkpoint() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        return train(toy_source(), toy_target(), replace(TOY, steps=1), Path(name)).read_bytes()


@QUICK
@given(st.data())
def test_damaged_checkpoints(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "checkpoint.safetensors"
        damaged = data.draw(damaged_bytes(checkpoint(), header=4000))
        file.write_bytes(damaged)
        try:
            read_checkpoint(file)
        except AdapterError as error:
            check_refusal(error, file)
        else:
            assert damaged == checkpoint()


CALIBRATION = json.loads((SHIPPED_ADAPTER / "fidelity.json").read_text())


@QUICK
@given(damaged_json(CALIBRATION))
def test_damaged_calibrations(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "fidelity.json"
        file.write_bytes(content)
        try:
            read = read_calibration(file)
        except AdapterError as error:
            check_refusal(error, file)
        else:
            for part in read.quantiles:
                shares = read.share(part, np.array([-1e3, 0.0, 0.5, 1.0, np.nan]))
                assert ((shares[:4] >= 0) & (shares[:4] <= 1)).all()
                assert (np.diff(shares[:4]) >= 0).all()
                assert np.isnan(shares[4])
