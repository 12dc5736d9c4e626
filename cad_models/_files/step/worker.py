"""A process that turns STEP into GLB and ends with it: `python worker.py MEMORY SECONDS`.

STEP on the standard input, GLB on the standard output. The converter is a large compiled library,
which some damaged files make crash, or go on for ever, or take all memory.
"""

from __future__ import annotations

import os
import sys

LINEAR, ANGULAR = 0.005, 0.15
"""How far triangles may lie off a surface: in parts of the edge that they belong to, and, between
neighbours, in radians."""


def main(memory: int, seconds: int) -> None:
    """Convert, within so many bytes and so many seconds of the processor."""
    output = os.dup(1)
    # The library prints to the standard output.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _limit(memory, seconds)
    # It would take longer to import than most files take to convert, and does without.
    sys.modules["trimesh"] = None  # type: ignore[assignment]
    import cascadio

    glb = cascadio.load(
        sys.stdin.buffer.read(),
        file_type="step",
        tol_linear=LINEAR,
        tol_relative=True,
        tol_angular=ANGULAR,
        use_parallel=False,
    )
    with os.fdopen(output, "wb") as stream:
        stream.write(glb)


def _limit(memory: int, seconds: int) -> None:
    try:
        import resource
    except ModuleNotFoundError:
        return  # Windows, where only the time is limited, by who started this
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
