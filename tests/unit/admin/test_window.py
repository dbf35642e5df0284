"""Rates over a window: resets, silence and evictions make no false ones."""

import pytest

from mizzen.admin.window import CounterWindow

A, B = 'requests{a="a"}', 'requests{a="b"}'


def window(seconds=10.0, series_per_target=100):
    return CounterWindow(seconds, series_per_target=series_per_target)


def activity(counters, now):
    return {one.series.label("a"): one for one in counters.activity(now)}


def test_a_rate_is_growth_over_time():
    counters = window()
    for second in range(6):
        counters.observe("w", {A: 100 + 20 * second}, float(second))
    one = activity(counters, 5.0)["a"]
    assert (one.total, one.recent, one.per_second, one.last_seen) == (200, 100, 20.0, 5.0)


def test_what_was_counted_before_the_watch_has_no_rate():
    counters = window()
    counters.observe("w", {A: 5000}, 0.0)
    one = activity(counters, 0.0)["a"]
    assert (one.total, one.recent, one.per_second, one.last_seen) == (5000, 0, 0.0, None)


def test_a_series_that_appears_while_watched_started_at_nothing():
    counters = window()
    counters.observe("w", {}, 0.0)
    counters.observe("w", {A: 3}, 1.0)
    one = activity(counters, 1.0)["a"]
    assert (one.total, one.recent, one.last_seen) == (3, 3, 1.0)


@pytest.mark.parametrize("between", [{A: 4}, {}], ids=["reset", "evicted"])
def test_a_counter_may_start_again(between):
    counters = window()
    counters.observe("w", {A: 100}, 0.0)
    counters.observe("w", {A: 110}, 1.0)
    counters.observe("w", between, 2.0)
    counters.observe("w", {A: 6}, 3.0)
    one = activity(counters, 3.0)["a"]
    assert (one.total, one.recent) == (116, 16)


def test_the_past_leaves_the_window_but_not_the_total():
    counters = window(seconds=10.0)
    for second in range(31):
        counters.observe("w", {A: 50 if second else 0}, float(second))
    one = activity(counters, 30.0)["a"]
    assert (one.total, one.recent, one.per_second, one.last_seen) == (50, 0, 0.0, 1.0)


def test_a_silent_target_fades_instead_of_freezing():
    counters = window(seconds=10.0)
    counters.observe("w", {A: 0}, 0.0)
    counters.observe("w", {A: 40}, 1.0)
    assert activity(counters, 1.0)["a"].per_second == 40.0
    assert activity(counters, 8.0)["a"].per_second == 5.0
    assert activity(counters, 12.0)["a"].per_second == 0.0


def test_growth_during_a_long_silence_enters_no_rate():
    counters = window(seconds=10.0)
    counters.observe("w", {A: 0}, 0.0)
    counters.observe("w", {A: 1000}, 60.0)
    one = activity(counters, 60.0)["a"]
    assert (one.total, one.recent) == (1000, 0)
    counters.observe("w", {A: 1001}, 61.0)
    assert activity(counters, 61.0)["a"].per_second == 1.0


def test_targets_are_apart_and_can_be_forgotten():
    counters = window()
    for target in ("v", "w"):
        counters.observe(target, {A: 1}, 0.0)
    assert len(list(counters.activity(0.0))) == 2
    counters.keep_only(["w"])
    assert len(list(counters.activity(0.0))) == 1


def test_a_target_cannot_fill_the_memory():
    counters = window(series_per_target=2)
    for second in range(5):
        counters.observe("w", {f'requests{{a="{second}-{n}"}}': 1 for n in range(5)}, float(second))
    assert len(list(counters.activity(4.0))) == 2
