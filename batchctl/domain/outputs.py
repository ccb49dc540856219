"""Whether a file that a person named may be replaced: only by the job that wrote it, unless they say so."""

from dataclasses import dataclass

from batchctl.domain.errors import Refused

ELSEWHERE = "name another file with --output, or another folder with --output-dir; -o - is stdout"
FORCING = "or replace it with --force"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What stands where an output is to go.

    `workspace`: the workspace that the path leads into through all of its links; empty outside of any. `is_own`: the job
    wrote the file as it stands there. `is_requests`: a request file of the job, whatever its name.
    """

    path: str
    workspace: str = ""
    is_there: bool = False
    is_regular: bool = True
    is_empty: bool = False
    is_own: bool = False
    is_requests: bool = False


def objection(
    place: Place, *, force: bool = False, elsewhere: str = ELSEWHERE, forcing: str = FORCING
) -> Refused | None:
    """Why nothing is written there; None where it may be.

    `force`: a person said that the file may go. `elsewhere`, `forcing`: how they name another place, and say so; the second
    may be empty.
    """
    if place.workspace:
        return Refused(
            f"{place.path} lies in the workspace {place.workspace}: nothing is written there", hint=elsewhere
        )
    if not place.is_there:
        return None
    if not place.is_regular:
        return Refused(f"{place.path} is no regular file: it is not replaced", hint=elsewhere)
    if place.is_requests:
        return Refused(f"{place.path} is a request file of this job: nothing is written over it", hint=elsewhere)
    if place.is_own or place.is_empty or force:
        return None
    return Refused(
        f"{place.path} is there already, and not as this job wrote it: it is not replaced",
        hint="; ".join(filter(None, ("move it away", elsewhere, forcing))),
    )
