"""Telemetry."""

from mizzen.config.resource import Path, Resource
from mizzen.config.types.telemetry import Metrics, TagOperation, Telemetry, Tracing
from mizzen.config.validation import cel, headers, references, rules
from mizzen.config.validation.formats import format_problem
from mizzen.config.validation.rules import Findings, invalid, questionable

_ATTRIBUTES = "use Envoy's attributes and the functions that it has, such as: response.code >= 400"


def validate(resource: Resource[Telemetry]) -> Findings:
    spec = resource.spec
    yield from references.attachment(spec)
    if len(spec.tracing) > 1:
        yield questionable(("spec", "tracing"), "of several entries only the first counts", "keep one")
    for index, tracing in enumerate(spec.tracing):
        yield from _tracing(tracing, ("spec", "tracing", index))
    for index, metrics in enumerate(spec.metrics):
        yield from _metrics(metrics, ("spec", "metrics", index))
    for index, logging in enumerate(spec.access_logging):
        if logging.filter and logging.filter.expression:
            path = ("spec", "accessLogging", index, "filter", "expression")
            yield from cel.expression(logging.filter.expression, path)
            if problem := cel.problem_for_envoy(logging.filter.expression):
                yield questionable(path, f"{problem}: no line is written", _ATTRIBUTES)


def _tracing(tracing: Tracing, path: Path) -> Findings:
    if len(tracing.providers) > 1:
        yield questionable((*path, "providers"), "of several providers only the first is used", "keep one")
    yield from rules.percent(tracing.random_sampling_percentage, (*path, "randomSamplingPercentage"))
    for name, tag in tracing.custom_tags.items():
        here = (*path, "customTags", name)
        if not name:
            yield invalid((*path, "customTags"), "a tag has no name", "name it")
        yield from rules.at_most_one(tag, ("literal", "environment", "header", "formatter"), here)
        if tag.formatter and (problem := format_problem(tag.formatter.value)):
            message = f"{problem}: the tag {name} is left out"
            yield questionable((*here, "formatter", "value"), message, "see Envoy's access log format")
        if tag.header:
            yield from headers.header_name(tag.header.name, (*here, "header", "name"))


def _metrics(metrics: Metrics, path: Path) -> Findings:
    yield from rules.at_least_1ms(metrics.reporting_interval, (*path, "reportingInterval"))
    for index, override in enumerate(metrics.overrides):
        here = (*path, "overrides", index)
        if override.match:
            yield from rules.at_most_one(override.match, ("metric", "custom_metric"), (*here, "match"))
        for name, tag in override.tag_overrides.items():
            place = (*here, "tagOverrides", name)
            if not name:
                yield questionable((*here, "tagOverrides"), "a label has no name", "name it")
            if tag.operation is TagOperation.UPSERT and not tag.value:
                yield invalid(place, f"the label {name} gets no value", "add value, or operation: REMOVE")
            elif tag.operation is TagOperation.UPSERT:
                yield from cel.expression(tag.value, (*place, "value"))
                if problem := cel.problem_for_envoy(cel.as_text(tag.value)):
                    message = f"{problem}: the label {name} stays as it was"
                    yield questionable((*place, "value"), message, _ATTRIBUTES)
            elif tag.value:
                message = f"the label {name} is removed, so it has no value"
                yield invalid((*place, "value"), message, "remove value, or use operation: UPSERT")
