"""A shard's files as they are written, before the shard is committed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from render_adapt._exceptions import DatasetError
from render_adapt._files import hash_file, listing_text
from safe_files import append_to

if TYPE_CHECKING:
    from hashlib import _Hash


class PreparedShard:
    """A folder that remembers what was written to it.

    Args:
        path: an empty folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        """Written so far."""
        self._digests: dict[str, _Hash] = {}

    def write(self, name: str, content: bytes) -> None:
        """Add to the end of a file, which is made where it is not there; its folder must be.

        Args:
            name: relative to the folder, with slashes.
            content: what to add.
        """
        with append_to(self.path / name) as file:
            file.write(content)
        self._digests.setdefault(name, hashlib.sha256()).update(content)
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
        names = {
            path.relative_to(self.path).as_posix()
            for path in self.path.rglob("*")
            if not path.is_dir() or path.is_symlink()
        }
        strange = sorted(names ^ self._digests.keys())
        strange += [
            name
            for name, digest in self._digests.items()
            if not strange and hash_file(self.path / name, self.path) != digest.hexdigest()
        ]
        if strange:
            raise DatasetError(
                f"{self.path / strange[0]} is not what was written a moment ago: find out which "
                "program changes it, or whether the disk fails, and give the same command to "
                "continue"
            )
