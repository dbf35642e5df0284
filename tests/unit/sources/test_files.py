"""Files and folders, watched on a real file system. Nothing sleeps: each step awaits the change that it causes."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from itertools import count

import pytest

from mizzen.sources import files
from mizzen.sources.files import FileSource
from mizzen.sources.tree import look

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n"
PATIENCE_SECONDS = 10


def service(name, port=80):
    return SERVICE.format(name=name, port=port)


class Watching:
    """A source, and what it tells next."""

    def __init__(self, source):
        self.source = source
        self._changes = source.changes()

    async def next(self):
        """Names of upserts and of removals of the next change."""
        change = await asyncio.wait_for(anext(self._changes), PATIENCE_SECONDS)
        return [each.resource.key.name for each in change.upserts], [key.name for key in change.removals]

    async def until(self, *, upserts=(), removals=()):
        """Changes up to those that tell of all these: a write may be seen in parts."""
        missing = (set(upserts), set(removals))
        while missing[0] or missing[1]:
            told = await self.next()
            missing = (missing[0] - set(told[0]), missing[1] - set(told[1]))

    async def until_problem(self, words):
        while not any(words in str(each) for each in self.source.diagnostics):
            await self.next()

    async def close(self):
        await self._changes.aclose()

    @property
    def names(self):
        return sorted(key.name for key in self.source.located)


@asynccontextmanager
async def watching(*paths, **options):
    watched = Watching(FileSource(paths, **options))
    try:
        yield watched
    finally:
        await watched.close()


async def test_the_initial_load_comes_first_even_if_it_is_empty(tmp_path):
    async with watching(tmp_path) as watched:
        assert await watched.next() == ([], [])
        (tmp_path / "a.yaml").write_text(service("a"))
        await watched.until(upserts="a")


async def test_the_life_of_a_file(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(service("a") + "---\n" + service("b"))
    async with watching(tmp_path) as watched:
        assert await watched.next() == (["a", "b"], [])
        file.write_text(service("a", 81) + "---\n" + service("b"))
        assert await watched.next() == (["a"], [])
        file.write_text("# a comment\n" + file.read_text())
        assert await watched.next() == ([], [])
        located = {key.name: each for key, each in watched.source.located.items()}
        assert str(located["b"].locate(())) == f"{file}:7:1"
        file.write_text("a: [")
        assert await watched.next() == ([], [])
        assert watched.names == ["a", "b"]
        (problem,) = watched.source.diagnostics
        assert "stays in force" in problem.message
        file.unlink()
        await watched.until(removals="ab")
        assert watched.source.diagnostics == ()


async def test_a_file_that_is_saved_by_renaming_is_not_gone_in_between(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(service("a"))
    async with watching(tmp_path) as watched:
        await watched.next()
        for port in (81, 82, 83):
            file.rename(tmp_path / "a.yaml~")
            file.write_text("")  # as editors do: the new file is empty before it is full
            file.write_text(service("a", port))
            while watched.source.located and _port(watched) != port:
                assert (await watched.next())[1] == []
            assert _port(watched) == port


def _port(watched):
    (located,) = watched.source.located.values()
    return located.resource.spec.ports[0].port


async def test_a_file_that_stays_empty_is_believed(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(service("a"))
    async with watching(tmp_path) as watched:
        await watched.next()
        file.write_text("")
        await watched.until(removals="a")


async def test_what_is_ignored(tmp_path):
    for name in ("lab.yaml", ".hidden.yaml", "a.yaml~", "#a.yaml#", "notes.txt", "a.json"):
        (tmp_path / name).write_text(service("ignored"))
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.yaml").write_text(service("ignored"))
    (tmp_path / "pipe.yaml").unlink(missing_ok=True)
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "real.yml").write_text(service("real"))
    async with watching(tmp_path) as watched:
        assert await watched.next() == (["real"], [])
        assert watched.source.diagnostics == ()


async def test_new_folders_are_watched_as_well(tmp_path):
    async with watching(tmp_path) as watched:
        await watched.next()
        deep = tmp_path / "one" / "two"
        deep.mkdir(parents=True)
        (deep / "a.yaml").write_text(service("a"))
        await watched.until(upserts="a")
        (deep / "a.yaml").write_text(service("a", 81))
        await watched.until(upserts="a")


async def test_several_paths_and_a_single_file(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.yaml").write_text(service("a"))
    (tmp_path / "single.conf").write_text(service("b"))
    (tmp_path / "neighbour.yaml").write_text(service("c"))
    async with watching(tmp_path / "folder", tmp_path / "single.conf") as watched:
        assert await watched.next() == (["a", "b"], [])
        (tmp_path / "single.conf").write_text(service("b", 81))
        await watched.until(upserts="b")


async def test_the_same_object_in_two_files(tmp_path):
    (tmp_path / "1.yaml").write_text(service("a", 1))
    (tmp_path / "2.yaml").write_text(service("a", 2))
    async with watching(tmp_path) as watched:
        await watched.next()
        assert _port(watched) == 1
        (problem,) = watched.source.diagnostics
        assert problem.code == "MZ0007"
        assert "1.yaml:1:1" in problem.message
        assert "2.yaml:1:1" in problem.message
        (tmp_path / "1.yaml").unlink()
        await watched.until(upserts="a")
        assert _port(watched) == 2


async def test_symbolic_links_are_followed_where_they_lead_now(tmp_path):
    """As Kubernetes mounts a ConfigMap: files link through a link that is swapped."""
    mount = tmp_path / "mount"
    for version in (1, 2):
        (mount / f"..v{version}").mkdir(parents=True)
        (mount / f"..v{version}" / "a.yaml").write_text(service("a", version))
    (mount / "..data").symlink_to("..v1")
    (mount / "a.yaml").symlink_to("..data/a.yaml")
    (mount / "loop").symlink_to(".")
    async with watching(mount) as watched:
        await watched.next()
        assert _port(watched) == 1
        (mount / "..new").symlink_to("..v2")
        (mount / "..new").rename(mount / "..data")
        await watched.until(upserts="a")
        assert _port(watched) == 2
        (mount / "..v2" / "a.yaml").write_text(service("a", 3))  # behind the link
        await watched.until(upserts="a")
        assert _port(watched) == 3


async def test_a_file_that_is_too_large_is_refused_and_disturbs_nothing(tmp_path):
    (tmp_path / "a.yaml").write_text(service("a"))
    (tmp_path / "huge.yaml").write_text("#" * 2000)
    async with watching(tmp_path, max_file_bytes=1000) as watched:
        assert await watched.next() == (["a"], [])
        (problem,) = watched.source.diagnostics
        assert problem.code == "MZ0003"
        assert "larger than 1,000 bytes" in problem.message


async def test_a_folder_that_does_not_exist_yet(tmp_path):
    later = tmp_path / "not" / "yet"
    async with watching(later) as watched:
        assert await watched.next() == ([], [])
        (problem,) = watched.source.diagnostics
        assert (problem.code, problem.location.file) == ("MZ0005", str(later))
        later.mkdir(parents=True)
        (later / "a.yaml").write_text(service("a"))
        await watched.until(upserts="a")
        assert watched.source.diagnostics == ()


async def test_a_folder_that_is_gone_as_a_whole_leaves_everything_in_force(tmp_path):
    folder = tmp_path / "mounted"
    folder.mkdir()
    (folder / "a.yaml").write_text(service("a"))
    async with watching(folder) as watched:
        await watched.next()
        folder.rename(tmp_path / "elsewhere")
        await watched.until_problem("stays in force")
        assert watched.names == ["a"]


async def test_a_file_that_cannot_be_looked_at_keeps_what_it_held(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(service("a"))
    async with watching(tmp_path) as watched:
        await watched.next()
        (tmp_path / "loop").symlink_to("a.yaml")
        (tmp_path / "loop").rename(file)  # a link to itself
        await watched.until_problem("symbolic links")
        assert watched.names == ["a"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_may_not_be_read_keeps_what_it_held(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(service("a"))
    async with watching(tmp_path) as watched:
        await watched.next()
        file.chmod(0)
        await watched.until_problem("Permission denied")
        assert watched.names == ["a"]
        file.chmod(0o600)
        await watched.next()
        assert watched.source.diagnostics == ()


async def test_without_notifications_it_looks_by_itself_and_says_so(tmp_path):
    def watch(_folders):
        raise OSError("inotify watch limit reached")

    async with watching(tmp_path, watch=watch) as watched:
        assert await watched.next() == ([], [])
        (tmp_path / "a.yaml").write_text(service("a"))
        await watched.until(upserts="a")
        assert [each.code for each in watched.source.diagnostics] == ["MZ0006"]
        assert "inotify watch limit reached" in watched.source.diagnostics[0].message


async def test_a_cancelled_consumer_leaves_no_thread_waiting(tmp_path):
    watched = Watching(FileSource([tmp_path]))
    await watched.next()
    waiting = asyncio.create_task(watched.next())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await watched.close()


def test_loading_once_without_watching(tmp_path):
    (tmp_path / "a.yaml").write_text(service("a"))
    source = FileSource([str(tmp_path)])
    assert [each.resource.key.name for each in source.load().upserts] == ["a"]
    assert source.load().upserts == ()


async def test_what_is_rewritten_is_looked_at_alone(tmp_path, monkeypatch):
    root, looks = tmp_path.resolve(), []
    monkeypatch.setattr(files, "look", lambda *args: looks.append(args) or look(*args))
    for name in "abc":
        (root / f"{name}.yaml").write_text(service(name))
    async with watching(root) as watched:
        assert await watched.next() == (["a", "b", "c"], [])
        (root / "a.yaml").write_text(service("a", 81))
        await watched.until(upserts="a")  # found by the look that follows the start of the watcher
        before = len(looks)
        (root / "a.yaml").write_text(service("a", 82))
        await watched.until(upserts="a")
        (root / ".b.yaml").write_text(service("b", 82))
        (root / ".b.yaml").rename(root / "b.yaml")
        await watched.until(upserts="b")
        (root / "new.yaml").write_text(service("new"))
        await watched.until(upserts=["new"])
        assert len(looks) == before
        (root / "b.yaml").unlink()
        await watched.until(removals="b")
        assert len(looks) > before


async def test_a_file_that_is_read_again_leaves_no_interned_names(tmp_path, monkeypatch):
    """CPython's table of interned strings grows with each that comes and goes: pathlib made it 2.8 MB of them."""
    file = tmp_path / "a.yaml"
    file.write_text(service("a"))
    async with watching(tmp_path) as watched:
        await watched.next()
        file.write_text(service("a", 81))
        await watched.until(upserts="a")  # found by the look that follows the start of the watcher
        interned = []
        monkeypatch.setattr(sys, "intern", lambda text: interned.append(text) or text)
        file.write_text(service("a", 82))
        await watched.until(upserts="a")
        assert interned == []


async def test_what_no_notification_told_is_found_all_the_same(tmp_path):
    class Deaf:
        """Tells of one file only, all the time."""

        def watch(self, *_args):
            (root / "loud.yaml").write_text(service("loud", next(ports)))
            return {(1, str(root / "loud.yaml"))}

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    root, ports = tmp_path.resolve(), count(1)
    async with watching(root, watch=lambda _folders: Deaf()) as watched:
        await watched.next()
        (root / "silent.yaml").write_text(service("silent"))
        watched.source._next_look = 0.0  # as if time had passed
        await watched.until(upserts=["silent"])
