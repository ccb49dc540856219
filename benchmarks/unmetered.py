"""The program, but for this: it does not sum up what answers used. What that takes of a fetch is the difference.

python -m benchmarks.unmetered WORDS...
"""

from batchctl.cli import main
from batchctl.results.usage import UsageMeter

if __name__ == "__main__":
    UsageMeter.take = lambda *_: None  # type: ignore[method-assign]
    main()
