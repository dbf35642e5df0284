"""AuthorizationPolicies as Envoy sees them: `filters` of a workload, made of `rules`, made of `terms`; `external` asks others."""
