"""Incremental equals from scratch, for every byte of every resource of several views."""

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from mizzen.config.resource import ResourceKey
from mizzen.derive.inputs import RESOURCES
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database
from mizzen.incremental.definitions import Input
from mizzen.model.proxy import Binding
from tests.support.mesh import gateway, sidecar
from tests.support.mesh_changes import APPS, Change, changes, resources
from tests.support.watched import Watched, from_scratch

VIEWS = (
    sidecar("shop", app="a", version="v1"),
    sidecar("shop", app="a", version="v2"),
    replace(sidecar("bank", app="b"), locality="eu/two"),
    sidecar("bank", app="a", binding=Binding("127.1.0.1", 15002, FrozenMap({8080: 18080}))),
    *(gateway("shop", app=app) for app in APPS),
)
RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


class Reference:
    """The inputs as a plain table, from which a database can be made anew."""

    def __init__(self) -> None:
        self.table: dict[tuple[Input[ResourceKey, Any], ResourceKey], Any] = {}

    def take(self, change: Change) -> None:
        self.table.pop((change.source, change.key), None)
        if change.value is not None:
            self.table[change.source, change.key] = change.value

    def database(self) -> Database:
        db = Database()
        with db.batch():
            for (source, key), value in self.table.items():
                db.set(source, key, value)
        return db


@settings(RELAXED, max_examples=150)
@given(st.lists(st.lists(changes, min_size=1, max_size=8), min_size=1, max_size=8))
def test_after_any_changes_every_view_holds_what_a_new_daemon_would_serve(
    batches: list[list[Change]],
) -> None:
    db = Database()
    reference = Reference()
    watched = Watched(db, *VIEWS)
    for batch in batches:
        with db.batch():
            for change in batch:
                change.apply(db)
                reference.take(change)
        watched.refresh()
        fresh = reference.database()
        for view in VIEWS:
            assert watched.resources(view) == from_scratch(fresh, view)


@settings(RELAXED, max_examples=150)
@given(st.lists(resources, max_size=20), st.randoms(use_true_random=False))
def test_the_order_in_which_objects_arrive_leaves_no_trace(found: list[Any], random: Any) -> None:
    """Two daemons that learn of the same objects in different orders serve the same bytes."""
    objects = list({item.key: item for item in found}.values())
    databases = []
    for _ in range(2):
        db = Database()
        for item in objects:
            Change(RESOURCES, item.key, item).apply(db)
        databases.append([from_scratch(db, view) for view in VIEWS])
        random.shuffle(objects)
    assert databases[0] == databases[1]
