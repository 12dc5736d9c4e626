"""Where a dataset is: a folder, or a place in an object store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from checked_settings import RenderAdaptError, SettingError

_ADDRESS = re.compile(r"([a-z][a-z0-9+]+)://(.*)")


@dataclass(frozen=True)
class StoreAddress:
    """A place in an object store, as in `s3://bucket/run`.

    It is named as a folder's path is: `/` appends, `name` is the last part.
    """

    protocol: str
    """What fsspec calls the kind of store: s3, gs, ..."""
    path: str
    """The bucket, and what is below it."""

    @property
    def name(self) -> str:
        """The last part."""
        return self.path.rpartition("/")[2]

    def __truediv__(self, name: str) -> StoreAddress:
        return StoreAddress(self.protocol, f"{self.path}/{name}")

    def __str__(self) -> str:
        return f"{self.protocol}://{self.path}"


def place_of(place: str | Path | StoreAddress) -> Path | StoreAddress:
    """A dataset's place as somebody named it: text with `://` is an address, other text a path.

    Raises:
        SettingError: it is an address that was made a `Path`, of a folder, or without a bucket.
    """
    if isinstance(place, StoreAddress):
        return place
    match = _ADDRESS.fullmatch(place) if isinstance(place, str) else None
    if match is None:
        path = Path(place)
        first, *rest = path.parts or ("",)
        if rest and re.fullmatch(r"[a-z][a-z0-9+]+:", first):
            below = "/".join(rest)
            raise SettingError(
                f"{path} is a path, which has one slash where an address has two: give the text "
                f"{first}//{below}"
            )
        return path
    if match[1] in ("file", "local"):
        raise SettingError(f"{place} is a folder of this machine: give its path alone")
    if not match[2] or match[2].startswith("/"):
        raise SettingError(f"{place} names no bucket: give an address as in s3://bucket/run")
    return StoreAddress(match[1], match[2].rstrip("/"))


@contextmanager
def named_after(address: StoreAddress, copy: Path) -> Iterator[None]:
    """Within it, errors about files of a copy name what these were copied from."""
    try:
        yield
    except RenderAdaptError as error:
        error.args = tuple(
            part.replace(str(copy), str(address)) if isinstance(part, str) else part
            for part in error.args
        )
        raise
