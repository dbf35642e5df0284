"""When garbage is collected: hardly ever, and never while something waits."""

import gc

import pytest

from mizzen.daemon.collector import Collector


class Scene:
    """Full collections take a tenth of a second."""

    def __init__(self) -> None:
        self.now, self.quiet = 0.0, True
        self.log = []
        self.collector = Collector(lambda: self.quiet, lambda: self.now)

    def collect(self, generation=2):
        self.log.append("young" if generation < 2 else "full")
        self.now += 0.1 if generation == 2 else 0

    def after(self, seconds):
        self.now += seconds
        self.log.clear()
        self.collector.tidy()
        return self.log


@pytest.fixture
def scene(monkeypatch):
    scene = Scene()
    monkeypatch.setattr(gc, "collect", scene.collect)
    for name in ("freeze", "unfreeze"):
        monkeypatch.setattr(gc, name, lambda name=name: scene.log.append(name))
    return scene


def test_what_survived_is_set_aside_once_its_garbage_is_gone(scene):
    assert scene.after(10) == ["young", "freeze"]


def test_everything_is_looked_at_for_a_thousandth_of_the_time(scene):
    assert scene.after(60) == ["unfreeze", "full", "freeze"]
    assert scene.after(90) == ["young", "freeze"]
    assert scene.after(20) == ["unfreeze", "full", "freeze"]


def test_but_not_while_something_waits(scene):
    scene.quiet = False
    assert scene.after(1000) == ["young", "freeze"]
    scene.quiet = True
    assert scene.after(10) == ["unfreeze", "full", "freeze"]


def test_python_itself_makes_no_full_collection_any_more():
    before = gc.get_threshold()
    try:
        Scene().collector.begin()
        assert gc.get_threshold()[2] > 1_000_000
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
