"""`python -m mizzen.agent`: see `mizzen.agent.settings` for the command line."""

import asyncio
import logging
import os
import sys
import time

from mizzen import logs
from mizzen.agent.settings import Settings, parse
from mizzen.errors import UserError


def main() -> None:
    started = time.monotonic()
    settings = parse(environment=os.environ)
    try:
        _set_up_log(settings)
        _run(settings, started)
    except UserError as error:
        sys.exit(f"mizzen agent: {error}")
    except Exception as error:
        if settings.debug:
            raise
        sys.exit(f"mizzen agent: unexpected {type(error).__name__}: {error} (--debug says more)")


def _run(settings: Settings, started: float) -> None:
    from mizzen.agent.run import prepare_state_dir, run  # late: a wrong command line is answered at once

    os.umask(0o077)  # whatever is written, by Envoy too, is the agent's user's and Envoy's alone
    prepare_state_dir(settings)
    asyncio.run(run(settings, started))


def _set_up_log(settings: Settings) -> None:
    logs.set_up(settings.log_format)
    settings.logs.reset()
    if not settings.debug:
        # They log tracebacks of connections that were cut, which is all in a day's work.
        for library in ("grpclib", "hpack", "h2", "asyncio"):
            logging.getLogger(library).setLevel(logging.CRITICAL)


if __name__ == "__main__":
    main()
