from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # One of several processes beside each other: each has a core, and so have those it starts.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples each time, however busy the machine: what fails, fails for everybody. New ones
# are drawn by `make test-slow`, many of them.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("long", max_examples=2000, deadline=None)
settings.load_profile("fixed")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real data (LINEMOD models and crops); skips where it is not at hand."""
    beside_checkout = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RENDER_ADAPT_DATA", beside_checkout))
    if not (folder / "linemod").is_dir():
        pytest.skip(
            f"needs real data: set RENDER_ADAPT_DATA to a folder that holds linemod/ "
            f"(looked in {folder})"
        )
    return folder
