"""Datasets for webdataset: tar files streamed from start to end, shared among nodes and workers."""

from __future__ import annotations

import random
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import webdataset
from torch.utils.data import get_worker_info

from render_adapt._exceptions import DatasetError
from render_adapt._files import MOST_BYTES, MOST_TEXT
from render_adapt._formats.bop_webdataset import crop_from_sample, tar_file
from render_adapt._formats.labelled_crop import LabelledCrop
from render_adapt._readers.load import Dataset
from render_adapt._readers.torch_dataset import target_tensors
from render_adapt._stores.address import StoreAddress
from safe_files import open_file


def make_pipeline(
    place: Path | StoreAddress,
    shuffle: int,
    transform: Callable[[LabelledCrop], Any] | None,
    split: str | None,
) -> webdataset.FluidWrapper:
    """See `render_adapt.webdataset_pipeline`."""
    dataset = Dataset(place, "bop-webdataset", split)
    # Absolute, so that no name can be taken for a web address or a command.
    folder = dataset.path.resolve()
    files = {
        str(folder / tar_file(dataset.split_of(shard), shard)): shard for shard in dataset.shards
    }
    pipeline = webdataset.FluidWrapper(webdataset.SimpleShardList(list(files)))
    # Nodes first, whose orders need not be the same; then an order that a node's workers share.
    pipeline.append(webdataset.split_by_node)
    if shuffle:
        pipeline.append(_Shuffle(len(files), of_worker=False))
    pipeline.append(webdataset.split_by_worker)
    pipeline.append(_Bring(dataset, files))
    pipeline.append(_samples)
    if shuffle:
        pipeline.append(_Shuffle(shuffle, of_worker=True))
    return pipeline.map(_Decode(transform or target_tensors))


class _Bring:
    """Has each tar file here before it is opened, of a dataset in an object store."""

    def __init__(self, dataset: Dataset, files: Mapping[str, int]) -> None:
        self._dataset = dataset
        self._files = files

    def __call__(self, shards: Iterable[Mapping[str, str]]) -> Iterator[Mapping[str, str]]:
        for shard in shards:
            self._dataset.bring_shard(self._files[shard["url"]])
            yield shard


def _samples(shards: Iterable[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    """What is in tar files, as webdataset's own stage gives it, which leaves them open."""
    for shard in shards:
        file = shard["url"]
        sample: dict[str, Any] = {}
        try:
            with (
                open_file(Path(file), most=MOST_BYTES, inside=Path(file).parents[1]) as opened,
                tarfile.open(fileobj=opened, mode="r|") as archive,
            ):
                for member in archive:
                    if member.size > MOST_TEXT:
                        raise DatasetError(f"{file} is damaged: {member.name[:80]} is too large")
                    key, _, kind = member.name.partition(".")
                    if sample and key != sample["__key__"]:
                        yield sample
                        sample = {}
                    content = archive.extractfile(member)
                    sample |= {"__key__": key, "__url__": file, kind: content and content.read()}
        except tarfile.TarError as error:
            raise DatasetError(f"{file} is damaged ({error})") from None
        except OSError as error:
            raise DatasetError(f"cannot read {file}: {error.strerror or error}") from None
        if not sample:
            raise DatasetError(f"{file} is damaged (it has no crops)")
        yield sample


class _Shuffle:
    """Shuffles a stream within a buffer, otherwise each time, as `torch.manual_seed` decides.

    A worker's seed is its loader's, which is drawn anew for each epoch, and its number; a worker
    that lives on from epoch to epoch counts them itself.
    """

    def __init__(self, size: int, *, of_worker: bool) -> None:
        self._size = size
        self._of_worker = of_worker
        self._epoch = 0

    def __call__(self, stream: Iterable[Any]) -> Iterator[Any]:
        worker = get_worker_info()
        seed = int(torch.empty((), dtype=torch.int64).random_()) if worker is None else worker.seed
        if worker is not None and not self._of_worker:
            seed -= worker.id
        generator = random.Random(f"{seed} {self._epoch}")
        self._epoch += 1
        buffer: list[Any] = []
        for sample in stream:
            buffer.append(sample)
            if len(buffer) >= self._size:
                yield _take(buffer, generator)
        while buffer:
            yield _take(buffer, generator)


def _take(buffer: list[Any], generator: random.Random) -> Any:
    number = generator.randrange(len(buffer))
    buffer[number], buffer[-1] = buffer[-1], buffer[number]
    return buffer.pop()


class _Decode:
    """A sample as the tar file has it, decoded and transformed."""

    def __init__(self, transform: Callable[[LabelledCrop], Any]) -> None:
        self._transform = transform

    def __call__(self, sample: dict[str, Any]) -> Any:
        try:
            scene_id, im_id = map(int, sample["__key__"].split("_"))
            crop = crop_from_sample(scene_id, im_id, sample)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise DatasetError(
                f"{sample['__key__']} in {sample['__url__']} is damaged ({error})"
            ) from None
        return self._transform(crop)
