"""What a check looks at: a dataset's folder, or copies of what is in an object store."""

from __future__ import annotations

import contextlib
import fnmatch
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from render_adapt._files import MOST_CROPS, writing
from render_adapt._runs.manifest import LISTING, MANIFEST, listed_hashes
from render_adapt._runs.run_folder import INCOMPLETE
from render_adapt._runs.shard_entry import is_part, parts_of
from render_adapt._stores.address import StoreAddress, named_after
from render_adapt._stores.store import Store
from render_adapt._verify.shards import BadFile, RunFacts, ShardChecker, files_below

_ADVICE = "mend that and try again"


class DatasetInFolder:
    """A dataset whose files are all in a folder.

    Args:
        folder: the dataset's.
    """

    def __init__(self, folder: Path) -> None:
        self.place: Path | StoreAddress = folder
        """Where the dataset is."""
        self.folder = folder
        """Where its files are that are of no shard."""

    def names(self, leave_out: Callable[[str], bool]) -> Iterator[str]:
        """As `files_below` gives them."""
        return files_below(self.folder, leave_out=leave_out)

    def make_checker(self, facts: RunFacts, labels: bool) -> Callable[[int], BadFile | int]:
        """What checks shards; called once for each process."""
        return ShardChecker(self.folder, facts, labels)

    def named(self, bad: BadFile) -> BadFile:
        """A bad file by its place in the dataset."""
        return bad


class DatasetInStore(DatasetInFolder):
    """A dataset in an object store; a shard is brought here while it is checked.

    Args:
        address: the dataset's.
        folder: an empty one.

    Raises:
        DatasetError: it cannot be read.
    """

    def __init__(self, address: StoreAddress, folder: Path) -> None:
        super().__init__(folder)
        self.place = self.address = address
        self._store = Store(address, _ADVICE)
        there = set(self.names(lambda name: is_part(name, range(MOST_CROPS))))
        self._store.download({MANIFEST, LISTING, INCOMPLETE} & there, folder)
        shared = there & listed_hashes(folder).keys()
        shared |= {name for name in there if name.startswith("models/")}
        self._store.download(shared - {MANIFEST}, folder)

    def names(self, leave_out: Callable[[str], bool]) -> Iterator[str]:
        """Those of objects that are not to be left out, nor below a name that is."""
        waiting = [""]
        while waiting:
            for name, is_object in self._store.level(waiting.pop()).items():
                if not leave_out(name):
                    if is_object:
                        yield name
                    else:
                        waiting.append(name)

    def make_checker(self, facts: RunFacts, labels: bool) -> Callable[[int], BadFile | int]:
        """What checks shards; called once for each process."""
        return _StoredShardChecker(self, facts, labels)

    def named(self, bad: BadFile) -> BadFile:
        """A bad file by its object's address."""
        assert isinstance(bad.path, Path)
        return replace(bad, path=self.address / bad.path.relative_to(self.folder).as_posix())

    def bring(self, shard: int, folder: Path) -> None:
        """Have a shard's objects in a folder, listed or not."""
        for part in parts_of(shard):
            self._store.download(self._store.sizes(part), folder)


class _StoredShardChecker:
    """Checks shards one by one in a folder that has no other."""

    def __init__(self, dataset: DatasetInStore, facts: RunFacts, labels: bool) -> None:
        self._dataset = dataset
        self._folder = Path(tempfile.mkdtemp(prefix=".checking-", dir=dataset.folder)) / "copy"
        shutil.copytree(
            dataset.folder, self._folder, ignore=lambda _, names: fnmatch.filter(names, ".*")
        )
        self._check = ShardChecker(self._folder, facts, labels)

    def __call__(self, shard: int) -> BadFile | int:
        with named_after(self._dataset.address, self._folder):
            self._dataset.bring(shard, self._folder)
            found = self._check(shard)
        for part in parts_of(shard):
            path = self._folder / part
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if isinstance(found, BadFile):
            assert isinstance(found.path, Path)
            return replace(found, path=self._dataset.folder / found.path.relative_to(self._folder))
        return found


@contextlib.contextmanager
def looked_at(place: Path | StoreAddress) -> Iterator[DatasetInFolder]:
    """A dataset, wherever it is, to be checked within the block."""
    if isinstance(place, Path):
        yield DatasetInFolder(place)
        return
    with (
        writing(tempfile.gettempdir(), "make room there, or set TMPDIR to another folder"),
        tempfile.TemporaryDirectory(prefix="render-adapt-") as folder,
        named_after(place, Path(folder)),
    ):
        yield DatasetInStore(place, Path(folder))
