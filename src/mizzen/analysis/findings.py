"""Everything that analysis finds: one query at the top, one per kind and namespace, one per object.

The levels bound what a change costs: one object is analysed again, its namespace's list is put together anew, and the list
of lists; nothing else runs.
"""

from collections.abc import Callable, Iterable, Iterator

from mizzen.analysis.analyzer import Analyzer
from mizzen.analysis.registry import DEFAULT, by_kind
from mizzen.analysis.suppression import suppressed_by_annotation
from mizzen.config.diagnostics import Diagnostic, Finding
from mizzen.config.resource import Located, ResourceKey
from mizzen.derive.inputs import BY_KIND, BY_NAMESPACE
from mizzen.incremental import Database, Failure, query

Found = tuple[ResourceKey, Finding]


@query
def findings(db: Database) -> tuple[Found, ...]:
    """All findings of the default analyzers, by kind, namespace and name."""
    return tuple(
        found
        for kind in sorted(DEFAULT)
        for namespace in _namespaces(db, kind)
        for found in findings_in(db, kind, namespace)
    )


@query
def _namespaces(db: Database, kind: str) -> tuple[str, ...]:
    return tuple(sorted({key.namespace for key in BY_KIND(db, kind)}))


@query
def findings_in(db: Database, kind: str, namespace: str) -> tuple[Found, ...]:
    """The findings in the objects of one kind and namespace."""
    keys = BY_NAMESPACE(db, (kind, namespace))
    return tuple((key, finding) for key in keys for finding in findings_of(db, key))


@query
def findings_of(db: Database, key: ResourceKey) -> tuple[Finding, ...]:
    """The findings in one object, without those that its annotation suppresses."""
    hidden = suppressed_by_annotation(db, key)
    return tuple(
        found
        for found in run(db, DEFAULT.get(key.kind, ()), key)
        if not hidden or not hidden.covers(found.code)
    )


def findings_by(db: Database, analyzers: tuple[Analyzer, ...]) -> Iterator[Found]:
    """What some analyzers find in all objects, without what annotations suppress."""
    for kind, chosen in by_kind(analyzers).items():
        for key in BY_KIND(db, kind):
            hidden = suppressed_by_annotation(db, key)
            yield from (
                (key, each) for each in run(db, chosen, key) if not hidden or not hidden.covers(each.code)
            )


def run(db: Database, analyzers: Iterable[Analyzer], key: ResourceKey) -> tuple[Finding, ...]:
    """What some analyzers find in one object, each finding once. An analyzer that fails is a finding itself."""
    return tuple(dict.fromkeys(found for analyzer in analyzers for found in _run(db, analyzer, key)))


def _run(db: Database, analyzer: Analyzer, key: ResourceKey) -> tuple[Finding, ...]:
    result = db.result(analyzer.query, key)
    if isinstance(result, Failure):
        return (Finding("IST0001", (), f"the analyzer {analyzer.name} failed: {result}"),)
    return result


def diagnose(found: Iterable[Found], locate: Callable[[ResourceKey], Located | None]) -> Iterator[Diagnostic]:
    """Findings with their places. What is of no file (Istio's default resources) is left out."""
    for key, finding in found:
        located = locate(key)
        if located is not None:
            location = located.locate(finding.path)
            yield Diagnostic(finding.code, finding.message, key, finding.path, location, finding.hint)
