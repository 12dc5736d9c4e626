"""A finished dataset in an object store, whose files are brought here as they are asked for."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from render_adapt._exceptions import DatasetError
from render_adapt._files import MOST_TEXT, hash_file, read_listing, writing
from render_adapt._runs.manifest import LISTING, MANIFEST, MOST_MANIFEST
from render_adapt._runs.run_folder import INCOMPLETE
from render_adapt._runs.shard_entry import MOST_ENTRY, index_of, listing_of
from render_adapt._stores.address import StoreAddress
from render_adapt._stores.store import Store
from safe_files import read_file, write_file


class StoredCopy:
    """Files of a dataset among the user's caches, each with the hash that the dataset lists.

    Several processes may bring files at once; what one has brought all have.

    Args:
        address: the dataset's.

    Raises:
        DatasetError: there is none, it has not been finished, or it cannot be read.
    """

    def __init__(self, address: StoreAddress) -> None:
        self.address = address
        self._store = Store(address, "mend that and try again")
        listing = self._store.read(LISTING, MOST_TEXT)
        if listing is None or self._store.read(INCOMPLETE, MOST_ENTRY) is not None:
            if self._store.read(MANIFEST, MOST_MANIFEST) is None:
                raise DatasetError(
                    f"{address} is no dataset of render-adapt: it has no {MANIFEST}; give the "
                    "address that a run wrote to"
                )
            raise DatasetError(
                f"{address} has not been finished: give the command that began it again"
            )
        # Another dataset at the same address has other hashes.
        digest = hashlib.sha256(f"{address}\n".encode() + listing).hexdigest()
        self.path = _caches() / "stores" / digest[:32]
        with writing(self.path, "make room there, or set XDG_CACHE_HOME to another folder"):
            self.path.mkdir(parents=True, exist_ok=True)
            write_file(self.path / LISTING, listing)
        self._listed = self._hashes_in(LISTING)
        self._brought: set[str] = set()
        self._bring({k: v for k, v in self._listed.items() if not k.startswith("shards/")})

    def bring_index(self, shards: Iterable[int]) -> None:
        """Have the rows of the index of some shards here, and the lists of their files.

        Raises:
            DatasetError: one is not there, or not what was written.
        """
        names = [(index_of(Path(), k).as_posix(), listing_of(Path(), k).as_posix()) for k in shards]
        lists = [listing for _, listing in names if listing in self._listed]
        self._bring({listing: self._listed[listing] for listing in lists})
        wanted = {}
        for index, listing in names:
            if listing in lists and index in (hashes := self._hashes_in(listing)):
                wanted[index] = hashes[index]
        self._bring(wanted)

    def bring_entry(self, shard: int, entry: str) -> None:
        """Have a shard's file or folder of one format here.

        Args:
            shard: its number; its list has been brought.
            entry: as of `Format.entry`.

        Raises:
            DatasetError: a file of it is not there, or not what was written.
        """
        if entry in self._brought:
            return
        hashes = self._hashes_in(listing_of(Path(), shard).as_posix())
        self._bring({k: v for k, v in hashes.items() if k == entry or k.startswith(f"{entry}/")})
        self._brought.add(entry)

    def _bring(self, hashes: Mapping[str, str]) -> None:
        missing = sorted(name for name in hashes if not (self.path / name).is_file())
        if not missing:
            return
        with (
            writing(self.path, "make room there, or set XDG_CACHE_HOME to another folder"),
            tempfile.TemporaryDirectory(prefix=".coming-", dir=self.path) as folder,
        ):
            coming = Path(folder)
            self._store.download(missing, coming)
            for name in missing:
                if hash_file(coming / name, coming) != hashes[name]:
                    raise DatasetError(
                        f"{self.address / name} is not the file that was written (its SHA-256 "
                        f"differs): render-adapt verify {self.address} --repair makes it anew"
                    )
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(coming / name, self.path / name)

    def _hashes_in(self, name: str) -> Mapping[str, str]:
        try:
            return read_listing(
                read_file(self.path / name, most=MOST_TEXT, inside=self.path).decode()
            )
        except (OSError, ValueError) as error:
            raise DatasetError(f"{self.address / name} is damaged ({error})") from None


def _caches() -> Path:
    """The user's, or where there is no home, what is for files that nobody keeps."""
    from platformdirs import user_cache_path

    try:
        return user_cache_path("render-adapt", appauthor=False)
    except RuntimeError:
        return Path(tempfile.gettempdir()) / "render-adapt"
