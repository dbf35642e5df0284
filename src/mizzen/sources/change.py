"""What a source tells of: the difference to what it told before."""

from dataclasses import dataclass

from mizzen.config.resource import Located, ResourceKey


@dataclass(frozen=True, slots=True)
class Change:
    """Objects that are new or differ, and objects that are gone.

    A change may hold neither: then only positions or diagnostics are new.
    """

    upserts: tuple[Located, ...] = ()
    removals: tuple[ResourceKey, ...] = ()
