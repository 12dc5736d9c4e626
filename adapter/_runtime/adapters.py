"""Adapters at work: crops in, crops of the target domain out."""

from __future__ import annotations

import abc
import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapter._cut import TargetCut, read_cut
from adapter._errors import AdapterError, brief
from adapter._runtime.onnx import MOST_BYTES, network_errors, open_network
from safe_files import parse_json, read_file

if TYPE_CHECKING:
    from adapter._networks.pixelda import Generator
    from adapter._settings.pixelda import TrainConfig

FORMAT = "render-adapt adapter 1"
DESCRIPTION = "adapter.json"
WEIGHTS = "generator.safetensors"
ONNX = "generator.onnx"

SHIPPED_ADAPTER = Path(__file__).parents[1] / "shipped" / "linemod-rgbd-fast"
"""The adapter that comes with the package."""

NOISE_STREAM = 2
"""Last member of the random seeds; the renderer draws plans from stream 0."""

MOST_DESCRIPTION_BYTES = 2**20
LIMITS = {
    "channels": (3, 4),
    "size": (8, 1024),
    "noise_dimension": (1, 4096),
    "window_mm": (1.0, 1e5),
    "steps": (0, 10**12),
}
"""Least and greatest values in adapter.json: far beyond any use, so that a file that was tampered
with takes no more memory than the machine has."""

CHUNK = 16
"""Crops that go through the network at once, always: results do not depend on the batching."""


@dataclass(frozen=True)
class AdapterInfo:
    """What an adapter takes and where it came from."""

    channels: int
    """3 (RGB) or 4 (RGB and depth)."""
    size: int
    """Crops are `size` x `size` pixels."""
    noise_dimension: int
    """Length of the noise vector z."""
    window_mm: float
    """Side of the crop's window in millimetres, which also scales depth."""
    preset: str
    """Name of the settings that the training started from."""
    config: dict[str, Any]
    """All settings of the training."""
    steps: int
    """Training steps done."""
    class_names: tuple[str, ...]
    """Objects in the source crops."""
    provenance: str
    """The data that the adapter was trained on."""
    figures: dict[str, Any]
    """Measurements of the adapter's quality, by name."""
    sha256: dict[str, str]
    """Hash of each weight file, by file name."""
    cut: TargetCut | None = None
    """How the target's crops were cut, where that was said; sources were rendered so too."""


class Adapter(abc.ABC):
    """The seam between the pipeline and whatever makes crops look real."""

    info: AdapterInfo

    @abc.abstractmethod
    def adapt(self, crops: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        """Adapted crops: (N, C, H, W) in [-1, 1], as `encode` makes them.

        Each result depends on its own crop and noise alone, to the last bit, however many are
        given at once.

        Args:
            crops: (N, C, H, W) float32 in [-1, 1].
            noise: (N, noise_dimension) float32, from `draw_noise`.

        Raises:
            AdapterError: arrays of other shapes than this adapter takes.
        """

    def _check(self, crops: NDArray[np.float32], noise: NDArray[np.float32]) -> None:
        info = self.info
        if crops.ndim != 4 or crops.shape[1:] != (info.channels, info.size, info.size):
            raise AdapterError(
                f"crops have shape {crops.shape}; this adapter takes "
                f"(N, {info.channels}, {info.size}, {info.size})"
            )
        if noise.shape != (len(crops), info.noise_dimension):
            raise AdapterError(
                f"noise has shape {noise.shape}; {len(crops)} crops take "
                f"({len(crops)}, {info.noise_dimension})"
            )


class IdentityAdapter(Adapter):
    """Gives the crops back as they came; for rendering without adaptation, and for tests."""

    def __init__(self, channels: int = 4, size: int = 64, noise_dimension: int = 10) -> None:
        self.info = AdapterInfo(
            channels=channels,
            size=size,
            noise_dimension=noise_dimension,
            window_mm=200.0,
            preset="none",
            config={},
            steps=0,
            class_names=(),
            provenance="no adaptation",
            figures={},
            sha256={},
        )

    def adapt(self, crops: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        self._check(crops, noise)
        return crops.copy()


class OnnxAdapter(Adapter):
    """Runs `generator.onnx` with ONNX Runtime on the processor."""

    def __init__(self, folder: Path, info: AdapterInfo, content: bytes, threads: int) -> None:
        self.info = info
        self._file = folder / ONNX
        try:
            self._session = open_network(content, threads)
        except ValueError as error:
            raise AdapterError(
                f"{self._file} is not a network that can be used ({error}); copy the adapter "
                "again or train it anew"
            ) from error
        shapes = {node.name: node.shape[1:] for node in self._session.get_inputs()}
        expected = {
            "crops": [info.channels, info.size, info.size],
            "noise": [info.noise_dimension],
        }
        if shapes != expected:
            raise AdapterError(
                f"{self._file} takes {shapes} where {DESCRIPTION} says {expected}; copy the "
                "adapter again or train it anew"
            )

    def adapt(self, crops: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        self._check(crops, noise)
        adapted = np.empty(crops.shape, dtype=np.float32)
        for start in range(0, len(crops), CHUNK):
            chunk = slice(start, start + CHUNK)
            inputs = {"crops": _filled(crops[chunk]), "noise": _filled(noise[chunk])}
            adapted[chunk] = self._run(inputs)[: len(crops) - start]
        return adapted

    def _run(self, inputs: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """A chunk of adapted crops.

        Raises:
            AdapterError: the network cannot be run, or gives something else.
        """
        try:
            outputs = self._session.run(None, inputs)
        except network_errors() as error:
            raise AdapterError(f"{self._file} cannot be run; train the adapter anew") from error
        expected = inputs["crops"].shape
        if len(outputs) != 1 or getattr(outputs[0], "shape", None) != expected:
            raise AdapterError(
                f"{self._file} does not give crops as large as it takes; train the adapter anew"
            )
        return _finite(outputs[0], self._file)


class TorchAdapter(Adapter):
    """Runs `generator.safetensors` with torch on the processor."""

    def __init__(self, folder: Path, info: AdapterInfo, content: bytes, threads: int) -> None:
        self.info = info
        self._file = folder / WEIGHTS
        self._threads = threads
        self._generator = _read_generator(self._file, content, info)

    def adapt(self, crops: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        self._check(crops, noise)
        adapted = np.empty(crops.shape, dtype=np.float32)
        threads = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode():
                for start in range(0, len(crops), CHUNK):
                    chunk = slice(start, start + CHUNK)
                    x = torch.from_numpy(_filled(crops[chunk]))
                    z = torch.from_numpy(_filled(noise[chunk]))
                    outputs = _finite(self._generator(x, z).numpy(), self._file)
                    adapted[chunk] = outputs[: len(crops) - start]
        finally:
            torch.set_num_threads(threads)
        return adapted


def load_adapter(
    path: Path | str, runtime: Literal["onnx", "torch"] = "onnx", threads: int = 1
) -> Adapter:
    """The adapter in a folder, ready to run.

    Args:
        path: folder that holds adapter.json, or "shipped" for the one in the package.
        runtime: "onnx" (needs onnxruntime only) or "torch".
        threads: processor threads.

    Raises:
        AdapterError: no adapter there, or one that is damaged or of another version.
    """
    folder = SHIPPED_ADAPTER if path == "shipped" else Path(path)
    info = read_info(folder)
    contents = {name: _read_part(folder, name, info) for name in sorted(info.sha256)}
    if runtime == "torch":
        return TorchAdapter(folder, info, contents[WEIGHTS], threads)
    return OnnxAdapter(folder, info, contents[ONNX], threads)


def _read_part(folder: Path, name: str, info: AdapterInfo) -> bytes:
    """One of an adapter's files, which is what adapter.json says it is.

    Raises:
        AdapterError: it is not.
    """
    file = folder / name
    try:
        content = read_file(file, most=MOST_BYTES, inside=folder)
    except FileNotFoundError:
        raise AdapterError(f"the adapter {folder} lacks {name}; copy it again whole") from None
    except OSError as error:
        raise AdapterError(f"{file} cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != info.sha256[name]:
        raise AdapterError(
            f"{file} is not the file that {DESCRIPTION} describes (its SHA-256 differs); copy "
            "the adapter again or train it anew"
        )
    return content


def read_info(folder: Path) -> AdapterInfo:
    """What adapter.json says, without looking at the weights.

    Raises:
        AdapterError: it is absent, unreadable, of another version or incomplete.
    """
    file = folder / DESCRIPTION
    if not file.is_file():
        raise AdapterError(
            f"{folder} is not an adapter: it has no {DESCRIPTION}; give the folder that "
            "`render-adapt train --out` made"
        )
    try:
        fields = parse_json(read_file(file, most=MOST_DESCRIPTION_BYTES, inside=folder))
    except OSError as error:
        raise AdapterError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise AdapterError(f"{file} cannot be read as JSON ({error})") from error
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        found = fields.get("format") if isinstance(fields, dict) else None
        raise AdapterError(f"{file} has format {found!r}; this version reads {FORMAT!r}")
    wanted = {
        "channels": int,
        "size": int,
        "noise_dimension": int,
        "window_mm": float,
        "preset": str,
        "config": dict,
        "steps": int,
        "class_names": list,
        "provenance": str,
        "figures": dict,
        "sha256": dict,
    }
    for name, kind in wanted.items():
        if not isinstance(fields.get(name), kind) or isinstance(fields[name], bool):
            raise AdapterError(f"{file} lacks {name!r}, or it is not a {kind.__name__}")
    for name, (least, greatest) in LIMITS.items():
        if not least <= fields[name] <= greatest:
            raise AdapterError(
                f"{file} has {name} {fields[name]!r:.40}; it must be {least:g} to {greatest:g}"
            )
    if not all(isinstance(name, str) for name in fields["class_names"]):
        raise AdapterError(f"{file} has class_names that are not text")
    # Other names would be paths of a stranger's choice to files of the user's.
    if fields["sha256"].keys() != {WEIGHTS, ONNX}:
        raise AdapterError(f"{file} lacks the SHA-256 of {WEIGHTS} or {ONNX}, or has others")
    values = {name: fields[name] for name in wanted}
    cut = read_cut(fields["target_cut"], file) if fields.get("target_cut") is not None else None
    return AdapterInfo(**{**values, "class_names": tuple(fields["class_names"]), "cut": cut})


def draw_noise(
    seed: int, index: NDArray[np.int64], dimension: int = 10, attempt: ArrayLike = 0
) -> NDArray[np.float32]:
    """The noise vectors of some crops: each depends on the run's seed, the crop's number and the
    attempt only.

    Args:
        seed: the run's seed.
        index: (N,), the crops' numbers within the run.
        dimension: length of a vector.
        attempt: (N,), or one for all: how often a crop's vector has been drawn before.

    Returns:
        (N, dimension), uniform in [-1, 1).
    """
    noise = np.empty((len(index), dimension), dtype=np.float32)
    attempts = np.broadcast_to(np.asarray(attempt, np.int64), index.shape)
    for row, (number, redrawn) in enumerate(zip(index, attempts, strict=True)):
        again = [int(redrawn)] if redrawn else []
        random = np.random.default_rng([seed, int(number), NOISE_STREAM, *again])
        noise[row] = 2.0 * random.random(dimension, dtype=np.float32) - 1.0
    return noise


def _filled(chunk: NDArray[np.float32]) -> NDArray[np.float32]:
    """The chunk as a whole one, zeros in the rows that it lacks."""
    filled = np.zeros((CHUNK, *chunk.shape[1:]), dtype=np.float32)
    filled[: len(chunk)] = chunk
    return filled


def _read_generator(file: Path, content: bytes, info: AdapterInfo) -> Generator:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from adapter._networks.pixelda import build_generator
    from adapter._settings.pixelda import TrainConfig

    again = "copy the adapter again or train it anew"
    try:
        weights = load(content)
    except SafetensorError as error:
        raise AdapterError(
            f"{file} cannot be read as safetensors ({brief(error)}); {again}"
        ) from error
    misfit = f"{file} does not fit the network that {DESCRIPTION} describes; {again}"
    config = _read_settings(TrainConfig, info.config)
    if config is None or config.blocks > len(weights):
        raise AdapterError(misfit)
    try:
        # Without memory first: what the description asks for may be more than the machine has.
        with torch.device("meta"):
            planned = build_generator(info.channels, info.size, config).state_dict()
        if {k: v.shape for k, v in planned.items()} != {k: v.shape for k, v in weights.items()}:
            raise AdapterError(misfit)
        generator = build_generator(info.channels, info.size, config)
        generator.load_state_dict(weights)
    except (RuntimeError, ValueError, OverflowError) as error:
        raise AdapterError(misfit) from error
    return generator.eval()


def _read_settings(kind: type[TrainConfig], given: dict[str, Any]) -> TrainConfig | None:
    """The settings of a training; None where one is unknown, of another kind or out of range."""
    kinds = {field.name: type(field.default) for field in dataclasses.fields(kind)}
    for name, value in given.items():
        wanted = (int, float) if kinds.get(name) is float else (kinds.get(name),)
        if type(value) not in wanted:
            return None
    try:
        return kind(**given)
    except (AdapterError, OverflowError):
        return None


def _finite(adapted: NDArray[np.float32], file: Path) -> NDArray[np.float32]:
    if not np.isfinite(adapted).all():
        raise AdapterError(
            f"{file} gives values that are not finite numbers; train the adapter anew"
        )
    return adapted
