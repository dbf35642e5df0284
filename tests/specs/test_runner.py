"""The runner of the specs itself: what it must refuse, or a spec would pass and say nothing."""

import pytest

from tests.support import specs
from tests.support.select import SelectError, select

PAGE = """\
# Page

```view
namespace: shop
```

## One

Envoy: `clusters[*].name`

```yaml
- BlackHoleCluster
- InboundPassthroughCluster
- PassthroughCluster
```
"""


def test_a_page_is_read_and_holds() -> None:
    (spec,) = specs.parse(PAGE)
    (check,) = spec.checks
    assert spec.evaluate(check) == check.snapshot


def test_filling_what_is_right_changes_nothing_and_a_wrong_snapshot_is_replaced() -> None:
    assert specs.filled(PAGE, specs.parse(PAGE)) == PAGE
    wrong = PAGE.replace("- BlackHoleCluster\n", "- Other\n- Another\n")
    assert specs.filled(wrong, specs.parse(wrong)) == PAGE


def test_a_missing_snapshot_is_filled() -> None:
    bare = PAGE[: PAGE.index("\n```yaml")]
    assert specs.parse(bare)[0].checks[0].snapshot is None
    assert specs.filled(bare, specs.parse(bare)) == PAGE


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PAGE + "\n## Two\n\nProse alone.\n", "checks nothing"),
        (PAGE + "\n```yaml\n- orphan\n```\n", "an orphan"),
        (PAGE.replace("## One\n", ""), "needs a heading"),
        (PAGE.replace("```view", "```veiw"), 'not "veiw"'),
        (PAGE + "\n```yaml\n- open\n", "an orphan|does not end"),
        (PAGE + PAGE[PAGE.index("## One") :], "are the same"),
        (PAGE.replace("`clusters[*].name`", "clusters"), "in backticks"),
    ],
)
def test_what_says_nothing_is_refused(text: str, why: str) -> None:
    with pytest.raises(specs.SpecError, match=why):
        specs.parse(text)


def test_a_view_with_an_unknown_field_is_refused() -> None:
    (spec,) = specs.parse(PAGE.replace("namespace: shop", "namespace: shop\nlabel: {}"))
    with pytest.raises(specs.SpecError, match="no label"):
        spec.resources()


VALUE = {"a": [{"name": "x", "n": 1, "deep": {"er": True}}, {"name": "y|z"}]}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a[0].n", 1),
        ('a["y|z"]', {"name": "y|z"}),
        ("a[*].name", ["x", "y|z"]),
        ("a[0]{n, deep.er, absent}", {"n": 1, "deep.er": True}),
    ],
)
def test_paths(path: str, found: object) -> None:
    assert select(VALUE, path) == found


@pytest.mark.parametrize("path", ["b", "a[2]", 'a["q"]', "a[*].n", "a[0]{absent}", "a[0]{n}.x", "a!"])
def test_a_path_that_leads_nowhere_is_an_error(path: str) -> None:
    with pytest.raises(SelectError):
        select(VALUE, path)
