"""Compiled functions, kept on disk by numba; a damaged file there is made anew."""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# mypy: disable-error-code="misc"

from __future__ import annotations

import contextlib
import functools
import gc
import pickle

import numba
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    InTreeCacheLocator,
    UserProvidedCacheLocator,
    UserWideCacheLocator,
)

from renderer._engines.raster.cache_folder import cache_folder

_DAMAGED = (
    pickle.UnpicklingError, EOFError, AttributeError, ImportError, LookupError, TypeError,
    ValueError,
)  # fmt: skip
"""What reading pickles of a file that was cut off, emptied or overwritten raises."""


_OPTIONS = {
    "nogil": True,
    "error_model": "numpy",
    # They allocate nothing: counting who holds which array takes longer to compile than the rest.
    "_nrt": False,
}


def compiled(function):
    """Compile on first use; keep the result on disk where there is a writable place for it.

    What is compiled may look into arrays, but make none.
    """
    dispatcher = numba.njit(**_OPTIONS)(function)
    dispatcher.compile = _uncollected(dispatcher.compile)
    with contextlib.suppress(RuntimeError):  # numba's answer when it finds no folder
        # As `cache=True` does, with a cache that survives a power cut.
        dispatcher._cache = _MendingCache(function)
    return dispatcher


def compiled_part(function):
    """Compile what only other compiled functions call, as a part of them.

    Nothing makes it callable from Python, which for structures of arrays takes a third of the time.
    """
    return numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)


def _uncollected(compile_signature):
    """Compiling without the collector of garbage, which takes a twelfth of it for nothing."""

    @functools.wraps(compile_signature)
    def compile_alone(signature):
        collects = gc.isenabled()
        gc.disable()
        try:
            return compile_signature(signature)
        finally:
            if collects:
                gc.enable()

    return compile_alone


class _OurCacheLocator(UserWideCacheLocator):
    """A place among our own caches, where numba would take one among its own."""

    def __init__(self, py_func, py_file):
        super().__init__(py_func, py_file)
        folder = cache_folder()
        if folder is None:
            raise OSError("there is no home to keep anything in")
        self._cache_path = str(folder / "compiled" / self.get_suitable_cache_subpath(py_file))

    @classmethod
    def from_function(cls, py_func, py_file):
        """One for a function; None where nothing can be written."""
        try:
            return super().from_function(py_func, py_file)
        except OSError:
            return None


class _CacheImpl(CompileResultCacheImpl):
    # `NUMBA_CACHE_DIR` first, then beside the code: a checkout's branches keep out of each other's.
    _locator_classes = (UserProvidedCacheLocator, InTreeCacheLocator, _OurCacheLocator)


class _MendingCache(FunctionCache):
    _impl_class = _CacheImpl

    def load_overload(self, sig, target_context):
        """The compiled function of a signature; None where it must be compiled."""
        try:
            return super().load_overload(sig, target_context)
        except _DAMAGED:
            # Else every command would fail until somebody deletes the file.
            self.flush()
            return None
