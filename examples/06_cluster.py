"""A cluster: shards made by every processor of many machines, into a folder or an object store.

    pip install 'render-adapt[cluster,s3]'
    python examples/06_cluster.py                                  # a cluster of this machine alone
    python examples/06_cluster.py auto s3://bucket/run             # on a node of a Ray cluster

On the command line:

    render-adapt --objects ape,cat --n 8 --executor ray --address auto --out s3://bucket/run
"""

from __future__ import annotations

import sys

import render_adapt


def main() -> None:
    """Make a dataset on a cluster, and check it."""
    address, out = sys.argv[1:3] if len(sys.argv) > 2 else (None, "runs/cluster")
    config = render_adapt.RunConfig(
        objects=("ape", "cat"),
        # A shard is 250 crops, and what an actor makes at a time: a run for a hundred processors
        # has a hundred thousand or more.
        n=8,
        # Without a store the actors send their shards here, and this process alone writes.
        out=out,
        # Four files a shard in place of a thousand: what object stores are quickest with.
        format=("bop-webdataset",),
        executor="ray",
        address=address,
    )
    summary = render_adapt.generate(config, show)
    # The bytes are those of one process on one machine: the hash says so.
    print(f"{summary.crops} crops, sha256 {summary.sha256}")


def show(done: int, total: int) -> None:
    """Say how far a run is. A node that is lost costs time alone: its shards are made again."""
    print(f"{done} of {total} crops")


if __name__ == "__main__":
    main()
