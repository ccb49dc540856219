"""Options that contradict what an existing job was planned with: a job goes on as it was planned, or is refused.

An option that repeats what the job has is no contradiction: running the same command again is how a job is continued.
"""

from collections.abc import Callable, Collection

from batchctl.domain.check_report import DEEP_CHECK_ALL_BELOW, Depth
from batchctl.domain.errors import Refused
from batchctl.domain.model import Job, Settings

# By how many lines each checks in depth, as a rank; auto is full up to a number of lines.
_DEPTHS = {Depth.ENVELOPE: 0, Depth.AUTO: 1, Depth.FULL: 2}
HINT = "remove the option; or to send (and pay for) all of it again, use --again"


def refuse_other_plan(job: Job, asked: Settings, named: Collection[str], name: str = "") -> None:
    """Refuse the first option that would have to be ignored.

    Args:
        job: The job that is there.
        asked: The settings that the options would give a new job.
        named: The parameters that the command line names, by their names in Python: what is left out contradicts nothing.
        name: The value of `--name`.

    Raises:
        Refused: An option differs from what the job was planned with.
    """
    for parameter, differs in _DIFFERS.items():
        if parameter in named and (planned := differs(job, asked, name)):
            raise Refused(f"{job.name} was planned {planned}; this cannot change", hint=HINT)


def _name(job: Job, _: Settings, name: str) -> str:
    return f"with --name {job.name}" if name not in {"", job.name} else ""


def _labels(job: Job, asked: Settings, _: str) -> str:
    planned = job.settings.labels
    if all(planned.get(key) == value for key, value in asked.labels.items()):
        return ""
    shown = " ".join(f"--label {key}={value}" for key, value in planned.items())
    return f"with {shown}" if shown else "without --label"


def _max_requests(job: Job, asked: Settings, _: str) -> str:
    planned = job.settings.max_requests
    return f"with --max-requests {planned}" if asked.max_requests != planned else ""


def _max_bytes(job: Job, asked: Settings, _: str) -> str:
    planned = job.settings.max_bytes
    return f"with --max-bytes {planned}" if asked.max_bytes != planned else ""


def _equal_sizes(job: Job, asked: Settings, _: str) -> str:
    return "without --equal-sizes" if asked.size_start is None and job.settings.size_start is not None else ""


def _depth(job: Job, asked: Settings, _: str) -> str:
    # A check in more depth than is asked for now contradicts nothing.
    planned, wanted = Depth(job.settings.depth), Depth(asked.depth)
    is_all = planned is Depth.AUTO and job.line_count <= DEEP_CHECK_ALL_BELOW
    if is_all or _DEPTHS[planned] >= _DEPTHS[wanted]:
        return ""
    return f"with --check {planned}"


def _cache_system(job: Job, asked: Settings, _: str) -> str:
    planned = job.settings.cache_system
    if asked.cache_system in {"", planned}:
        return ""
    return f"with --cache-system {planned}" if planned else "without --cache-system"


def _canary(job: Job, asked: Settings, _: str) -> str:
    return "without --canary" if asked.canary and not job.settings.canary else ""


def _prime(job: Job, asked: Settings, _: str) -> str:
    return "without --prime" if asked.prime_min_hit is not None and job.settings.prime_min_hit is None else ""


_DIFFERS: dict[str, Callable[[Job, Settings, str], str]] = {
    "name": _name,
    "label": _labels,
    "max_requests": _max_requests,
    "max_bytes": _max_bytes,
    "equal_sizes": _equal_sizes,
    "check": _depth,
    "cache_system": _cache_system,
    "canary": _canary,
    "prime": _prime,
    "prime_min_hit": _prime,
}
