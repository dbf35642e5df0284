"""Outlier detection: endpoints that fail are left out for a while.

Source: Istio's mapping of DestinationRule `outlierDetection`: by consecutive errors, never by success rate.
"""

from mizzen.config.types.networking import OutlierDetection
from mizzen.proto.api import Cluster, HttpProtocolOptions


def apply_outlier_detection(cluster: Cluster, settings: OutlierDetection) -> None:
    """By server errors unless `consecutive5xxErrors` is 0 (Envoy's default, five, is the API's)."""
    detection = cluster.outlier_detection
    detection.enforcing_success_rate.value = 0
    errors_5xx = settings.consecutive_5xx_errors
    if errors_5xx is not None:
        detection.consecutive_5xx.value = errors_5xx
        detection.enforcing_consecutive_5xx.value = 100 if errors_5xx else 0
    gateway = settings.consecutive_gateway_errors
    if gateway is None and settings.consecutive_errors:
        gateway = settings.consecutive_errors
    if gateway is not None:
        detection.consecutive_gateway_failure.value = gateway
        detection.enforcing_consecutive_gateway_failure.value = 100 if gateway else 0
    if settings.interval is not None:
        detection.interval.FromTimedelta(settings.interval)
    if settings.base_ejection_time is not None:
        detection.base_ejection_time.FromTimedelta(settings.base_ejection_time)
    if settings.max_ejection_percent:
        detection.max_ejection_percent.value = settings.max_ejection_percent
    if settings.split_external_local_origin_errors:
        detection.split_external_local_origin_errors = True
        detection.enforcing_local_origin_success_rate.value = 0
        local = settings.consecutive_local_origin_failures
        if local is not None:
            detection.consecutive_local_origin_failure.value = local
            detection.enforcing_consecutive_local_origin_failure.value = 100 if local else 0
    # Below this share of healthy endpoints the ejected ones are used again. Envoy's own default is half.
    cluster.common_lb_config.healthy_panic_threshold.value = settings.min_health_percent


def apply_error_codes(options: HttpProtocolOptions, settings: OutlierDetection) -> None:
    """The statuses that count as errors in place of 500 to 599. Envoy counts what matches as a 500, all else as a 200."""
    codes = settings.outlier_detection_http_error_codes
    if codes:
        status = options.outlier_detection.error_matcher.http_response_headers_match.headers.add(
            name=":status"
        )
        status.string_match.safe_regex.regex = "|".join(str(code) for code in sorted(set(codes)))
