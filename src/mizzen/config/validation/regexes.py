"""Users' regular expressions: RE2's, as Envoy runs them, bounded."""

from functools import lru_cache
from typing import Final

import re2

from mizzen.config.resource import Path
from mizzen.config.types.networking import StringMatch
from mizzen.config.validation.rules import Findings, invalid

MAX_CHARACTERS: Final = 1024  # Istio's bound
MAX_MEMORY_BYTES: Final = 1 << 20
MAX_PROGRAM_SIZE: Final = 32_768
"""RE2's own measure. Proxies are told the same bound (re2.max_program_size.error_level), as Istio's are."""

_HINT = "write it in RE2's syntax, which has no look-around and no back-references"


def regex(pattern: str, path: Path) -> Findings:
    """What Envoy cannot compile, or only at great cost, must not reach a proxy."""
    if not pattern:
        yield invalid(path, "Envoy refuses an empty regular expression")
    elif len(pattern) > MAX_CHARACTERS:
        yield invalid(path, f"the regular expression is longer than {MAX_CHARACTERS} characters")
    elif problem := compile_problem(pattern):
        yield invalid(path, f'the regular expression "{pattern}" does not compile: {problem}', _HINT)


@lru_cache(
    maxsize=4096
)  # a mesh repeats its expressions; compiling is the slowest thing that validation does
def compile_problem(pattern: str) -> str:
    """Why the pattern does not compile, "" where it does."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY_BYTES
    try:
        size = re2.compile(pattern, options).programsize
    except re2.error as error:
        reason = error.args[0] if error.args else error
        return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    return "" if size <= MAX_PROGRAM_SIZE else f"its program size is {size}, more than {MAX_PROGRAM_SIZE}"


def string_match(match: StringMatch | None, path: Path, *, prefix_may_be_empty: bool = False) -> Findings:
    if match is None:
        return
    if match.prefix == "" and not prefix_may_be_empty:
        yield invalid((*path, "prefix"), "Envoy refuses an empty prefix", "write {} to ask for presence only")
    if (match.exact is not None) + (match.prefix is not None) + (match.regex is not None) > 1:
        there = [name for name in ("exact", "prefix", "regex") if getattr(match, name) is not None]
        yield invalid(path, f"only one of {', '.join(there)} can be set")
    if match.regex is not None:
        yield from regex(match.regex, (*path, "regex"))
