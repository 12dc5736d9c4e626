"""Settings, manifests, shard entries and indexes from strangers: good ones, or one sentence."""

from __future__ import annotations

import functools
import io
import json
import tempfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from cad_models import load_models, write_models
from render_adapt import DatasetError, RenderAdaptError, RunConfig, SettingError
from render_adapt._cli.config_files import read_config
from render_adapt._report.index import read_dataset
from render_adapt._runs.description import config_of, describe_run
from render_adapt._runs.manifest import layout_in, read_manifest, refuse_other_run
from render_adapt._runs.shard_entry import ShardEntry, read_entry
from render_adapt._runs.studio import Studio
from render_adapt._verify.shards import RunFacts
from renderer import RANDOMIZATIONS, Randomization, read_randomization
from tests.fuzzing import check_refusal, damaged_bytes, damaged_json, json_values

QUICK = settings(max_examples=40, deadline=None)
TOML = b"""preset = "strong"
background = ["photographs", "board"]
photographs = "."
occluders = [0, 3]
zoom = [0.9, 1.1]
depth_sensor = "gaussian"
texture_swap = 0.5
"""


@st.composite
def any_toml(draw: st.DrawFn) -> bytes:
    """Known settings with values of any kind, some of it damaged."""
    names = st.sampled_from([*asdict(RANDOMIZATIONS["none"]), "preset", "other"])
    entries = draw(st.dictionaries(names, json_values.filter(lambda value: value is not None)))
    text = "".join(f"{name} = {_as_toml(value)}\n" for name, value in entries.items())
    return text.encode("utf-8", "surrogatepass")


def _as_toml(value: Any) -> str:
    if isinstance(value, dict):
        items = (f"{json.dumps(k)} = {_as_toml(v)}" for k, v in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_as_toml, value)) + "]"
    if isinstance(value, float) and value not in (float("inf"), float("-inf")):
        return repr(value)
    return json.dumps(value).replace("Infinity", "inf").replace("null", '"none"')


@QUICK
@given(damaged_bytes(TOML) | any_toml())
def test_damaged_toml(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "mine.toml"
        path.write_bytes(content)
        try:
            randomization = read_randomization(path)
        except SettingError as error:
            check_refusal(error, path)
        else:
            # What is accepted is accepted again, by its own rules.
            assert Randomization(**asdict(randomization)) == randomization


CONFIG = b"""preset = "linemod"
objects = ["ape", "cat"]
n = 100
out = "dataset"
seed = 3
distance = [300.0, 900.0]
format = ["bop", "bop-webdataset"]
split = "train:0.9,val:0.1"
adapter = "none"
"""


@st.composite
def any_config(draw: st.DrawFn) -> bytes:
    """Known settings of a run with values of any kind."""
    # Which others open files that they name.
    names = [field.name for field in fields(RunConfig) if field.name != "randomize"]
    values = json_values.filter(lambda value: value is not None)
    entries = draw(st.dictionaries(st.sampled_from([*names, "preset", "other"]), values))
    text = "".join(f"{name} = {_as_toml(value)}\n" for name, value in entries.items())
    return text.encode("utf-8", "surrogatepass")


@QUICK
@given(damaged_bytes(CONFIG) | any_config())
def test_damaged_run_files(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "run.toml"
        path.write_bytes(content)
        try:
            given_settings = read_config(path)
        except SettingError as error:
            check_refusal(error, path)
            return
        given_settings.pop("preset", None)
        try:
            config = RunConfig(**{"objects": ("ape",), "n": 1, **given_settings})
        except RenderAdaptError as error:
            check_refusal(error, "")
        else:
            assert config.n >= 1


@functools.cache
def run() -> tuple[RunConfig, dict[str, Any]]:
    """A small run and its manifest."""
    config = RunConfig(
        objects=("ape",), n=3, adapter="none", workers=1, centre="mean", off_axis=10.0,
        cut_from="640x480", camera=(570.0, 571.0, 320.0, 240.0),
    )  # fmt: skip
    return config, json.loads(json.dumps(describe_run(Studio(config))))


def test_a_manifest_that_lacks_something(tmp_path: Path) -> None:
    """Whoever reads it can do without, or says in one sentence that it is damaged."""
    _, manifest = run()
    (tmp_path / "shards").mkdir()
    for missing in manifest:
        kept = {name: value for name, value in manifest.items() if name != missing}
        (tmp_path / "manifest.json").write_text(json.dumps(kept))
        for read in (_continue, _report, _give_again):
            try:
                read(tmp_path)
            except RenderAdaptError as error:
                check_refusal(error, "")


@QUICK
@given(st.data())
def test_damaged_manifests(data: st.DataObject) -> None:
    """Whoever reads a manifest: a run that continues, a report, and what gives its command again.

    None opens a path that the manifest names.
    """
    _, manifest = run()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "manifest.json").write_bytes(data.draw(damaged_json(manifest)))
        (folder / "shards").mkdir()
        for read in (_continue, _report, _give_again, _facts):
            try:
                read(folder)
            except RenderAdaptError as error:
                check_refusal(error, "")


@functools.cache
def merged() -> dict[str, Any]:
    """The manifest of a dataset that was merged of two runs, one of them with splits."""
    _, first = run()
    second = {**first, "seed": 1, "n": 300, "split": [["train", 0.9], ["val", 0.1]], "shards": 3}
    return {
        "config_sha256": "0" * 64, "conventions": first["conventions"], "format": ["bop"],
        "merged": [
            {"dataset": "a", "run": first, "sha256": "0" * 64},
            {"dataset": "b", "run": second, "sha256": "1" * 64},
        ],
        "n": 303, "objects": first["objects"], "order": ["ape"], "shard_size": 250, "shards": 4,
        "version": first["version"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [("randomization", "depth_noise", [1.0]), ("plan", "size", 10**400), ("plan", "size", [64])],
)
def test_settings_that_checks_cannot_go_by(
    group: str, name: str, value: object, tmp_path: Path
) -> None:
    manifest = json.loads(json.dumps(run()[1]))
    manifest[group][name] = value
    manifest["adapter"] = {"generator.onnx": "0" * 64}
    manifest["plan"]["window"] = manifest["plan"]["size"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match=r"manifest.json is damaged"):
        _facts(tmp_path)


def test_a_merged_manifest_is_one(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(merged()))
    assert _facts(tmp_path).crops == 303


@QUICK
@given(damaged_json(merged()))
def test_damaged_merged_manifests(content: bytes) -> None:
    """Whoever reads how crops of several runs lie in shards, and what their labels are held to."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "manifest.json").write_bytes(content)
        (folder / "shards").mkdir()
        for read in (_facts, _continue, _report):
            try:
                read(folder)
            except RenderAdaptError as error:
                check_refusal(error, "")


def _facts(folder: Path) -> RunFacts:
    facts = RunFacts.of(folder)
    layout = layout_in(folder, read_manifest(folder))
    for number in (layout.numbers[0], layout.numbers[-1]):
        start, stop = layout.range_of(number)
        assert start < stop
        assert layout.shard(number).number == number
        assert facts.provenance_of(number).seed is not None
    return facts


def _continue(folder: Path) -> None:
    refuse_other_run(read_manifest(folder), run()[1], folder)


def _report(folder: Path) -> None:
    read_dataset(folder)


def _give_again(folder: Path) -> None:
    config = config_of(read_manifest(folder), folder)
    assert isinstance(config, RunConfig)
    assert config.n >= 1
    assert config.seed >= 0


ENTRY = asdict(ShardEntry(0, 0, 3, 17, 12345, "0" * 64))


@QUICK
@given(damaged_json(ENTRY))
def test_damaged_shard_entries(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "shards/000000.json"
        path.parent.mkdir()
        path.write_bytes(content)
        try:
            entry = read_entry(path)
        except RenderAdaptError as error:
            check_refusal(error, path)
        else:
            assert entry.shard == 0
            assert 0 <= entry.start <= entry.stop
            assert all(type(value) in (int, str) for value in asdict(entry).values())


@functools.cache
def index() -> bytes:
    rows = [
        {
            "index": number, "scene_id": 0, "im_id": number, "object": "ape", "obj_id": 1,
            "quaternion": [1.0, 0.0, 0.0, 0.0], "translation": [0.0, 0.0, 800.0],
            "centre_depth": 800.0, "visib_fract": 1.0, "others": 0, "fidelity": 0.5,
        }
        for number in range(3)
    ]  # fmt: skip
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()


@QUICK
@given(st.data())
def test_damaged_indexes(data: st.DataObject) -> None:
    _, manifest = run()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for inner in ("shards", "index"):
            (folder / inner).mkdir()
        (folder / "manifest.json").write_text(json.dumps(manifest))
        (folder / "shards/000000.json").write_text(json.dumps(ENTRY))
        (folder / "index/000000.parquet").write_bytes(data.draw(damaged_bytes(index())))
        write_models(load_models(["ape"]), folder / "models")
        try:
            dataset = read_dataset(folder)
        except RenderAdaptError as error:
            check_refusal(error, folder)
        else:
            assert dataset.index.rotation.shape == (len(dataset.index), 3, 3)
            assert dataset.index.object_index.max(initial=0) < len(dataset.models)
