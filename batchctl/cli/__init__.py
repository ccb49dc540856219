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
    from batchctl.cli.streams import prepare  # noqa: PLC0415

    prepare()
    try:
        app(prog_name="batchctl")
    except BrokenPipeError:
        leave_quietly()
    except OSError as error:
        # Of --help and --version, which no command is behind.
        sys.stderr.write(f"error: stdout: {error.strerror or error}\n")
        sys.stderr.flush()
        os._exit(1)
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
