"""The agent's command line."""

from pathlib import Path

import pytest

from mizzen.agent.application_metrics import ApplicationMetrics
from mizzen.agent.settings import HostPort, Interception, Kind, parse

REQUIRED = [
    "--name",
    "w",
    "--address",
    "10.0.0.2",
    "--daemon",
    "h:15012",
    "--root-cert",
    "r",
    "--state-dir",
    "s",
]


def test_the_defaults():
    settings = parse(REQUIRED)
    assert (settings.namespace, settings.service_account, settings.trust_domain) == (
        "default",
        "default",
        "cluster.local",
    )
    assert (settings.kind, settings.interception, settings.mark) == (Kind.SIDECAR, Interception.REDIRECT, 0)
    assert (settings.envoy_uid, settings.concurrency) == (1337, 2)


def test_everything_given():
    settings = parse(
        [*REQUIRED, "--namespace", "shop", "--kind", "gateway", "--label", "app=a", "--label", "version=v1",
         "--app-port", "9080=19080", "--dns-upstream", "9.9.9.9",
         "--dns-upstream", "[fd00::1]:5353"]
    )  # fmt: skip
    assert settings.interception is Interception.NONE
    assert settings.node_id == "router~10.0.0.2~w.shop~shop.svc.cluster.local"
    assert dict(settings.labels) == {"app": "a", "version": "v1"}
    assert dict(settings.app_ports) == {9080: 19080}
    assert settings.dns_upstream == (HostPort("9.9.9.9", 53), HostPort("fd00::1", 5353))
    assert str(settings.identity) == "spiffe://cluster.local/ns/shop/sa/default"


def test_paths_are_absolute_since_the_agent_works_in_its_state_folder():
    assert parse(REQUIRED).root_cert == Path.cwd() / "r"


@pytest.mark.parametrize(
    ("labels", "name", "revision"),
    [
        ([], "w", "latest"),
        (["app=a", "version=v1"], "a", "v1"),
        (["app=a", "app.kubernetes.io/name=k", "app.kubernetes.io/version=2"], "k", "2"),
        (["service.istio.io/canonical-name=c", "app=a", "service.istio.io/canonical-revision=r"], "c", "r"),
    ],
)
def test_the_canonical_name_and_revision_are_istios(labels, name, revision):
    settings = parse([*REQUIRED, *(part for label in labels for part in ("--label", label))])
    assert settings.envoy_environment["MIZZEN_CANONICAL_NAME"] == name
    assert settings.envoy_environment["MIZZEN_CANONICAL_REVISION"] == revision


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["--address", "somewhere"], "'somewhere' is not an IP address"),
        (["--daemon", "h"], "'h' is not HOST:PORT"),
        (["--daemon", "h:99999"], "'h:99999' is not HOST:PORT"),
        (["--label", "x"], "'x' is not KEY=VALUE"),
        (["--app-port", "80"], "'80' is not PORT=PRIVATE_PORT"),
        (["--kind", "gateway", "--interception", "redirect"], "a gateway has no application"),
        (["--dns-upstream", "name"], "'name' is not HOST:PORT"),
        (["--application-metrics", "host:80"], "'host:80' is not [http:|https:]PORT[/PATH]"),
        (["--kind", "gateway", "--application-metrics", "80"], "a gateway has no application"),
        (["--dns-upstream", "name:53"], "'name:53' is not IP or IP:PORT"),
    ],
)
def test_a_mistake_is_said_in_words(wrong, words, capsys):
    with pytest.raises(SystemExit):
        parse([*REQUIRED, *wrong])
    assert words in capsys.readouterr().err


OF_ISTIOS_INJECTOR = {"ISTIO_PROMETHEUS_ANNOTATIONS": '{"scrape":"true","path":"/m","port":"9090"}'}


def test_the_applications_metrics_are_named_by_an_option_or_by_istios_injector():
    assert parse(REQUIRED).application_metrics is None
    assert parse(REQUIRED, OF_ISTIOS_INJECTOR).application_metrics == ApplicationMetrics(9090, "/m")
    given = parse([*REQUIRED, "--application-metrics", "https:8443"], OF_ISTIOS_INJECTOR)
    assert given.application_metrics == ApplicationMetrics(8443, "/metrics", "https")
    assert parse([*REQUIRED, "--kind", "gateway"], OF_ISTIOS_INJECTOR).application_metrics is None


def test_a_variable_that_cannot_be_meant_is_said_in_words(capsys):
    with pytest.raises(SystemExit):
        parse(REQUIRED, {"ISTIO_PROMETHEUS_ANNOTATIONS": '{"port": "15020"}'})
    assert "ISTIO_PROMETHEUS_ANNOTATIONS: port 15020 is the agent's own" in capsys.readouterr().err
