"""Changes wait in the store until they are committed, the last of each entry; what is equal is no change."""

from mizzen.config.decode import decode
from mizzen.daemon.store import NOT_REPORTED, Store
from mizzen.derive.inputs import RESOURCES, UNHEALTHY
from mizzen.derive.workloads import workload_key
from mizzen.incremental import Database
from mizzen.sources.change import Change

KEY = workload_key("shop", "cart-0")


def entry(address: str, comment: str = "", annotations: str = "{}") -> Change:
    text = f"""{comment}
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: cart-0, namespace: shop, annotations: {annotations}}}
spec: {{address: {address}}}
"""
    return Change(upserts=decode(text, "w.yaml").located)


GONE = Change(removals=(KEY,))


def a_store() -> Store:
    store = Store(Database())
    assert store.apply(entry("10.0.0.1"))
    assert store.commit() == (KEY,)
    return store


def address(store: Store) -> str | None:
    found = RESOURCES(store.db, KEY)
    return found and found.spec.address


def test_nothing_reaches_the_database_before_the_commit():
    store = a_store()
    assert store.apply(entry("10.0.0.2"))
    assert address(store) == "10.0.0.1"
    assert store.commit() == (KEY,)
    assert address(store) == "10.0.0.2"


def test_an_equal_object_is_no_change_though_it_stands_on_another_line():
    store = a_store()
    before = store.db.revision
    assert not store.apply(entry("10.0.0.1", comment="# why it is there\n"))
    assert store.commit() == ()
    assert store.db.revision == before


def test_what_comes_back_to_what_is_in_force_is_no_change():
    store = a_store()
    assert store.apply(entry("10.0.0.2"))
    assert not store.apply(entry("10.0.0.1"))
    assert store.commit() == ()
    assert address(store) == "10.0.0.1"


def test_several_changes_are_one_revision():
    store = a_store()
    before = store.db.revision
    store.apply(entry("10.0.0.2"))
    store.apply(GONE)
    store.report_health(KEY, "draining")
    assert store.commit() == (KEY,)
    assert store.db.revision == before + 1
    assert address(store) is None


def test_changes_that_arrive_during_a_refresh_wait_for_the_next_commit():
    store = a_store()
    slices = store.db.refresh_slices()
    store.apply(entry("10.0.0.2"))
    store.apply(entry("10.0.0.3"))
    for _ in slices:
        pass
    assert address(store) == "10.0.0.1"
    assert store.commit() == (KEY,)
    assert address(store) == "10.0.0.3"


def test_health_is_news_once():
    store = a_store()
    assert not store.report_health(KEY, "")
    assert store.report_health(KEY, "draining")
    assert not store.report_health(KEY, "draining")
    assert store.commit() == (KEY,)
    assert UNHEALTHY(store.db, KEY) == "draining"
    assert not store.report_health(KEY, "draining")
    assert store.report_health(KEY, "GET /health answered 503")
    assert store.report_health(KEY, "")
    assert store.commit() == (KEY,)
    assert UNHEALTHY(store.db, KEY) is None


def test_health_that_came_and_went_between_two_commits_is_no_change():
    store = a_store()
    assert store.report_health(KEY, "draining")
    assert store.report_health(KEY, "")
    assert store.commit() == ()


def test_the_health_of_a_workload_goes_with_it():
    store = a_store()
    store.report_health(KEY, "draining")
    store.commit()
    store.apply(GONE)
    store.commit()
    assert UNHEALTHY(store.db, KEY) is None


def checked(address: str) -> Change:
    return entry(address, annotations='{proxy.istio.io/health-checks-enabled: "true"}')


def test_a_checked_workload_that_comes_while_the_daemon_runs_waits_for_its_first_report():
    store = a_store()
    store.apply(GONE)
    store.commit()
    store.apply(checked("10.0.0.2"))
    store.commit()
    assert UNHEALTHY(store.db, KEY) == NOT_REPORTED
    store.apply(checked("10.0.0.3"))  # it moves: that says nothing of its health
    store.report_health(KEY, "")
    store.commit()
    assert UNHEALTHY(store.db, KEY) is None
    store.apply(checked("10.0.0.4"))
    store.commit()
    assert UNHEALTHY(store.db, KEY) is None


def test_a_checked_workload_that_was_there_before_the_daemon_keeps_its_traffic():
    store = Store(Database())
    store.apply(checked("10.0.0.2"), at_start=True)
    store.commit()
    assert UNHEALTHY(store.db, KEY) is None
