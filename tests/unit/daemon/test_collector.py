"""When garbage is collected: hardly ever, and never while something waits."""

import gc

import pytest

from mizzen.daemon.collector import FULL_EVERY_SECONDS, Collector


class Scene:
    def __init__(self) -> None:
        self.now, self.quiet = 0.0, True
        self.collector = Collector(lambda: self.quiet, lambda: self.now)


@pytest.fixture
def scene(monkeypatch):
    scene = Scene()
    scene.log = []
    for name in ("collect", "freeze", "unfreeze"):
        monkeypatch.setattr(gc, name, lambda name=name: scene.log.append(name))
    return scene


def test_what_survived_is_set_aside_without_being_looked_at(scene):
    scene.collector.tidy()
    assert scene.log == ["freeze"]


def test_everything_is_looked_at_once_an_hour(scene):
    scene.now = FULL_EVERY_SECONDS
    scene.collector.tidy()
    assert scene.log == ["unfreeze", "collect", "freeze"]
    scene.collector.tidy()
    assert scene.log[3:] == ["freeze"]


def test_but_not_while_something_waits(scene):
    scene.now, scene.quiet = FULL_EVERY_SECONDS, False
    scene.collector.tidy()
    assert scene.log == ["freeze"]
    scene.quiet = True
    scene.collector.tidy()
    assert "collect" in scene.log


def test_python_itself_makes_no_full_collection_any_more():
    before = gc.get_threshold()
    try:
        Scene().collector.begin()
        assert gc.get_threshold()[2] > 1_000_000
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
