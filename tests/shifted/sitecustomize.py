"""Puts the clock SHIFTED_DAYS ahead in every Python process that has this folder in its PYTHONPATH: for `make test-shifted`.

Python imports a module of this name by itself. All of the program reads the time of day by `time.time`, and the linter
keeps others from reading it. Files keep the real time.
"""

import os
import time

_real = time.time  # noqa: TID251 - what everybody else is kept from
_ahead = float(os.environ["SHIFTED_DAYS"]) * 86_400


def _shifted() -> float:
    return _real() + _ahead


time.time = _shifted  # noqa: TID251 - as above
