"""What the person types: options in, one call, one exit status. Typer lives here."""

import gc
import os
import sys
from typing import NoReturn

# Requests and results hold no cycles: with Python's 700, looking for some takes a seventh of the time of a check.
OBJECTS_BEFORE_COLLECTING = 100_000


def main() -> NoReturn:
    """The program."""
    gc.set_threshold(OBJECTS_BEFORE_COLLECTING)
    from batchctl.cli.app import app  # noqa: PLC0415 - so that `import batchctl.cli` stays cheap

    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w") if number else None)
    try:
        app(prog_name="batchctl")
    except BrokenPipeError:
        leave_quietly()
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            leave_quietly()
        except OSError:
            # Said already, by the command that could not write; trying once more at the exit would be a traceback.
            os._exit(1)
    sys.exit(0)


def leave_quietly() -> NoReturn:
    """The reader of stdout went away, as `head` does: nothing to say, and nobody to say it to."""
    os._exit(141)
