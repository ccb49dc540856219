"""The bytes of uploads and downloads, counted on their way."""

from collections.abc import Iterable, Iterator

from batchctl.domain.events import Transferred
from batchctl.domain.model import Batch
from batchctl.engine.session import Session

PROGRESS_BYTES = 1 << 20


def counted(session: Session, batch: Batch, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces of a body or of results, and emit their bytes now and then."""
    done = emitted = 0
    for piece in pieces:
        yield piece
        done += len(piece)
        if done - emitted >= PROGRESS_BYTES:
            emitted = done
            session.emit(Transferred(batch.id, done))
