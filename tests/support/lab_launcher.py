"""Launches a lab and holds it, to be killed: prints one line of JSON when it is up.

python -m tests.support.lab_launcher MODE STATE_ROOT [once]
"""

import sys
from pathlib import Path

import msgspec

from mizzen.errors import UserError
from mizzen.lab.launcher import Options, UnsupportedHereError, launch
from mizzen.lab.modes import Mode
from tests.support.lab_standins import TWO_WORKLOADS, programs

EXIT_UNSUPPORTED = 77


def main() -> int:
    mode, root = Mode(sys.argv[1]), Path(sys.argv[2])
    options = Options(
        definition=TWO_WORKLOADS,
        folder=root,
        config=(),
        state_root=root,
        mode=mode,
        programs=programs(),
    )
    try:
        with launch(options, lambda _text: None) as lab:
            print(msgspec.json.encode(lab.lab).decode(), flush=True)
            if "once" in sys.argv:
                return 0
            while lab.next_report() is not None:
                pass
            print(lab.how_it_ended() if not lab.ended_well() else "ended", flush=True)
    except UnsupportedHereError as error:
        print(error, flush=True)
        return EXIT_UNSUPPORTED
    except UserError as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
