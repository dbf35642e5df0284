"""The cases that are known to fail, each with the reason. One that passes all the same fails the run."""

from collections.abc import Mapping

_GATEWAY_API = "needs a Gateway of the Gateway API, which no issue has asked for yet"
_LABELS = "the runner cannot give a running workload another label"
_GATEWAY_AUTHN = "request-authentication/GatewayAPIRequestAuthentication/gateway-authn/ingress->b.echo1/"
_WORKLOAD = "authz/WorkloadSelector/single workload/a.echo1->b.echo1/policy-echo1-b-bad(true)/"

FAILING: Mapping[str, str] = {
    f"{_GATEWAY_AUTHN}deny without token": _GATEWAY_API,
    f"{_GATEWAY_AUTHN}allow with sub-1 token": _GATEWAY_API,
    f'{_GATEWAY_AUTHN}allow with sub-1 token despite "ignored" RequestAuthentication (enableGatewayAPISelectorPolicies '
    "flag = true)": _GATEWAY_API,
    f"{_GATEWAY_AUTHN}allow with sub-1 token on any.com": _GATEWAY_API,
    f"{_GATEWAY_AUTHN}allow with sub-2 token on any.com": _GATEWAY_API,
    "path-normalization/NotNormalized/a.echo1->b.echo1/..;/admin": "Envoy 1.40 takes `..;` for `..` (its feature "
    "strip_path_parameters_per_segment), which is the safer reading; the Envoy that Istio's case was written for did not",
    f"{_WORKLOAD}http": _LABELS,
    f"{_WORKLOAD}http2": _LABELS,
}
