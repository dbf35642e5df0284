"""The audit log: what AuthorizationPolicies decided, one JSON object a line, written by the proxy that decided.

Every denial is written; of what was allowed, the share that the MeshConfig's annotation asks for (none without it). The file is named
relative to the proxy's working directory, which the agent makes, and there is the same name for all: a path of its own would
give every workload a listener of its own. The agent moves full files aside (`agent/audit.py`).

Lines have no query of a path: it is where people put secrets. Source of the verdict: the metadata that Envoy's RBAC filters leave.
"""

from typing import Any

from mizzen.derive.authorization import policies_for
from mizzen.derive.mesh import mesh_annotations
from mizzen.derive.request_authentication import request_authentications
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.proto.api import AccessLog, FileAccessLog
from mizzen.translate.built import pack, struct
from mizzen.translate.expressions import where

FILE = "audit/audit.log"
ALLOWED_PERCENT_ANNOTATION = "mizzen.dev/audit-allowed-percent"
"""Of the MeshConfig: how much of what was allowed is written, in percent."""

_HTTP_RBAC, _STREAM_RBAC = "envoy.filters.http.rbac", "envoy.filters.network.rbac"
_MILLION = 1_000_000


@query
def allowed_share(db: Database) -> int:
    """Of a million decisions that allow, how many are written."""
    try:
        percent = float(mesh_annotations(db).get(ALLOWED_PERCENT_ANNOTATION, "0"))
        return round(min(max(percent, 0.0), 100.0) * _MILLION / 100)
    except ValueError:  # no number at all, or none that counts (NaN)
        return 0


def audit_logs(db: Database, namespace: str, labels: FrozenMap[str, str], *, http: bool) -> list[AccessLog]:
    """Of the chains of a workload for which some policy holds."""
    if not policies_for(db, namespace, labels) and not request_authentications(db, namespace, labels):
        return []
    by = _HTTP_RBAC if http else _STREAM_RBAC
    denied, allowed = _HTTP if http else _STREAM
    found = [_log("denied", http, by, denied)]
    share = allowed_share(db)
    if share:
        sampled = {
            "runtime_filter": {
                "runtime_key": "mizzen.audit.allowed",
                "percent_sampled": {"numerator": share, "denominator": "MILLION"},
                "use_independent_randomness": True,
            }
        }
        found.append(_log("allowed", http, by, {"and_filter": {"filters": [allowed, sampled]}}))
    return found


def _result(verdict: str) -> dict[str, Any]:
    """What the last filter that enforced something on a request came to."""
    matcher = {
        "filter": _HTTP_RBAC,
        "path": [{"key": "enforced_engine_result"}],
        "value": {"string_match": {"exact": verdict}},
    }
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": {"value": False}}}


# An external authorizer that denies leaves a flag; a token that is refused, a reason.
_HTTP = (
    {
        "or_filter": {
            "filters": [
                _result("denied"),
                {"response_flag_filter": {"flags": ["UAEX"]}},
                where("response.code_details.startsWith('jwt_authn_access_denied')"),
            ]
        }
    },
    _result("allowed"),
)
# Of connections Envoy keeps no result, but the reason why it ended them.
_DENIED = "connection.termination_details.startsWith('rbac_access_denied') || connection.termination_details.startsWith('ext_authz')"
_STREAM = (where(_DENIED), where(f"!({_DENIED})"))


def _log(verdict: str, http: bool, by: str, which: dict[str, Any]) -> AccessLog:
    fields = {
        "time": "%START_TIME%",
        "verdict": verdict,
        "details": "%RESPONSE_CODE_DETAILS%" if http else "%CONNECTION_TERMINATION_DETAILS%",
        "caller": "%DOWNSTREAM_PEER_URI_SAN%",
        "caller_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "workload": "%ENVIRONMENT(MIZZEN_WORKLOAD)%",
        "namespace": "%ENVIRONMENT(MIZZEN_NAMESPACE)%",
        "address": "%DOWNSTREAM_LOCAL_ADDRESS%",
        "server_name": "%REQUESTED_SERVER_NAME%",
        "dry_run_deny": f"%DYNAMIC_METADATA({by}:istio_dry_run_deny_shadow_effective_policy_id)%",
        "dry_run_allow": f"%DYNAMIC_METADATA({by}:istio_dry_run_allow_shadow_effective_policy_id)%",
        "dry_run_allow_result": f"%DYNAMIC_METADATA({by}:istio_dry_run_allow_shadow_engine_result)%",
    }
    if http and verdict == "allowed":
        # What denied is in the details. The filters of all actions share this entry: after a denial it may be another's.
        fields["policy"] = f"%DYNAMIC_METADATA({by}:enforced_effective_policy_id)%"
    if http:
        fields |= {
            "protocol": "%PROTOCOL%",
            "method": "%REQ(:METHOD)%",
            "host": "%REQ(:AUTHORITY)%",
            "path": "%PATH(NQ:ORIG_OR_PATH)%",
            "status": "%RESPONSE_CODE%",
            "request_id": "%REQ(X-REQUEST-ID)%",
            "audited": "%DYNAMIC_METADATA(envoy.common:access_log_hint)%",
        }
    config = FileAccessLog(path=FILE, log_format={"json_format": struct(fields), "omit_empty_values": True})
    return AccessLog(name="envoy.access_loggers.file", typed_config=pack(config), filter=which)
