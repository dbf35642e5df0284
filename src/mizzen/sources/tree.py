"""What stands on disk: the files that may hold configuration, and the folders in which something can happen to them."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.resource import Location

SUFFIXES: Final = (".yaml", ".yml")
MAX_DEPTH: Final = 32  # of folders below a root


@dataclass(frozen=True, slots=True)
class Signature:
    """Differs wherever a file was written, replaced or made readable."""

    device: int
    inode: int
    size_bytes: int
    changed_ns: int


@dataclass(slots=True)
class Tree:
    """One look at the disk. Names are the roots as they were given, and what is under them."""

    files: dict[str, Signature] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)  # also those to which symbolic links lead
    plain: set[str] = field(default_factory=set)  # folders that have one name only, their real path
    visited: set[Path] = field(default_factory=set)  # folders, by their real paths
    unreadable: list[str] = field(default_factory=list)  # nothing is known of what is under these
    problems: list[Diagnostic] = field(default_factory=list)

    def knows(self, name: str) -> bool:
        """Whether the look could have seen this file if it were there."""
        return not any(name == place or name.startswith(place + os.sep) for place in self.unreadable)


def look(roots: Iterable[Path], ignore: frozenset[str]) -> Tree:
    """The files under the roots; a root that is itself a file counts whatever its name is."""
    tree = Tree()
    for root in roots:
        if root.is_dir():
            _folder(tree, root, ignore, depth=0)
            continue
        tree.folders.add(_nearest_folder(root))
        try:
            _file(tree, root)
        except OSError as error:
            _unreadable(tree, str(root), error)
    return tree


def look_at(tree: Tree, touched: Iterable[str], ignore: frozenset[str]) -> Tree | None:
    """The tree after something happened to these paths, by looking at them alone: what it costs does not depend on how
    many files there are. None where it takes a look at everything: folders, symbolic links, files that are gone.
    """
    files = dict(tree.files)
    for path in touched:
        folder, name = os.path.split(path)
        hidden = name.startswith(".")
        if folder not in tree.plain or tree.unreadable:
            return None
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            if hidden:  # a program's own, on its way to another name
                continue
            return None
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        if not hidden and name not in ignore and name.endswith(SUFFIXES):
            files[path] = _signature(found)
    return replace(tree, files=files)


def _folder(tree: Tree, folder: Path, ignore: frozenset[str], depth: int) -> None:
    real = folder.resolve()
    if (
        real in tree.visited or depth > MAX_DEPTH
    ):  # symbolic links can lead to one folder in many ways, or in circles
        return
    tree.visited.add(real)
    # The real path, too: a symbolic link that leads elsewhere now must lead to another set of folders to watch.
    tree.folders |= {str(folder), str(real)}
    if str(folder) == str(real):
        tree.plain.add(str(real))
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        _unreadable(tree, str(folder), error)
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name in ignore:
            continue
        try:
            if entry.is_dir():
                _folder(tree, folder / entry.name, ignore, depth + 1)
            elif entry.name.endswith(SUFFIXES):
                _file(tree, entry)
        except FileNotFoundError:  # deleted just now, or a symbolic link to nowhere
            continue
        except OSError as error:
            _unreadable(tree, entry.path, error)


def _file(tree: Tree, file: "Path | os.DirEntry[str]") -> None:
    name = os.fspath(file)
    found = file.stat()
    if file.is_symlink():
        tree.folders.add(str(Path(name).resolve().parent))
    if stat.S_ISREG(found.st_mode):
        tree.files[name] = _signature(found)


def _signature(found: os.stat_result) -> Signature:
    return Signature(found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns)


def _unreadable(tree: Tree, name: str, error: OSError) -> None:
    message = f"it cannot be read: {error.strerror or error}; what it held stays in force"
    tree.unreadable.append(name)
    tree.problems.append(Diagnostic("MZ0005", message, None, (), Location(name, 1, 1)))


def _nearest_folder(path: Path) -> str:
    """The folder in which a file, or a path that does not exist yet, appears first."""
    return str(next(parent for parent in path.absolute().parents if parent.is_dir()))
