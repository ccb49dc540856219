"""When a ledger may be a copy of another one that has sent what this one still plans."""

from dataclasses import replace

import pytest

from batchctl.domain.places import Place, mismatch

HERE = Place(machine="a1", path="/work/.batchctl/ledger.db", device=64, inode=7)
NOWHERE = Place(machine="", path="", device=0, inode=0)

CONTINUED = "it was continued elsewhere or restored from a copy"
MACHINE = "it comes from another machine"
MOVED = "it was moved or copied from /old/ledger.db"
FILE = "its ledger is another file"


@pytest.mark.parametrize(
    ("stored", "generation", "remembered", "why"),
    [
        (HERE, 5, 5, ""),
        # The state folder is gone, or lags behind: that alone says nothing.
        (HERE, 5, None, ""),
        (HERE, 5, 4, ""),
        (HERE, 0, 0, ""),
        # Some copy of it has sent more than this one knows of.
        (HERE, 5, 6, CONTINUED),
        (HERE, 0, 1, CONTINUED),
        (NOWHERE, 5, 6, CONTINUED),
        (replace(HERE, machine="b2"), 5, 6, CONTINUED),
        # Nothing was sent from it so far, or by a version that did not write it down.
        (NOWHERE, 0, None, ""),
        (NOWHERE, 5, 5, ""),
        (replace(HERE, machine="b2"), 5, 5, MACHINE),
        (replace(HERE, machine="b2"), 5, None, MACHINE),
        (Place(machine="b2", path="/old/ledger.db", device=1, inode=1), 5, 5, MACHINE),
        (replace(HERE, path="/old/ledger.db"), 5, 5, MOVED),
        (replace(HERE, path="/old/ledger.db", device=1, inode=1), 5, None, MOVED),
        (replace(HERE, inode=8), 5, 5, FILE),
        (replace(HERE, device=65), 5, 5, FILE),
    ],
)
def test_why_a_copy_may_have_sent_it(stored: Place, generation: int, remembered: int | None, why: str) -> None:
    assert mismatch(stored, HERE, generation, remembered) == why
