"""Whether a ledger is where it was, and as it was, when it was last written: a copy of it must not send what the other sent."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a ledger lies: which machine, path, device and file. An empty machine: nothing was sent from it so far."""

    machine: str
    path: str
    device: int
    inode: int


def mismatch(stored: Place, here: Place, generation: int, remembered: int | None) -> str:
    """Why a copy of this ledger may have sent what it still plans; empty where none can have.

    `generation`: of the ledger, which rises with every create. `remembered`: the last one that the user's state folder saw of
    any copy of it; None where it saw none.
    """
    if remembered is not None and remembered > generation:
        return "it was continued elsewhere, or put back from a copy"
    if not stored.machine or stored == here:
        return ""
    if stored.machine != here.machine:
        return "it comes from another machine"
    return f"it was moved or copied from {stored.path}" if stored.path != here.path else "its ledger is another file"
