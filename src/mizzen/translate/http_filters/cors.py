"""Cross-origin resource sharing: the filter, and a route's policy (VirtualService http[].corsPolicy)."""

from mizzen.config.types.networking import CorsPolicy as CorsSettings
from mizzen.config.types.networking import UnmatchedPreflights
from mizzen.proto.api import CorsFilter, CorsPolicy, HttpFilter
from mizzen.translate.built import pack
from mizzen.translate.filter_order import CORS
from mizzen.translate.matchers import string_matcher


def cors_filter() -> HttpFilter:
    return HttpFilter(name=CORS, typed_config=pack(CorsFilter()))


def cors_policy(settings: CorsSettings) -> CorsPolicy:
    """A route's policy. Preflights of origins that match none are forwarded unless `unmatchedPreflights: IGNORE`."""
    origins = [string_matcher(match) for match in settings.allow_origins]
    policy = CorsPolicy(
        allow_origin_string_match=[*origins, *({"exact": origin} for origin in settings.allow_origin)],
        allow_methods=",".join(settings.allow_methods),
        allow_headers=",".join(settings.allow_headers),
        expose_headers=",".join(settings.expose_headers),
        forward_not_matching_preflights={
            "value": settings.unmatched_preflights is not UnmatchedPreflights.IGNORE
        },
    )
    if settings.max_age is not None:
        policy.max_age = str(int(settings.max_age.total_seconds()))
    if settings.allow_credentials is not None:
        policy.allow_credentials.value = settings.allow_credentials
    return policy
