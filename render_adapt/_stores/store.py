"""What is done with the objects below an address. An object is there whole, or not at all.

An upload that is broken off leaves nothing that can be seen: S3, Google's and Azure's stores show
an object once its last byte is there. Several uploads and downloads are under way at once.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from checked_settings import MissingDependency, SettingError
from render_adapt._exceptions import DatasetError
from render_adapt._printable import printable
from render_adapt._stores.address import StoreAddress

_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    # Of a store that does not answer, botocore waits a minute, five times over.
    "s3": {"config_kwargs": {"connect_timeout": 5, "retries": {"max_attempts": 3}}},
}
_OWN_ERRORS = {
    "s3": (("botocore.exceptions", "BotoCoreError"), ("botocore.exceptions", "ClientError")),
    "gs": (("google.auth.exceptions", "GoogleAuthError"), ("gcsfs.retry", "HttpError")),
    "gcs": (("google.auth.exceptions", "GoogleAuthError"), ("gcsfs.retry", "HttpError")),
    "abfs": (("azure.core.exceptions", "AzureError"),),
    "az": (("azure.core.exceptions", "AzureError"),),
}
"""What libraries raise that is no OSError."""


_ABOUT_STORES = ("AWS_", "FSSPEC_", "GCSFS_", "GOOGLE_", "AZURE_", "STORAGE_")
"""What variables begin with by which stores and keys are named."""


class Store:
    """The objects below an address, by their names relative to it, with slashes.

    It may be copied to other processes.

    Args:
        address: as in `s3://bucket/run`.
        advice: ends the sentence about what could not be done.

    Raises:
        MissingDependency: the library for this kind of store is not installed.
        SettingError: there is no such kind.
    """

    def __init__(self, address: StoreAddress, advice: str) -> None:
        self.address = address
        self._advice = advice
        _file_system(address.protocol)

    @property
    def _files(self) -> Any:
        return _file_system(self.address.protocol)

    def read(self, name: str, most: int) -> bytes | None:
        """What an object holds; None where there is none.

        Raises:
            DatasetError: it cannot be read, or has more than `most` bytes.
        """
        with self._reaching("read", name):
            try:
                size = int(self._files.info(self._full(name))["size"])
                if size > most:
                    raise DatasetError(f"{self.address / name} is larger than {most} bytes")
                return bytes(self._files.cat_file(self._full(name)))
            except FileNotFoundError:
                return None

    def write(self, name: str, content: str) -> None:
        """Make this the whole of an object.

        Raises:
            DatasetError: it cannot be written.
        """
        with self._reaching("write", name):
            self._files.pipe_file(self._full(name), content.encode())

    def create(self, name: str, content: str) -> bool:
        """Make an object that is not there; False where somebody else has made it.

        Raises:
            DatasetError: it cannot be written.
        """
        with self._reaching("write", name):
            try:
                self._files.pipe_file(self._full(name), content.encode(), mode="create")
            except FileExistsError:
                return False
        return True

    def sizes(self, below: str = "") -> dict[str, int]:
        """The objects below a name, or of that name, each with its bytes."""
        with self._reaching("list", below):
            found = self._files.find(self._full(below), detail=True)
        return {
            self._name(path): int(info["size"] or 0)
            for path, info in found.items()
            if info["type"] == "file"
        }

    def level(self, folder: str = "") -> dict[str, bool]:
        """What lies directly below a name; whether it is an object, or a name of several."""
        with self._reaching("list", folder):
            try:
                found = self._files.ls(self._full(folder), detail=True)
            except FileNotFoundError:
                return {}
        names = {self._name(info["name"].rstrip("/")): info["type"] == "file" for info in found}
        return {name: is_object for name, is_object in names.items() if name not in ("", folder)}

    def upload(self, folder: Path, names: Iterable[str]) -> None:
        """Write objects with what files of the same names hold.

        Raises:
            DatasetError: one cannot be written; others may be there then.
        """
        here, there = self._pairs(folder, names)
        with self._reaching("write"):
            self._files.put(here, there)

    def download(self, names: Iterable[str], folder: Path) -> None:
        """Write files with what objects of the same names hold.

        Raises:
            DatasetError: one is not there or cannot be read, or its name leads out of the folder.
        """
        names = list(names)
        for name in names:
            if ".." in name.split("/") or PurePosixPath(name).is_absolute():
                raise DatasetError(f"{self.address} has {printable(name)[:80]!r}, which is no file")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        here, there = self._pairs(folder, names)
        with self._reaching("read"):
            self._files.get(there, here)

    def remove(self, names: Iterable[str]) -> None:
        """Have objects gone.

        Raises:
            DatasetError: one cannot be removed.
        """
        paths = [self._full(name) for name in names]
        with self._reaching("write"), contextlib.suppress(FileNotFoundError):
            if paths:
                self._files.rm(paths)

    def _pairs(self, folder: Path, names: Iterable[str]) -> tuple[list[str], list[str]]:
        names = list(names)
        return [str(folder / name) for name in names], [self._full(name) for name in names]

    def _full(self, name: str) -> str:
        return f"{self.address.path}/{name}" if name else self.address.path

    def _name(self, path: str) -> str:
        return path.removeprefix("/").removeprefix(self.address.path).removeprefix("/")

    @contextlib.contextmanager
    def _reaching(self, verb: str, name: str = "") -> Iterator[None]:
        """Turns what libraries raise into one sentence."""
        try:
            yield
        except _errors_of(self.address.protocol) as error:
            where = self.address / name if name else self.address
            why = printable(str(getattr(error, "strerror", None) or error)).rstrip(".")
            raise DatasetError(
                f"cannot {verb} {where}: {why or type(error).__name__}; {self._advice}"
            ) from error


def _file_system(protocol: str) -> Any:
    """What fsspec has for a kind of store."""
    # Its connections are a process's own, so that a fork must not go on with them; and it reads
    # addresses and keys from the environment once.
    said = ((name, value) for name, value in os.environ.items() if name.startswith(_ABOUT_STORES))
    return _file_system_of(protocol, os.getpid(), tuple(sorted(said)))


@functools.cache
def _file_system_of(protocol: str, process: int, said: tuple[tuple[str, str], ...]) -> Any:
    try:
        from fsspec.registry import get_filesystem_class

        kind = get_filesystem_class(protocol)
    except ValueError:
        raise SettingError(
            f"{protocol}:// is no kind of store that is known: s3://, gs:// and abfs:// are, among "
            "others of fsspec"
        ) from None
    except ImportError:
        package = _package_of(protocol)
        install = "'render-adapt[s3]'" if package == "s3fs" else package
        raise MissingDependency(f"{protocol}://", package, install) from None
    # Others write there too: what was listed a moment ago need not be true.
    options = _OPTIONS.get(protocol, {})
    return kind(use_listings_cache=False, skip_instance_cache=True, **options)


def _package_of(protocol: str) -> str:
    try:
        from fsspec.registry import known_implementations
    except ImportError:
        return "s3fs" if protocol == "s3" else "fsspec"
    return str(known_implementations[protocol]["class"]).partition(".")[0]


@functools.cache
def _errors_of(protocol: str) -> tuple[type[Exception], ...]:
    found: list[type[Exception]] = [OSError]
    for module, name in _OWN_ERRORS.get(protocol, ()):
        with contextlib.suppress(ImportError):
            found.append(getattr(importlib.import_module(module), name))
    return tuple(found)
