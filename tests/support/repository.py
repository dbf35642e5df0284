"""The repository's own files, as the tests that guard its style and its documentation see them."""

import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NOT_OURS = frozenset(
    {".git", ".venv", "build", "__pycache__", ".hypothesis", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
)


@cache
def tracked_files() -> tuple[Path, ...]:
    """Files that git knows and that are there, relative to the root; without git, all but what set-up and tools make."""
    try:
        names = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        names = [str(path) for path in found if _NOT_OURS.isdisjoint(path.parts)]
    return tuple(Path(name) for name in names if name and (ROOT / name).is_file())


def python_files(*folders: str) -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".py" and path.parts[0] in folders]


def read(path: Path | str) -> str:
    return (ROOT / path).read_text()


def section(page: str, heading: str) -> str:
    """What stands below a heading, up to the next one of its level or above."""
    level = heading.index(" ")
    start = f"\n{page}".index(f"\n{heading}\n")
    body = page[start + len(heading) :]
    end = re.search(rf"^#{{1,{level}}} ", body, re.MULTILINE)
    return body[: end.start()] if end else body


def first_cells(text: str) -> list[str]:
    """The words in backticks of the first column of each row of the tables in a text."""
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]
