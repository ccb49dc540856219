"""batchctl without the rules of the API, so that the benchmark can tell what these take. One process only: others have them.

python -m benchmarks.without_rules submit FILE --dry-run --engine threads
"""

from typing import Any

from batchctl.cli import main
from batchctl.domain.faults import Fault
from batchctl.requests.rules import Rules


def _no_faults(*_: Any) -> list[Fault]:
    return []


if __name__ == "__main__":
    Rules.faults = Rules.faults_of_request = _no_faults  # type: ignore[method-assign,assignment]
    main()
