"""The program, but for this: it does not sum up what answers used. What that takes of a fetch is the difference.

python -m benchmarks.unmetered WORDS...
"""

from batchctl.cli import main
from batchctl.results.usage import Meter

if __name__ == "__main__":
    Meter.take = lambda *_: None  # type: ignore[method-assign]
    Meter.take_shared_prefix = lambda *_: False  # type: ignore[method-assign]
    main()
