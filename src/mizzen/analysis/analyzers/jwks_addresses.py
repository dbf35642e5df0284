"""May the control plane fetch keys of tokens from anywhere? Then whoever writes a RequestAuthentication can make it ask
internal addresses.
"""

from typing import Any

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.kubernetes import pod_template
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.derive.inputs import BY_KIND
from mizzen.incremental import Database

_SETTING = "BLOCKED_CIDRS_IN_JWKS_URIS"
_MOST_NAMED = 5


@analyzer("Deployment", codes="IST0175")
def jwks_addresses(db: Database, resource: Resource[Any]) -> Findings:
    template = pod_template(resource)
    if resource.labels.get("app") != "istiod" or template is None:
        return
    if any(
        variable.name == _SETTING and variable.value
        for each in template.pod.containers
        for variable in each.env
    ):
        return
    policies = BY_KIND(db, "RequestAuthentication")
    if policies:
        named = ", ".join(f"{key.namespace}/{key.name}" for key in policies[:_MOST_NAMED])
        more = ", ..." if len(policies) > _MOST_NAMED else ""
        message = (
            f"{_SETTING} is not set, and there are {len(policies)} RequestAuthentications ({named}{more})"
        )
        path = ("spec", "template", "spec", "containers")
        yield Finding(
            "IST0175", path, message, f"set {_SETTING} to the networks that no token's keys come from"
        )
