"""A shard's files as they are written, before the shard is committed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from render_adapt._exceptions import DatasetError
from render_adapt._files import listing_text
from safe_files import append_bytes, hash_folder

if TYPE_CHECKING:
    from hashlib import _Hash


class PreparedShard:
    """A folder that remembers what was written to it.

    Args:
        path: an empty folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = str(path)
        self.bytes = 0
        """Written so far."""
        self._digests: dict[str, _Hash] = {}

    def write(self, name: str, content: bytes) -> None:
        """Add to the end of a file, which is made where it is not there; its folder must be.

        Args:
            name: relative to the folder, with slashes.
            content: what to add.
        """
        append_bytes(f"{self._folder}/{name}", content)
        if name in self._digests:
            self._digests[name].update(content)
        else:
            self._digests[name] = hashlib.sha256(content)
        self.bytes += len(content)

    @property
    def files(self) -> int:
        """Number of files."""
        return len(self._digests)

    def listing(self) -> str:
        """Hashes and names of what was written, as `read_listing` takes them."""
        return listing_text({name: digest.hexdigest() for name, digest in self._digests.items()})

    def check(self) -> None:
        """Compare what lies there with what was written.

        Raises:
            DatasetError: it is not the same: a disk, or another program, changed it.
        """
        lying_there = hash_folder(self.path)
        written = {name: digest.hexdigest() for name, digest in self._digests.items()}
        if lying_there != written:
            # First what there is too much or too little of.
            strange = sorted(lying_there.keys() ^ written.keys())
            strange += [name for name in written if lying_there.get(name) != written[name]]
            raise DatasetError(
                f"{self.path / strange[0]} is not what was written a moment ago: find out which "
                "program changes it, or whether the disk fails, and give the same command to "
                "continue"
            )
