"""TrafficExtension."""

from mizzen.config.resource import Resource
from mizzen.config.types.extensions import TrafficExtension
from mizzen.config.validation import references, rules, wasm_plugin
from mizzen.config.validation.rules import Findings


def validate(resource: Resource[TrafficExtension]) -> Findings:
    spec = resource.spec
    yield from references.attachment(spec)
    yield from rules.at_most_one(spec, ("wasm", "lua"), ("spec",))
    yield from rules.at_least_one(spec, ("wasm", "lua"), ("spec",), "the extension")
    if spec.wasm:
        yield from wasm_plugin.module(spec.wasm, ("spec", "wasm"))
    yield from wasm_plugin.traffic(spec.match, ("spec", "match"))
