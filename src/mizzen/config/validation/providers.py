"""ExtensionProvider of MeshConfig."""

from collections.abc import Sequence
from typing import Final

from mizzen.config.resource import Path
from mizzen.config.types.providers import ExtensionProvider
from mizzen.config.validation import hosts, ports, rules, urls
from mizzen.config.validation.formats import log_format_problem
from mizzen.config.validation.rules import Findings, camel, invalid, questionable

_WITHOUT_SERVICE: Final = ("prometheus", "stackdriver", "envoy_file_access_log")
_WITH_SERVICE: Final = (
    "envoy_ext_authz_http",
    "envoy_ext_authz_grpc",
    "zipkin",
    "lightstep",
    "datadog",
    "opencensus",
    "skywalking",
    "opentelemetry",
    "envoy_http_als",
    "envoy_tcp_als",
    "envoy_otel_als",
    "sds",
)
_ANY: Final = (*_WITH_SERVICE, *_WITHOUT_SERVICE)


def extension_providers(providers: Sequence[ExtensionProvider], path: Path) -> Findings:
    yield from rules.unique((each.name for each in providers if each.name), path, "the provider")
    for index, provider in enumerate(providers):
        yield from _provider(provider, (*path, index))


def _provider(provider: ExtensionProvider, path: Path) -> Findings:
    if not provider.name:
        yield invalid(path, "the provider has no name", "add its name")
    yield from rules.at_most_one(provider, _ANY, path)
    yield from rules.at_least_one(provider, _ANY, path, "the provider")
    for name in _WITH_SERVICE:
        if settings := getattr(provider, name):
            yield from service(settings.service, (*path, camel(name), "service"))
            yield from ports.port(settings.port, (*path, camel(name), "port"))
    for authorizer, field in (
        (provider.envoy_ext_authz_http, "envoyExtAuthzHttp"),
        (provider.envoy_ext_authz_grpc, "envoyExtAuthzGrpc"),
    ):
        if authorizer:
            yield from _status(authorizer.status_on_error, (*path, field, "statusOnError"))
    if (http := provider.envoy_ext_authz_http) and http.path_prefix and not urls.is_path(http.path_prefix):
        here = (*path, "envoyExtAuthzHttp", "pathPrefix")
        yield invalid(
            here, f'"{http.path_prefix}" is no path', "begin it with /, and write %XX for special characters"
        )
    if provider.lightstep and not provider.lightstep.access_token.reveal():
        yield invalid((*path, "lightstep"), "there is no access token", "add accessToken")
    yield from _log_formats(provider, path)
    if provider.opentelemetry:
        yield from rules.at_most_one(provider.opentelemetry, ("http", "grpc"), (*path, "opentelemetry"))


def _log_formats(provider: ExtensionProvider, path: Path) -> Findings:
    """An access log with a format that Envoy does not know is not written."""
    for settings, field in (
        (provider.envoy_file_access_log, "envoyFileAccessLog"),
        (provider.envoy_otel_als, "envoyOtelAls"),
    ):
        if settings is None or settings.log_format is None:
            continue
        for member in ("text", "labels"):
            if problem := log_format_problem(getattr(settings.log_format, member)):
                yield questionable(
                    (*path, field, "logFormat", member),
                    f"{problem}: this access log is not written",
                    "see Envoy's access log format",
                )


def service(text: str, path: Path) -> Findings:
    """Written as "host" or "namespace/host"; its port is a field of its own."""
    if "/" in text:
        yield from hosts.scoped_host(text, path, namespaces=("*", ".", "~"), short=False)
    elif not hosts.is_host(text) and not hosts.is_address(text):
        yield invalid(path, f'"{text}" is no service', 'write "host" or "namespace/host", without the port')


def _status(text: str, path: Path) -> Findings:
    if text and not (text.isascii() and text.isdecimal() and len(text) == 3 and 100 <= int(text) <= 599):
        yield invalid(path, f'"{text}" is no HTTP status', 'write a number such as "503"')
