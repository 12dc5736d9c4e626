"""What a command line owes whoever watches it: streams that hold, and a word when interrupted."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from checked_settings import RenderAdaptError

CONTINUES = "the same command continues"


class OutputError(RenderAdaptError):
    """What a command says has nowhere to go; what it was asked for is done."""


class ReaderGoneError(OutputError):
    """Whoever read what a command says has stopped, as `head` does."""


class InterruptedCommand(KeyboardInterrupt):
    """An interrupt that says what has become of the work so far."""


class CheckedStream:
    """A stream whose refusal to be written is an `OutputError`.

    Args:
        stream: what is written to; all else is its own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text.

        Raises:
            OutputError: the disk is full, or nobody reads any more.
        """
        with _reported():
            return self._stream.write(text)

    def flush(self) -> None:
        """Have all that was written out.

        Raises:
            OutputError: as for `write`.
        """
        with _reported():
            self._stream.flush()


@contextlib.contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # Python tries again as it ends, and would print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(error, BrokenPipeError):
            raise ReaderGoneError("nobody reads standard output any more") from None
        raise OutputError(
            f"standard output cannot be written ({error.strerror}): give it room; what was made is "
            "made"
        ) from None


@contextlib.contextmanager
def kept_streams() -> Iterator[None]:
    """Within it, standard output and error take any text, and say when they cannot be written."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Else the next file that is opened would be what everybody prints to.
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A name that the terminal's encoding lacks is shown with escapes.
            stream.reconfigure(errors="backslashreplace")
    if sys.stdout is None:
        yield
        return
    with contextlib.redirect_stdout(CheckedStream(sys.stdout)):
        yield
        sys.stdout.flush()


@contextlib.contextmanager
def saying_when_interrupted(what_is_kept: Callable[[], str]) -> Iterator[None]:
    """Within it, an interrupt tells what has become of the work.

    Args:
        what_is_kept: called then, for the end of the sentence "interrupted; ...".

    Raises:
        InterruptedCommand: in place of KeyboardInterrupt.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedCommand(what_is_kept()) from None


def interrupt_on_termination() -> None:
    """Have SIGTERM end a command as an interrupt does."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
