"""The options that a session is opened with; light to import."""

from dataclasses import dataclass
from pathlib import Path

from batchctl.domain.engines import Engine
from batchctl.domain.limits import API_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Where the workspace and the API are, and how a verb works with them.

    Attributes:
        workspace: The folder of ledger and jobs; None for the nearest `.batchctl`.
        base_url: The URL of the API; None for `ANTHROPIC_BASE_URL`, or the SDK's own.
        insecure_http: Whether the key may go over plain http to another host.
        prices: A TOML file of private prices to rely on; None for the usual ones.
        api_version: The anthropic-version header of a new job.
        parallel: How many uploads or downloads run at once.
        poll_seconds: The time between polls; None for the usual pace.
        makes_workspace: Whether the workspace is made where there is none.
        engine: Who checks requests and verifies results; None where that is left to the program.
        takes_steps: Whether the verb claims steps on batches. One that only reads leaves no trace in the workspace.
    """

    workspace: Path | None = None
    base_url: str | None = None
    insecure_http: bool = False
    prices: Path | None = None
    api_version: str = API_VERSION
    parallel: int = 4
    poll_seconds: float | None = None
    engine: Engine | None = None
    makes_workspace: bool = False
    takes_steps: bool = True
