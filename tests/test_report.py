"""The report: what the page says is what the dataset holds, and it can be used by anyone."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyarrow import parquet

from adapter import SHIPPED_ADAPTER, AdapterError
from render_adapt import DatasetError, LabelledCrop, RunConfig, generate, write_report
from render_adapt._report.adapter import adapter_card
from render_adapt._report.examples import MOST_SHOWN
from render_adapt._report.index import RINGS, Index, read_dataset, view_cells
from render_adapt._report.pictures import outline
from render_adapt._report.settings import WORDS, setting_rows
from render_adapt._runs.studio import Studio
from renderer import FrameConfig, PlanConfig, Randomization

OBJECTS = ("duck", "ape", "eggbox")
CROPS = 24


def run(out: Path, **changes: Any) -> RunConfig:
    settings = {"objects": OBJECTS, "n": CROPS, "seed": 5, "workers": 1, "out": out}
    return RunConfig(**{**settings, **changes})


def add_fidelity(folder: Path) -> np.ndarray:
    """Known scores in the index, in place of the run's: from 0.95 by 0.04 each, the last none."""
    [path] = (folder / "index").glob("*.parquet")
    table = parquet.read_table(path)
    scores = np.linspace(0.95, 0.03, table.num_rows)
    scores[-2], scores[-1] = 0.004, np.nan
    columns = {"fidelity": scores, "fidelity_edges": scores**2}
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, pyarrow.array(values, from_pandas=True))
    parquet.write_table(table, path)
    return scores


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapted") / "dataset"
    generate(run(out))
    add_fidelity(out)
    return out


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plain") / "dataset"
    generate(run(out, n=6, adapter="none"))
    return out


@pytest.fixture
def copied(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "copy"))


@pytest.fixture(scope="module")
def page(adapted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(adapted, tmp_path_factory.mktemp("page") / "report.html")


class Elements(HTMLParser):
    """A page taken apart by the standard library."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(("", {}))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0]:
            self.texts[self.tags[-1][0]][-1] += data


def data_of(path: Path) -> dict[str, Any]:
    return json.loads(Elements(path).texts["script"][0])


def picture(uri: str) -> np.ndarray:
    content = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def column(data: dict[str, Any], name: str, kind: str = "u1") -> np.ndarray:
    return np.frombuffer(base64.b64decode(data["points"]["columns"][name]), kind)


class TestPage:
    def test_needs_nothing_but_itself(self, page: Path) -> None:
        elements = Elements(page)
        for tag, attributes in elements.tags:
            assert tag not in ("link", "iframe", "object", "embed", "base")
            assert attributes.get("src") is None
            assert (attributes.get("href") or "#").startswith("#")
        assert not re.search(r"url\(|@import|fetch\(|XMLHttp|WebSocket|import\(", page.read_text())

    def test_allows_its_own_script_and_style_alone(self, page: Path) -> None:
        elements = Elements(page)
        [policy] = [a["content"] for _, a in elements.tags if a.get("http-equiv")]
        for kind in ("script", "style"):
            text = elements.texts[kind][-1]
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}';" in policy
        assert "default-src 'none'; img-src data:;" in policy
        assert "unsafe" not in policy

    def test_counts_are_those_of_the_index(self, adapted: Path, page: Path) -> None:
        data = data_of(page)
        scores = parquet.read_table(adapted / "index/000000.parquet")["fidelity"].to_pylist()
        known = [score for score in scores if score is not None]
        assert (data["crops"], data["planned"], data["complete"]) == (CROPS, CROPS, True)
        assert [(o["name"], o["crops"]) for o in data["objects"]] == [(o, 8) for o in OBJECTS]
        assert data["fidelity"]["scored"] == len(known) == CROPS - 1
        assert data["fidelity"]["median"] == pytest.approx(np.median(known))
        assert data["fidelity"]["doubtful"] == 1
        np.testing.assert_array_equal(column(data, "object", "<u2"), np.arange(CROPS) % 3)
        steps = column(data, "fidelity", "<u2")
        np.testing.assert_allclose(steps[:-1] / data["points"]["steps"], known, atol=0.00051)
        assert steps[-1] == 65535

    def test_pictures_are_the_crops_and_the_renders_that_they_were_made_of(
        self, adapted: Path, page: Path
    ) -> None:
        """Catches a render of another crop, of another object order, or colours in BGR."""
        data = data_of(page)
        assert data["notes"] == []
        assert sorted(crop["number"] for crop in data["shown"]) == list(range(CROPS))
        renders = Studio(run(adapted)).render(0, CROPS)
        for crop in data["shown"]:
            number = crop["number"]
            stored = cv2.imread(str(adapted / f"train/000000/rgb/{number:06d}.png"))[..., ::-1]
            for kind, expected in (("adapted", stored), ("render", renders.rgb[number])):
                error = picture(crop["pictures"][kind]).astype(float) - expected
                assert np.sqrt((error**2).mean()) < 14
                if kind == "render":
                    assert np.abs(np.median(error[renders.mask[number]], axis=0)).max() < 6
            assert list(crop["pictures"]) == ["render", "adapted", "depth"]

    def test_depth_is_coloured_where_it_was_measured(self, plain: Path, tmp_path: Path) -> None:
        for crop in data_of(write_report(plain, tmp_path / "r.html"))["shown"]:
            depth = cv2.imread(
                str(plain / f"train/000000/depth/{crop['number']:06d}.png"), cv2.IMREAD_UNCHANGED
            )
            brightness = picture(crop["pictures"]["depth"]).max(axis=2)
            assert np.median(brightness[depth > 0]) > 150
            assert np.median(brightness[depth == 0]) < 8
            assert list(crop["pictures"]) == ["picture", "depth"]

    def test_a_webdataset_gives_the_same_pictures(self, plain: Path, tmp_path: Path) -> None:
        folder = tmp_path / "dataset"
        generate(run(folder, n=6, adapter="none", format=("bop-webdataset",)))
        shown = [data_of(write_report(f, tmp_path / "r.html"))["shown"] for f in (plain, folder)]
        assert shown[0] == shown[1]

    def test_the_same_dataset_gives_the_same_page(self, adapted: Path, page: Path) -> None:
        again = write_report(adapted)
        assert again == adapted / "report.html"
        name = page.read_text().count('"name":"dataset"')
        assert name == 1
        assert again.read_bytes() == page.read_bytes()
        again.unlink()

    def test_the_shipped_adapter_is_recognised(self, page: Path) -> None:
        card = data_of(page)["adapter"]
        assert card["name"] == SHIPPED_ADAPTER.name
        assert ["noise", "16 numbers"] in card["rows"]
        assert "<h2>Limits</h2>" in card["html"]
        assert "style=" not in card["html"]

    def test_an_unfinished_run_says_so(self, copied: Path) -> None:
        (copied / "INCOMPLETE").write_text("")
        assert data_of(write_report(copied))["complete"] is False

    def test_renders_that_cannot_be_drawn_again_are_left_out(
        self, adapted: Path, tmp_path: Path
    ) -> None:
        folder = Path(shutil.copytree(adapted, tmp_path / "copy"))
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["settings"]["seed"] = 6
        (folder / "manifest.json").write_text(json.dumps(manifest))
        data = data_of(write_report(folder))
        assert "another pose than the index has" in data["notes"][0]
        assert list(data["shown"][0]["pictures"]) == ["adapted", "depth"]

    def test_renders_are_shown_of_a_run_that_left_crops_out(self, tmp_path: Path) -> None:
        folder = tmp_path / "dataset"
        summary = generate(run(folder, min_fidelity=0.2, redraws=0))
        assert 0 < summary.dropped < CROPS
        data = data_of(write_report(folder))
        assert data["notes"] == []
        for crop in data["shown"]:
            assert list(crop["pictures"]) == ["render", "adapted", "depth"]

    def test_no_path_of_the_manifest_is_followed(self, adapted: Path, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(adapted, tmp_path / "copy"))
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["settings"]["randomize"]["photographs"] = str(tmp_path)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        assert "took photographs from a folder" in data_of(write_report(folder))["notes"][0]


class TestNearest:
    def test_the_nearest_real_crop_of_a_copy_is_its_original(
        self, adapted: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "target"
        target.mkdir()
        for number in range(CROPS):
            shutil.copy(adapted / f"train/000000/rgb/{number:06d}.png", target / f"r{number}.png")
        data = data_of(write_report(adapted, tmp_path / "r.html", target=target))
        for crop in data["shown"]:
            # The target is kept in half precision, 0.06 grey levels.
            assert crop["nearest"]["file"] == f"r{crop['number']}"
            assert crop["nearest"]["apart"] <= 0.1
            error = picture(crop["pictures"]["nearest"]) - picture(
                crop["pictures"]["adapted"]
            ).astype(float)
            assert np.abs(error).max() <= 8

    def test_a_target_without_crops_is_refused(self, plain: Path, tmp_path: Path) -> None:
        with pytest.raises(AdapterError, match="none an image"):
            write_report(plain, tmp_path / "r.html", target=plain / "index")
        assert not (tmp_path / "r.html").exists()


class TestViewSphere:
    def test_cells_by_hand(self) -> None:
        """At RINGS = 9 the innermost ring ends where 1 - cos a = 1/81."""
        half = 4 * RINGS**2
        directions = [(0, 0, 1), (0, 0, -1), (1, 0, 0), (0, 1, 0), (-1e-9, -1, -1e-9)]
        first_of_last = 4 * (RINGS - 1) ** 2
        last_ring = half - first_of_last
        expected = [
            0, half, first_of_last, first_of_last + last_ring // 4,
            half + first_of_last + 3 * last_ring // 4 - 1,
        ]  # fmt: skip
        np.testing.assert_array_equal(view_cells(np.array(directions, float)), expected)

    def test_cells_have_the_same_solid_angle(self) -> None:
        rng = np.random.default_rng(0)
        directions = rng.normal(size=(650_000, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        counts = np.bincount(view_cells(directions), minlength=8 * RINGS**2)
        assert len(counts) == 8 * RINGS**2
        expected = len(directions) / len(counts)
        assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)

    def test_directions_are_those_that_crops_were_planned_with(self, plain: Path) -> None:
        """The camera is on the side that it sees: of the hemisphere, always above."""
        dataset = read_dataset(plain)
        plans = Studio(run(plain, n=6, adapter="none")).render(0, 6).plans
        for row, direction in enumerate(dataset.direction):
            centre = dataset.models[plans.object_index[row]].centre
            towards = -plans.rotation[row].T @ plans.translation[row] - centre
            np.testing.assert_allclose(direction, towards / np.linalg.norm(towards), atol=1e-6)
            assert direction[2] >= -1e-6


masks = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


class TestOutline:
    def test_one_pixel(self) -> None:
        mask = np.zeros((3, 4), bool)
        mask[1, 2] = True
        assert outline(mask) == "M2 1h1M2 2h1M2 1v1M3 1v1"
        assert outline(np.zeros((3, 4), bool)) == ""

    @given(masks)
    def test_what_is_inside_is_the_mask(self, mask: np.ndarray) -> None:
        """By crossings: a pixel is inside where an odd number of edges lie left of it, or above."""
        height, width = mask.shape
        left, above = np.zeros((2, height + 1, width + 1), int)
        for x, y, way, length in re.findall(r"M(\d+) (\d+)([hv])(\d+)", outline(mask)):
            if way == "v":
                left[int(y) : int(y) + int(length), int(x)] += 1
            else:
                above[int(y), int(x) : int(x) + int(length)] += 1
        np.testing.assert_array_equal(np.cumsum(left, axis=1)[:-1, :-1] % 2 == 1, mask)
        np.testing.assert_array_equal(np.cumsum(above, axis=0)[:-1, :-1] % 2 == 1, mask)


def stored_crop(rgb: np.ndarray, depth: np.ndarray, mask: np.ndarray) -> LabelledCrop:
    """A crop of which only the pictures matter."""
    unused = {field.name: None for field in dataclasses.fields(LabelledCrop)}
    return LabelledCrop(**{**unused, "rgb": rgb, "depth": depth, "mask_visib": mask[None]})


class TestLargeDatasets:
    @pytest.fixture
    def large(self, plain: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """300,000 crops of 256 x 256 pixels of noise, which no encoder can shrink."""
        dataset = read_dataset(plain)
        count, rng = 300_000, np.random.default_rng(0)
        rows = np.arange(count) % len(dataset.index)
        index = dataset.index
        tiled = {
            field.name: value[rows]
            for field in dataclasses.fields(Index)
            if isinstance(value := getattr(index, field.name), np.ndarray)
        }
        tiled |= {"number": np.arange(count), "fidelity": rng.random(count)}
        tiled["parts"] = {name: value[rows] for name, value in index.parts.items()}
        large = dataclasses.replace(dataset, index=dataclasses.replace(index, **tiled))
        noise = rng.integers(0, 256, (256, 256, 3), np.uint8)
        crop = stored_crop(noise, noise[..., 0].astype(np.float32), noise[..., 0] > 127)
        monkeypatch.setattr("render_adapt._report.page.read_dataset", lambda folder: large)
        monkeypatch.setattr("render_adapt._formats.bop_scenes.BopSceneReader.read", lambda *_: crop)
        return plain

    def test_the_page_stays_small(self, large: Path, tmp_path: Path) -> None:
        path = write_report(large, tmp_path / "r.html")
        assert path.stat().st_size < 5_000_000
        data = data_of(path)
        assert data["crops"] == 300_000
        assert len(column(data, "object", "<u2")) == data["points"]["count"] == 100_000
        assert 0.49 < column(data, "fidelity", "<u2").mean() / 1000 < 0.51

    def test_the_worst_and_the_best_are_among_those_shown(
        self, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        black = np.zeros((8, 8, 3), np.uint8)
        tiny = stored_crop(black, black[..., 0].astype(np.float32), black[..., 0] > 0)
        monkeypatch.setattr("render_adapt._formats.bop_scenes.BopSceneReader.read", lambda *_: tiny)
        shown = data_of(write_report(large, tmp_path / "r.html"))["shown"]
        assert len(shown) == len({crop["number"] for crop in shown}) == MOST_SHOWN
        fidelity = np.array([crop["fidelity"] for crop in shown])
        for which in range(3):
            of_object = fidelity[[crop["object"] == which for crop in shown]]
            assert len(of_object) >= 20
            assert of_object.min() < 0.001
            assert of_object.max() > 0.999
        spread = [crop["number"] for crop in shown if 0.01 < crop["fidelity"] < 0.99]
        assert np.percentile(spread, [10, 90]) == pytest.approx([30_000, 270_000], abs=30_000)


class TestDamage:
    """Each is refused with one sentence that names the file; nothing is written."""

    def refused(self, folder: Path, message: str) -> None:
        with pytest.raises(DatasetError, match=message) as caught:
            write_report(folder)
        assert "\n" not in str(caught.value)
        assert not (folder / "report.html").exists()

    def test_no_dataset(self, tmp_path: Path) -> None:
        self.refused(tmp_path, "is no dataset of render-adapt")

    @pytest.mark.parametrize(
        "change",
        [
            {"objects": []},
            {"order": ["duck"]},
            {"order": [1, 2, 3]},
            {"seed": "5"},
            {"plan": None},
            {"adapter": {"generator.onnx": 3}},
            {"adapter": []},
            {"n": True},
        ],
    )
    def test_a_manifest_of_another_kind(self, copied: Path, change: dict[str, Any]) -> None:
        manifest = json.loads((copied / "manifest.json").read_text())
        (copied / "manifest.json").write_text(json.dumps({**manifest, **change}))
        self.refused(copied, r"manifest.json is damaged")

    @pytest.mark.parametrize("names", [None, "bop", [], ["nuscenes"], [["bop"]], [{}]])
    def test_a_manifest_of_no_known_format(self, copied: Path, names: object) -> None:
        manifest = json.loads((copied / "manifest.json").read_text())
        (copied / "manifest.json").write_text(json.dumps({**manifest, "format": names}))
        self.refused(copied, "names no format that can be read")

    def test_more_crops_than_a_page_takes(
        self, copied: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("render_adapt._report.index.MOST_CROPS", 5)
        self.refused(copied, "has .* crops and a report takes 5: report on a smaller run")

    def test_nothing_finished(self, copied: Path) -> None:
        for path in (copied / "shards").iterdir():
            path.unlink()
        self.refused(copied, "no finished crops yet")

    def test_an_index_that_is_no_parquet(self, copied: Path) -> None:
        (copied / "index/000000.parquet").write_bytes(b"PAR1 no PAR1")
        self.refused(copied, r"000000.parquet is damaged")

    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("quaternion", [[0.0, 0.0, 0.0, 0.0]] * 6),
            ("quaternion", [[1.0, 0.0]] * 6),
            ("quaternion", ["text"] * 6),
            ("centre_depth", [np.nan] * 6),
            ("object", ["../../etc"] * 6),
            ("object", ["<script>"] * 6),
            ("object", [None] * 6),
        ],
    )
    def test_an_index_with_other_columns(self, copied: Path, name: str, values: list[Any]) -> None:
        path = copied / "index/000000.parquet"
        table = parquet.read_table(path)
        table = table.set_column(table.column_names.index(name), name, pyarrow.array(values))
        parquet.write_table(table, path)
        self.refused(copied, r"000000.parquet is damaged")
        parquet.write_table(table.drop_columns([name]), path)
        self.refused(copied, r"000000.parquet is damaged")

    def test_an_object_that_the_manifest_lacks(self, copied: Path) -> None:
        path = copied / "index/000000.parquet"
        table = parquet.read_table(path)
        place = table.column_names.index("object")
        parquet.write_table(table.set_column(place, "object", pyarrow.array(["x"] * 6)), path)
        self.refused(copied, "has crops of x")

    @pytest.mark.parametrize("kind", ["rgb/000003", "depth/000003", "mask_visib/000003_000000"])
    def test_a_picture_that_is_missing_cut_or_too_large(self, copied: Path, kind: str) -> None:
        path = copied / f"train/000000/{kind}.png"
        content = path.read_bytes()
        huge = content[:16] + (60_000).to_bytes(4, "big") * 2 + content[24:]
        other = cv2.imencode(".png", np.zeros((5, 5), np.uint8))[1].tobytes()
        for damaged in (content[:40], huge, other):
            path.write_bytes(damaged)
            self.refused(copied, "image 3 of scene 0 .* is damaged")
        path.unlink()
        self.refused(copied, f"cannot read .*{kind}.png")

    def test_a_page_that_cannot_be_written(self, plain: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(DatasetError, match=r"cannot write .*give `out`"):
            write_report(plain, tmp_path / "file/report.html")

    def test_a_card_that_is_no_file(self, adapted: Path, tmp_path: Path) -> None:
        other = Path(shutil.copytree(SHIPPED_ADAPTER, tmp_path / "other"))
        (other / "MODEL_CARD.md").unlink()
        assert adapter_card(read_dataset(adapted), other)["html"] == ""
        (other / "MODEL_CARD.md").mkdir()
        with pytest.raises(DatasetError, match=r"MODEL_CARD.md cannot be read .*: remove it"):
            adapter_card(read_dataset(adapted), other)

    def test_an_adapter_that_did_not_make_it(self, adapted: Path, tmp_path: Path) -> None:
        other = Path(shutil.copytree(SHIPPED_ADAPTER, tmp_path / "other"))
        (other / "MODEL_CARD.md").write_text("# <script>alert(1)</script>\n\n[a](javascript:b)\n")
        dataset = read_dataset(adapted)
        html = adapter_card(dataset, other)["html"]
        assert "<script" not in html
        assert "<a" not in html
        description = json.loads((other / "adapter.json").read_text())
        description["sha256"]["generator.onnx"] = "0" * 64
        (other / "adapter.json").write_text(json.dumps(description))
        with pytest.raises(DatasetError, match="is not the adapter that made"):
            adapter_card(dataset, other)
        elsewhere = {**dataset.manifest, "adapter": description["sha256"]}
        card = adapter_card(dataclasses.replace(dataset, manifest=elsewhere), None)
        assert card["name"] is None


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = [path for name in names if (path := shutil.which(name))]
    if not found:
        pytest.skip("needs Chromium: install the system's package chromium")
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=found[0], args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Visit:
    """A page opened in Chromium, with all that it asked for and complained of."""

    def __init__(self, browser: Any, path: Path, width: int, scheme: str) -> None:
        viewport = {"width": width, "height": 900}
        self.context = browser.new_context(viewport=viewport, color_scheme=scheme)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def numbers(self) -> list[int]:
        """Of the crops in the gallery, in its order."""
        captions = self.page.locator("#gallery .caption").all_inner_texts()
        return [int(re.search(r"#(\d+)", caption)[1]) for caption in captions]

    def color(self, selector: str, name: str) -> np.ndarray:
        script = f"e => getComputedStyle(e).getPropertyValue('{name}')"
        value = self.page.locator(selector).first.evaluate(script)
        return np.array([float(part) for part in re.findall(r"[\d.]+", value)[:3]])


@pytest.fixture
def visit(browser: Any, page: Path) -> Iterator[Any]:
    visits: list[Visit] = []

    def open_page(path: Path = page, *, width: int = 1280, scheme: str = "light") -> Visit:
        visits.append(Visit(browser, path, width, scheme))
        return visits[-1]

    yield open_page
    for one in visits:
        loaded = [url for url in one.requests if not url.startswith("data:")]
        one.context.close()
        assert len(loaded) == 1
        assert loaded[0].startswith("file:")
        assert one.complaints == []


def contrast(first: np.ndarray, second: np.ndarray) -> float:
    """WCAG 2's contrast ratio of two sRGB colours."""
    levels = []
    for color in (first, second):
        linear = np.where(color <= 10.31475, color / 3294.6, ((color / 255 + 0.055) / 1.055) ** 2.4)
        levels.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(levels) + 0.05) / (min(levels) + 0.05)


class TestSettings:
    def test_every_setting_has_words(self) -> None:
        for kind in (PlanConfig, FrameConfig, Randomization):
            assert {field.name for field in dataclasses.fields(kind)} - WORDS.keys() == set()
        said = [words for words, _ in WORDS.values()]
        assert len(set(said)) == len(said)
        assert not any("_" in words for words in said)

    def test_values_are_for_people(self) -> None:
        plan = {
            "distance": [650.0, 1100.0], "in_plane": 45.0, "rectified": False,
            "picture": [640, 480], "camera": None, "window": 200.0, "viewpoints": "so3",
        }  # fmt: skip
        drawn = {"lights": [1, 1], "textures": "9a22d103" * 8, "background": ["board", "black"]}
        manifest = {"version": "1.0", "seed": 3, "renderer": "raster", "plan": plan}
        assert setting_rows([{**manifest, "randomization": drawn, "n": 5}]) == [
            ["version of render-adapt", "1.0"],
            ["seed", "3"],
            ["drawn by", "raster"],
            ["window at the object's distance", "200 mm"],
            ["distance of the camera", "650 to 1100 mm"],
            ["seen from", "any side"],
            ["turned in the picture by up to", "45 degrees"],
            ["turned upright", "no"],
            ["cut from pictures of", "640 x 480 px"],
            ["lights", "1"],
            ["pictures for surfaces", "some, with the SHA-256 9a22d1039a22"],
            ["what is behind", "board, black"],
        ]

    def test_of_several_runs_each_value_is_shown_once(self) -> None:
        runs = [{"seed": seed, "plan": {"distance": [400.0, 400.0]}} for seed in (1, 2, 1)]
        assert setting_rows(runs) == [["seed", "1 / 2"], ["distance of the camera", "400 mm"]]

    def test_a_strangers_manifest_is_shown_as_it_is(self) -> None:
        rows = setting_rows([{"plan": {"my_own": {"a": 1}, "picture": 7}, "randomization": [1]}])
        assert rows == [["cut from pictures of", "7 px"], ["my own", "{'a': 1}"]]


class TestInChromium:
    def test_what_the_adapter_is_worth_stands_with_the_figures(
        self, visit: Any, page: Path, tmp_path: Path
    ) -> None:
        text, places = re.subn(
            r'("adapter":\{"name":[^,]*,"rows":\[)', r'\1["verdict","below the bar: noise"],',
            page.read_text(),
        )  # fmt: skip
        assert places == 1
        (tmp_path / "page.html").write_text(text)
        assert "The adapter is below the bar: noise." in visit(tmp_path / "page.html").text(
            "#figures"
        )
        assert "The adapter is" not in visit().text("#figures")

    def test_objects_are_chosen_with_the_keyboard(self, visit: Any) -> None:
        page = visit()
        assert page.text("#count") == f"{CROPS} of {CROPS} crops"
        assert page.numbers() == list(range(CROPS))
        page.page.get_by_role("checkbox", name="ape").focus()
        page.page.keyboard.press("Space")
        assert page.text("#count") == f"8 of {CROPS} crops"
        assert page.numbers() == list(range(1, CROPS, 3))
        page.page.keyboard.press("Tab")
        page.page.keyboard.press("Space")
        assert page.numbers() == [n for n in range(CROPS) if n % 3]
        page.page.get_by_role("button", name="Reset").press("Enter")
        assert page.numbers() == list(range(CROPS))
        assert page.page.locator("#objects input:checked").count() == 0

    def test_fidelity_is_narrowed_with_the_keyboard(self, visit: Any) -> None:
        """Scores fall from 0.95 by 0.04 each: 0.95, 0.91, ..., 0.11, 0.004, none."""
        page = visit()
        high = page.page.get_by_label("Highest fidelity")
        for _ in range(5):
            high.press("PageDown")
        assert page.text("#high") == "to 0.50"
        assert page.numbers() == list(range(12, CROPS - 1))
        assert page.text("#count") == f"11 of {CROPS} crops"
        page.page.get_by_label("Lowest fidelity").press("End")
        assert page.text("#low") == "from 0.50"
        assert page.text("#shown") == "none of those that are shown fit the filter"
        page.page.get_by_role("button", name="Reset").click()
        assert page.numbers() == list(range(CROPS))

    def test_worst_and_best_and_their_order(self, visit: Any) -> None:
        page = visit()
        lowest = page.page.locator("#lowest .score").all_inner_texts()
        assert lowest == ["0.004", *(f"{0.11 + 0.04 * place:.2f}" for place in range(7))]
        highest = page.page.locator("#highest .score").all_inner_texts()
        assert highest[:2] == ["0.95", "0.91"]
        page.page.get_by_label("Order of the crops").select_option("low")
        assert page.numbers() == [*range(CROPS - 2, -1, -1), CROPS - 1]

    def test_the_view_sphere_counts_what_the_filter_lets_through(
        self, visit: Any, adapted: Path
    ) -> None:
        page = visit()
        dataset = read_dataset(adapted)
        cells = view_cells(dataset.direction)
        for chosen in (np.arange(CROPS), np.arange(0, CROPS, 3)):
            seen = page.page.locator(".disc path:not(.empty)").count()
            assert seen == len(np.unique(cells[chosen]))
            page.page.get_by_role("checkbox", name="duck").check()
        page.page.get_by_role("radio", name="fidelity").check(force=True)
        assert "fidelity 0" in page.text("#ramp")

    def test_a_crop_in_full_with_the_keyboard(self, visit: Any) -> None:
        page = visit()
        page.page.locator("#gallery .card").nth(2).focus()
        page.page.keyboard.press("Enter")
        assert page.text("#crop-title") == "eggbox #2"
        assert "fidelity, edges" in page.text("dialog")
        page.page.keyboard.press("ArrowRight")
        assert page.text("#crop-title") == "duck #3"
        page.page.keyboard.press("ArrowLeft")
        page.page.keyboard.press("ArrowLeft")
        assert page.text("#crop-title") == "ape #1"
        page.page.keyboard.press("Escape")
        assert not page.page.locator("dialog").is_visible()
        focused = page.page.evaluate("document.activeElement.getAttribute('aria-label')")
        assert focused.startswith("eggbox, crop 2")

    def test_outlines_are_on_the_crop_and_can_be_hidden(self, visit: Any) -> None:
        page = visit()
        outlines = page.page.locator("#gallery .picture svg")
        assert outlines.count() == CROPS
        assert outlines.first.is_visible()
        page.page.keyboard.press("o")
        assert not outlines.first.is_visible()
        page.page.get_by_role("button", name="Outlines").click()
        assert outlines.first.is_visible()

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_text_is_legible_in_light_and_dark(self, visit: Any, scheme: str) -> None:
        page = visit(scheme=scheme)
        paper = page.color("body", "background-color")
        assert (paper.mean() > 200) == (scheme == "light")
        for selector in ("h1", ".soft", "small", "h2", ".score", ".score.low", "dt", "button"):
            assert contrast(page.color(selector, "color"), paper) >= 4.5, selector

    def test_the_theme_can_be_chosen(self, visit: Any) -> None:
        page = visit(scheme="light")
        button = page.page.get_by_role("button", name="Theme")
        button.click()
        assert page.color("body", "background-color").mean() > 200
        button.click()
        assert page.text("#theme") == "Theme: dark"
        assert page.color("body", "background-color").mean() < 60

    @pytest.mark.parametrize("width", [360, 768, 1920])
    def test_nothing_leaves_the_page_at_any_width(self, visit: Any, width: int) -> None:
        page = visit(width=width)
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.page.locator("#objects").is_visible() == (width > 900)
        page.page.locator("#gallery .card").first.click()
        box = page.page.locator("dialog").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        if width < 900:
            page.page.keyboard.press("Escape")
            page.page.locator("summary").first.click()
            assert page.page.locator("#objects").is_visible()

    def test_everything_can_be_reached_by_tab_and_has_a_name(self, visit: Any) -> None:
        page = visit()
        unnamed = page.page.evaluate(
            """() => [...document.querySelectorAll('button, input, select, summary, img')]
            .filter(e => !(e.innerText || e.alt || e.getAttribute('aria-label')
                || e.labels?.[0]?.innerText)).map(e => e.outerHTML)"""
        )
        assert unnamed == []
        reached = set()
        for _ in range(20):
            page.page.keyboard.press("Tab")
            reached.add(page.page.evaluate("document.activeElement.id || document.activeElement"
                                           ".parentElement.innerText.split('\\n')[0]"))  # fmt: skip
        assert {"outlines", "theme", "fidelity-low", "fidelity-high", "ape"} <= reached

    def test_a_dataset_without_scores(self, visit: Any, plain: Path, tmp_path: Path) -> None:
        page = visit(write_report(plain, tmp_path / "r.html"))
        assert not page.page.locator("#fidelity").is_visible()
        assert not page.page.locator("#adapter").is_visible()
        assert page.numbers() == list(range(6))
        assert page.text("#shown") == "all of them shown"

    def test_a_name_that_is_markup_is_shown_as_text(
        self, visit: Any, plain: Path, tmp_path: Path
    ) -> None:
        name = "<img src=x onerror=alert(1)>"
        folder = Path(shutil.copytree(plain, tmp_path / name))
        page = visit(write_report(folder, tmp_path / "r.html"))
        assert page.text("h1") == name
        assert page.page.locator("h1 img").count() == 0
