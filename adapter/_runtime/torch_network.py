"""Networks that torch runs, on any of its devices."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapter._errors import AdapterError, brief
from adapter._runtime.bf16 import Precision
from adapter._runtime.devices import device_name

AT_ONCE = 64
"""Rows that go through a network together on a GPU: a run's crops at once."""
AT_ONCE_ON_PROCESSOR = 16
LESS_AT_ONCE = (
    "the GPU's memory was too small for what is computed at once, and less was: bytes need not be "
    "those of a run with more; fewer `workers` leave each more of it"
)
"""What there is to say of a batch that was halved."""


class TorchNetwork:
    """A torch network at work on a device, always on so many rows at once, zeros where there are
    fewer: what becomes of a row depends on the row alone.

    It computes in float32, without the shortened products (TF32) of newer GPUs, or in bf16 where
    torch's autocasting has that; convolutions are channels-last, and the same each time. Where the
    device's memory runs out, half as many rows are taken at once from then on.

    Args:
        module: in evaluation mode; takes tensors (N, ...), and gives one.
        device: torch's name of it, as "cuda:1".
        precision: what it computes in.
        threads: of the processor, where that is the device.
        at_once: rows; by default what suits the device.

    Raises:
        AdapterError: the device has no room for it.
    """

    def __init__(
        self,
        module: nn.Module,
        device: str = "cpu",
        precision: Precision = "fp32",
        threads: int = 1,
        at_once: int | None = None,
    ) -> None:
        self.device = torch.device(device)
        self._half = precision == "bf16"
        self._threads = threads
        on_processor = self.device.type == "cpu"
        self._at_once = at_once or (AT_ONCE_ON_PROCESSOR if on_processor else AT_ONCE)
        self.notes: tuple[str, ...] = ()
        """What is worth knowing of how it ran, a sentence each."""
        with self._failing():
            # In two calls, of which torch's types know the first alone.
            self._module = module.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def at_once(self) -> int:
        """Rows that go through the network together."""
        return self._at_once

    def __call__(self, *inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network makes of N rows of each input, float32.

        Raises:
            AdapterError: the network cannot be run, or the device has no room for a single row.
        """
        results: list[NDArray[np.float32]] = []
        start = 0
        with self._failing(), self._as_promised():
            while not results or start < len(inputs[0]):
                rows = [values[start : start + self._at_once] for values in inputs]
                try:
                    results.append(self._run(rows))
                except torch.OutOfMemoryError:
                    if self._at_once == 1:
                        raise
                    self._at_once //= 2
                    self.notes = (LESS_AT_ONCE,)
                    continue
                start += self._at_once
        return np.concatenate(results)

    def _run(self, rows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        tensors = [self._filled(values) for values in rows]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            result: Tensor = self._module(*tensors)
        return result[: len(rows[0])].float().cpu().numpy()

    def _filled(self, values: NDArray[np.float32]) -> Tensor:
        """As many rows as are taken at once, on the device."""
        shape, on_gpu = (self._at_once, *values.shape[1:]), self.device.type == "cuda"
        filled = torch.zeros(shape, pin_memory=on_gpu)
        filled[: len(values)] = torch.from_numpy(np.ascontiguousarray(values))
        moved = filled.to(self.device, non_blocking=True)
        return moved.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else moved

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """What goes wrong on the device, as one sentence."""
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise AdapterError(
                f"the memory of {device_name(self.device)} is too small for the network: give "
                "fewer `workers`, end what else uses it, or give `device` cpu"
            ) from error
        except RuntimeError as error:
            raise AdapterError(
                f"the network cannot be run on {device_name(self.device)} ({brief(error)}): give "
                "`device` cpu, or make the adapter anew"
            ) from error

    @contextlib.contextmanager
    def _as_promised(self) -> Iterator[None]:
        """Torch as results that are the same each time want it, and the caller's again after."""
        threads = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            with (
                torch.inference_mode(),
                torch.backends.cudnn.flags(
                    enabled=True, benchmark=False, deterministic=True, allow_tf32=False
                ),
            ):
                on_gpu = self.device.type == "cuda"
                # Also what is pinned in the processor's memory is of the current GPU.
                with torch.cuda.device(self.device) if on_gpu else contextlib.nullcontext():
                    yield
        finally:
            torch.set_num_threads(threads)
