"""The daemon, which writes what its memory consists of: one JSON object per line.

For finding what grows (`benchmarks/soak.py --weigh FILE`); arguments: FILE, then the daemon's. The process's size alone, which the soak
has, does not tell: it also holds what is free in the heaps of Python and of the C library. glibc's and CPython's own statistics do.
"""

import ctypes
import gc
import json
import os
import re
import sys
import tempfile
import threading
import time
from pathlib import Path

from mizzen.daemon.__main__ import main

_EVERY_SECONDS = 30.0
_STDERR = 2


class _MallInfo2(ctypes.Structure):
    """Of mallinfo(3)."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def weight() -> dict[str, int]:
    """Bytes, but for the counts. Large objects of Python are in the C library's heap as well."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _MallInfo2
    c_heap = mallinfo2()
    python_heap = _python_heap()
    return {
        "python_used": _figure("bytes in allocated blocks", python_heap),
        "python_arenas": _figure("arenas allocated current", python_heap),
        "python_blocks": sys.getallocatedblocks(),
        "c_used": c_heap.uordblks,
        "c_free": c_heap.fordblks,
        "c_mapped": c_heap.hblkhd,
    }


def _python_heap() -> str:
    """CPython writes it to stderr, by C: whatever the threads log meanwhile goes along."""
    with tempfile.TemporaryFile() as file:
        before = os.dup(_STDERR)
        os.dup2(file.fileno(), _STDERR)
        try:
            sys._debugmallocstats()  # noqa: SLF001  # CPython says it nowhere else
        finally:
            os.dup2(before, _STDERR)
            os.close(before)
        file.seek(0)
        return file.read().decode(errors="replace")


def _figure(name: str, statistics: str) -> int:
    found = re.search(rf"{name}\s+=\s+([\d,]+)", statistics)
    if found is None:
        raise RuntimeError(f"Python says nothing of its {name}: is its own allocator in use?")
    return int(found[1].replace(",", ""))


def _weigh(file: Path) -> None:
    """For ever. Garbage and free lists are not what grows: each time everything is collected first."""
    began = time.monotonic()
    with file.open("w") as lines:
        while True:
            time.sleep(_EVERY_SECONDS)
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            line = {"second": round(time.monotonic() - began), **weight()}
            lines.write(json.dumps(line) + "\n")
            lines.flush()


if __name__ == "__main__":
    threading.Thread(target=_weigh, args=(Path(sys.argv[1]),), daemon=True).start()
    sys.exit(main(sys.argv[2:]))
