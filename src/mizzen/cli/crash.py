"""What an error that nobody foresaw becomes: a file with the traceback, and one line that says how to report it."""

import platform
import shlex
import tempfile
import time
import traceback
from collections.abc import Sequence

from mizzen import __version__


def report_crash(error: BaseException, arguments: Sequence[str]) -> str:
    """Write the traceback to a file of the user's own (0600) and give the line to print."""
    kind = type(error).__name__
    words = " ".join(str(error).split())
    summary = f"unexpected error: {kind}: {words}" if words else f"unexpected error: {kind}"
    try:
        path = _write(error, arguments)
    except OSError as failure:
        return f"{summary} (and the traceback could not be written: {failure.strerror})"
    return f"{summary} (this is a bug of Mizzen: please report it with the file {path})"


def _write(error: BaseException, arguments: Sequence[str]) -> str:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix=f"mizzen-crash-{stamp}-", suffix=".txt", delete=False
    ) as file:
        # Arguments may hold a token; only the command's name is worth the risk.
        file.write(f"mizzen {__version__} {shlex.join(arguments[:1])}\n")
        file.write(f"Python {platform.python_version()} on {platform.platform()}\n\n")
        file.writelines(traceback.format_exception(error))
        return file.name
