"""The Message Batches API as the rest of the program sees it: one protocol, and the values that it speaks in.

`api.client.SdkMessageBatches` implements it over the SDK. Every implementation passes `tests/api/test_conformance.py`.
Importing this module imports neither the SDK nor an HTTP library.

What every call raises:

- `ApiFailure` where the expected answer did not come: a status of 400 or more, an answer that cannot be read, a connection
  that broke. It holds the facts; `domain.api_failures` decides what follows from them. Nothing is retried here.
- `AccountProblem` where no request can be made with what is configured: no credential, one that cannot be used, or (as
  `CertificateProblem`) a server whose certificate is not trusted.
- `Stopped` where the command was stopped while it waited for the answer; `create` alone never raises it.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from batchctl.domain.errors import BatchctlError
from batchctl.domain.limits import API_VERSION
from batchctl.domain.model import MessageBatch
from batchctl.domain.model_catalog import Model

# The most entries that the API puts into one page of a list (API reference, List Message Batches).
LIST_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A batch as the API just described it.

    Attributes:
        batch: The description.
        retry_after: Seconds that the API asks to wait before the next poll, None where it does not say.
    """

    batch: MessageBatch
    retry_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of the batches in the key's API workspace, newest first.

    Attributes:
        batches: The batches whose id could be read.
        after: The cursor of the next page, empty on the last page.
        is_whole: Every entry has an id that could be read, and the page says whether there are more. Only such pages
            prove that a batch is not there.
        server_time: The time of the answer by the API's clock, None where it could not be read.
        account: Organization and API workspace as the answer's headers name them, empty where they do not.
    """

    batches: tuple[MessageBatch, ...]
    after: str
    is_whole: bool
    server_time: datetime | None
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """All models of the key's account, including retired ones; `account` as in `Page`."""

    models: tuple[Model, ...]
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Where the credential comes from; the credential itself is never here.

    Attributes:
        source: The environment variable or the profile that holds it, empty where there is none.
        base_url: The base URL that the SDK uses with it.
        unused: Variables that hold a credential, too, and are not used because `source` goes first.
        headers: Names of the headers that ANTHROPIC_CUSTOM_HEADERS adds.
        is_blank_at_an_end: It begins or ends with white space, for example with a newline from the file it was read from.
    """

    source: str
    base_url: str
    unused: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    is_blank_at_an_end: bool = False


class Body:
    """The body of a create: `length` bytes in pieces, to be sent once.

    It remembers how many bytes were taken (`given`) and which problem of ours ended it early (`failure`).
    """

    def __init__(self, pieces: Iterable[bytes], length: int) -> None:
        self._pieces = pieces
        self.length = length
        self.given = 0
        self.failure: BatchctlError | None = None

    @property
    def is_sent_whole(self) -> bool:
        """Whether the last byte was handed to the socket, as far as this side can know."""
        return self.given >= self.length

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces and count them. Raise what reading them raises."""
        try:
            for piece in self._pieces:
                self.given += len(piece)
                yield piece
        except BatchctlError as failure:
            self.failure = failure
            raise


class MessageBatches(Protocol):
    """The Message Batches API and what belongs to it: token counts, models, and the credential in use.

    Nothing is opened before the first call. Calls may come from several threads at once.

    Attributes:
        base_url: Where the API is, empty for the SDK's own URL.
        api_version: The anthropic-version header of every call that names no other.
    """

    base_url: str
    api_version: str

    def create(self, body: Body, *, api_version: str = API_VERSION, betas: Iterable[str] = ()) -> Seen:
        """Create a batch with exactly one POST, which is never retried.

        The API takes no idempotency key: a create sent twice may be two batches, both paid. Any 2xx answer with an id is
        that batch, whatever else the answer lacks; one without an id raises `ApiFailure` with its 2xx status.

        Args:
            body: The request body, sent byte for byte.
            api_version: The anthropic-version header, which governs every request in the batch.
            betas: The values of the anthropic-beta header, which governs them as well.

        Raises what reading `body` raised, too. A stop does not end it: it waits for the answer.
        """

    def retrieve(self, message_batch_id: str) -> Seen:
        """Return the batch as the API describes it now."""

    def page(self, after: str = "", limit: int = LIST_LIMIT) -> Page:
        """Return one page of the list: at most `limit` batches, those that follow the cursor `after`."""

    def results(self, message_batch_id: str) -> AbstractContextManager[Iterator[bytes]]:
        """Open the results of an ended batch as a stream of raw bytes.

        The pieces are what the API sent, in its order, without its transfer and content encodings; a piece is no line. A
        stream that breaks raises `ApiFailure` from the iterator. The path is built from the id: `results_url` of an answer
        could lead the key elsewhere.
        """

    def cancel(self, message_batch_id: str) -> Seen:
        """Ask the API to end a batch; requests that have begun are finished and billed. Safe to repeat."""

    def delete(self, message_batch_id: str) -> None:
        """Remove an ended batch and its results at the API for good. A repetition raises `ApiFailure` with status 404."""

    def count_tokens(self, body: bytes, *, api_version: str = API_VERSION, betas: Iterable[str] = ()) -> int:
        """Return the input tokens of a Messages body without `max_tokens`, as the API estimates them.

        The call is free and has a rate limit of its own (token counting page of the API's documentation).
        """

    def models(self) -> Models:
        """Return every model of the account, all pages together. An empty list raises `ApiFailure`: it says nothing."""

    def model(self, name: str) -> Model:
        """Return one model by its id or by an alias, which the list does not name."""

    def credential(self) -> Credential:
        """Return where the credential comes from, without a request. Raise AccountProblem where it cannot be read."""

    def fingerprint(self, salt: str) -> str:
        """Return a salted fingerprint of the static key or token: the same for the same key, and no way back to it.

        Empty for a credential that changes by itself.
        """

    def close(self) -> None:
        """Close the connections. A call after this is an error."""
