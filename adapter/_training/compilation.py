"""torch.compile, which fails where a network is first called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adapter._errors import AdapterError


@contextmanager
def compiling(compiled: bool) -> Iterator[None]:
    """Says what to do where networks, if they are `compiled`, cannot be.

    Raises:
        AdapterError: torch.compile failed.
    """
    if not compiled:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        reason = " ".join(str(error).split())[:200]
        raise AdapterError(
            f"torch.compile cannot compile the networks here ({reason}); train without `compile`"
        ) from error
