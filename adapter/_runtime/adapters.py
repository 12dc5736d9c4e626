"""Adapters at work: crops in, crops of the target domain out."""

from __future__ import annotations

import abc
import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapter._errors import AdapterError, brief
from adapter._runtime.bf16 import Precision
from adapter._runtime.description import DESCRIPTION, ONNX, WEIGHTS, AdapterInfo, read_info
from adapter._runtime.devices import PROCESSOR, device_name
from adapter._runtime.known import adapter_folder
from adapter._runtime.onnx import MOST_BYTES, network_errors, open_network
from safe_files import read_file

if TYPE_CHECKING:
    from torch import nn

    from adapter._settings.pixelda import TrainConfig

NOISE_STREAM = 2
"""Last member of the random seeds; the renderer draws plans from stream 0."""

CHUNK = 16
"""Crops that go through the network at once, always: results do not depend on the batching."""
_BEYOND = 1e-3
"""How far a network's values may lie outside of [-1, 1]: rounding."""
_MOST_BLOCKS = 1000
"""Of a generator: planning one takes time for each, whatever memory it would take."""


class Adapter(abc.ABC):
    """The seam between the pipeline and whatever makes crops look real."""

    info: AdapterInfo
    runs_on: str = "the processor"
    """What people call the device that it computes on."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing of how it ran, a sentence each."""
        return ()

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
            sha256={},
            preset="none",
            provenance="no adaptation",
        )

    def adapt(self, crops: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        self._check(crops, noise)
        return crops.copy()


class OnnxAdapter(Adapter):
    """Runs `generator.onnx` on the processor: with ONNX Runtime, or in bf16 with OpenVINO."""

    def __init__(
        self,
        folder: Path,
        info: AdapterInfo,
        content: bytes,
        threads: int,
        precision: Precision = "fp32",
    ) -> None:
        self.info = info
        self._file = folder / ONNX
        try:
            self._session = open_network(content, threads, precision)
        except ValueError as error:
            raise AdapterError(
                f"{self._file} is not a network that can be used ({error}); copy the adapter "
                "again or make it anew"
            ) from error
        expected: dict[str, list[Any]] = {"crops": [CHUNK, info.channels, info.size, info.size]}
        if info.noise_dimension:
            expected["noise"] = [CHUNK, info.noise_dimension]
        inputs = self._session.get_inputs()
        if not _take({node.name: node.shape for node in inputs}, expected):
            shapes = {node.name: node.shape[1:] for node in inputs}
            stated = {name: shape[1:] for name, shape in expected.items()}
            raise AdapterError(
                f"{self._file} takes {shapes} where {DESCRIPTION} says {stated}, any number of "
                "them at once; copy the adapter again or make it anew"
            )

    def adapt(self, crops: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        self._check(crops, noise)
        adapted = np.empty(crops.shape, dtype=np.float32)
        for start in range(0, len(crops), CHUNK):
            chunk = slice(start, start + CHUNK)
            inputs = {"crops": _filled(crops[chunk])}
            if self.info.noise_dimension:
                inputs["noise"] = _filled(noise[chunk])
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
            raise AdapterError(f"{self._file} cannot be run; make the adapter anew") from error
        only = outputs[0] if len(outputs) == 1 else None
        return _checked(only, inputs["crops"].shape, self._file)


class TorchAdapter(Adapter):
    """Runs `generator.safetensors` with torch, on any of its devices."""

    def __init__(
        self,
        folder: Path,
        info: AdapterInfo,
        content: bytes,
        threads: int,
        device: str = PROCESSOR,
        precision: Precision = "fp32",
    ) -> None:
        from adapter._runtime.torch_network import TorchNetwork

        self.info = info
        self._file = folder / WEIGHTS
        self._generator = _read_generator(self._file, content, info)
        self._network = TorchNetwork(self._generator, device, precision, threads)
        self.runs_on = device_name(self._network.device)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing of how it ran, a sentence each."""
        return self._network.notes

    def adapt(self, crops: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        self._check(crops, noise)
        return _checked(self._network(crops, noise), crops.shape, self._file)


def load_adapter(
    path: Path | str,
    runtime: Literal["onnx", "torch"] | None = None,
    threads: int = 1,
    precision: Precision = "fp32",
    device: str = PROCESSOR,
) -> Adapter:
    """The adapter in a folder, ready to run.

    Args:
        path: folder that holds adapter.json, "shipped" for the one that is used by default, or a
            name in `ADAPTERS`.
        runtime: "onnx" (needs onnxruntime only), for processors, or "torch", for any device; by
            default what suits the device.
        threads: processor threads.
        precision: bf16 is for what computes in it (`precision_here`).
        device: "cpu", or a GPU by torch's name, as "cuda:1" (`device_here`).

    Raises:
        MissingDependency: bf16 on a processor without OpenVINO.
        AdapterError: no adapter there, one that is damaged or of another version, one without
            weights for torch, or a device that has no room for it.
    """
    folder = adapter_folder(path)
    info = read_info(folder)
    contents = {name: _read_part(folder, name, info) for name in sorted(info.sha256)}
    if runtime == "torch" or (runtime is None and device != PROCESSOR):
        if WEIGHTS not in contents:
            raise AdapterError(
                f"the adapter {folder} has no weights for torch ({WEIGHTS}), only {ONNX}: give "
                '`device` cpu, or load it with runtime="onnx"'
            )
        return TorchAdapter(folder, info, contents[WEIGHTS], threads, device, precision)
    return OnnxAdapter(folder, info, contents[ONNX], threads, precision)


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
        raise AdapterError(
            f"{file} cannot be read ({error.strerror}): copy the adapter again"
        ) from None
    if hashlib.sha256(content).hexdigest() != info.sha256[name]:
        raise AdapterError(
            f"{file} is not the file that {DESCRIPTION} describes (its SHA-256 differs); copy "
            "the adapter again or make it anew"
        )
    return content


def draw_noise(
    seed: int,
    index: NDArray[np.int64],
    dimension: int = 10,
    attempt: ArrayLike = 0,
    number: ArrayLike = 0,
) -> NDArray[np.float32]:
    """The noise vectors of some crops: each depends on the run's seed, the crop's number and the
    attempt only; in a whole frame also on which of its objects it is for.

    Args:
        seed: the run's seed.
        index: (N,), the crops' numbers within the run.
        dimension: length of a vector.
        attempt: (N,), or one for all: how often a crop's vector has been drawn before.
        number: (N,), or one for all: 0 for a frame's target, and for crops; k for the k-th of a
            frame's other objects.

    Returns:
        (N, dimension), uniform in [-1, 1).
    """
    noise = np.empty((len(index), dimension), dtype=np.float32)
    attempts = np.broadcast_to(np.asarray(attempt, np.int64), index.shape)
    numbers = np.broadcast_to(np.asarray(number, np.int64), index.shape)
    keys = zip(index.tolist(), attempts.tolist(), numbers.tolist(), strict=True)
    for row, (crop, *further) in enumerate(keys):
        while further and not further[-1]:
            further.pop()
        random = np.random.default_rng([seed, crop, NOISE_STREAM, *further])
        noise[row] = 2.0 * random.random(dimension, dtype=np.float32) - 1.0
    return noise


def _filled(chunk: NDArray[np.float32]) -> NDArray[np.float32]:
    """The chunk as a whole one, zeros in the rows that it lacks."""
    filled = np.zeros((CHUNK, *chunk.shape[1:]), dtype=np.float32)
    filled[: len(chunk)] = chunk
    return filled


def _take(inputs: dict[str, list[Any]], expected: dict[str, list[Any]]) -> bool:
    """Whether inputs of the shapes found, in which what is free has a name or none, take these."""
    return inputs.keys() == expected.keys() and all(
        len(shape) == len(expected[name])
        and all(
            side == expected_side or not isinstance(side, int)
            for side, expected_side in zip(shape, expected[name], strict=True)
        )
        for name, shape in inputs.items()
    )


def _read_generator(file: Path, content: bytes, info: AdapterInfo) -> nn.Module:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from adapter._networks.registry import architectures
    from adapter._settings.pixelda import TrainConfig

    advice = "copy the adapter again or make it anew"
    try:
        weights = load(content)
    except SafetensorError as error:
        raise AdapterError(
            f"{file} cannot be read as safetensors ({brief(error)}); {advice}"
        ) from error
    misfit = f"{file} does not fit the network that {DESCRIPTION} describes; {advice}"
    config = _read_settings(TrainConfig, info.config)
    if config is None or config.blocks > _MOST_BLOCKS:
        raise AdapterError(misfit)
    if config.noise_dimension != info.noise_dimension:
        raise AdapterError(misfit)
    if config.architecture not in architectures():
        raise AdapterError(
            f"{file} is of the architecture {config.architecture!r:.40}, which no package here "
            "brings: install the one that does, give `device` cpu, or load the adapter with "
            'runtime="onnx"'
        )
    build = architectures()[config.architecture].build
    try:
        # Without memory first: what the description asks for may be more than the machine has.
        with torch.device("meta"):
            planned = build(info.channels, info.size, config).state_dict()
        if {k: v.shape for k, v in planned.items()} != {k: v.shape for k, v in weights.items()}:
            raise AdapterError(misfit)
        generator = build(info.channels, info.size, config)
        generator.load_state_dict(weights)
    except (RuntimeError, ValueError, OverflowError) as error:
        raise AdapterError(misfit) from error
    return generator.eval()


def _read_settings(kind: type[TrainConfig], settings: dict[str, Any]) -> TrainConfig | None:
    """The settings of a training; None where one is unknown, of another kind or out of range."""
    kinds = {field.name: type(field.default) for field in dataclasses.fields(kind)}
    for name, value in settings.items():
        allowed_kinds = (int, float) if kinds.get(name) is float else (kinds.get(name),)
        if type(value) not in allowed_kinds:
            return None
    try:
        return kind(**settings)
    except (AdapterError, OverflowError):
        return None


def _checked(adapted: Any, shape: tuple[int, ...], file: Path) -> NDArray[np.float32]:
    """What a network gave, if it is crops.

    Raises:
        AdapterError: it is not.
    """
    if getattr(adapted, "shape", None) != shape or adapted.dtype.kind != "f":
        raise AdapterError(
            f"{file} does not give crops as large as it takes; make the adapter anew"
        )
    if not np.isfinite(adapted).all():
        raise AdapterError(
            f"{file} gives values that are not finite numbers; make the adapter anew"
        )
    if not adapted.size:
        return adapted  # type: ignore[no-any-return]
    least, greatest = float(adapted.min()), float(adapted.max())
    if least < -1 - _BEYOND or greatest > 1 + _BEYOND:
        raise AdapterError(
            f"{file} gives values from {least:.3g} to {greatest:.3g}, and crops are in [-1, 1]: "
            "make the adapter anew, with a tanh or a clip at its end"
        )
    return adapted  # type: ignore[no-any-return]
