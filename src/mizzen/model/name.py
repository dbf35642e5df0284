"""What DNS says about a name of the mesh."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    """The addresses of a name, of both families, or the name to ask for in its place (an ExternalName Service)."""

    addresses: tuple[str, ...] = ()
    external_name: str = ""
