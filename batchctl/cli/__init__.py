"""The command line: options in, one call of a verb, one exit status. Typer is used here alone."""

import gc
import os
import sys
from typing import NoReturn

# Requests and results hold no cycles: with Python's 700, looking for some takes a seventh of the time of a check.
OBJECTS_BEFORE_COLLECTING = 100_000


def main() -> NoReturn:
    """Run the program, and leave with its exit status."""
    gc.set_threshold(OBJECTS_BEFORE_COLLECTING)
    from batchctl.cli.app import app
    from batchctl.cli.streams import prepare

    prepare()
    try:
        app(prog_name="batchctl")
    except BrokenPipeError:
        leave_quietly()
    except OSError as error:
        # Of --help and --version, which are no verbs.
        sys.stderr.write(f"error: stdout: {error.strerror or error}\n")
        sys.stderr.flush()
        os._exit(1)
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            leave_quietly()
        except OSError:
            # The verb that could not write has reported it; a second try at the exit would end in a traceback.
            os._exit(1)
    sys.exit(0)


def leave_quietly() -> NoReturn:
    """Leave without a message: the reader of stdout went away, as `head` does."""
    os._exit(141)
