"""The tables of the newest revision, with a comment for each column.

The migrations, applied in order, make exactly these tables (a test compares them). There is a row per batch and per kind of
failure, never per request: a million requests are a hundred batches, and a ledger of about 100 KB.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware UTC datetime, stored as sortable text with microseconds."""

    impl = sa.String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> str | None:  # noqa: ARG002
        """Return the text to store, for example 2026-11-21T12:00:00.000000Z."""
        return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def process_result_value(self, value: str | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """Return the stored instant as an aware datetime."""
        return None if value is None else datetime.fromisoformat(value)


# The migrations in their order; the last one makes the tables below.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010")
HEAD = REVISIONS[-1]

metadata = sa.MetaData()


def _column(name: str, kind: Any, comment: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, comment=comment, **{"nullable": False, **options})


job_table = sa.Table(
    "job",
    metadata,
    _column("id", sa.Integer, "number given by the ledger", primary_key=True),
    _column(
        "name", sa.String(80), "the name that a person types: the input's name and four digits of its hash", unique=True
    ),
    _column("input_path", sa.Text, "where the input was, absolute; - for stdin; empty where it is not known"),
    _column(
        "input_sha256",
        sa.String(64),
        "hash of all its bytes, decompressed: identifies an input that is submitted again",
    ),
    _column("input_size", sa.BigInteger, "bytes of the file as it was found; 0 for stdin"),
    _column("input_mtime_ns", sa.BigInteger, "its mtime when it was planned; 0 for stdin"),
    _column("line_count", sa.BigInteger, "lines that hold something: the requests planned and the lines left out"),
    _column(
        "left_out",
        sa.BigInteger,
        "lines left out by --skip-bad, or by attach, as no batch has them and their ids repeat: they stay unanswered",
    ),
    _column("api_version", sa.String(10), "the anthropic-version header of what it sends from here on"),
    _column("betas", sa.JSON, "list of values of the anthropic-beta header of what it sends from here on"),
    _column("max_requests", sa.Integer, "requests per batch it was cut by"),
    _column("max_bytes", sa.BigInteger, "body bytes per batch it was cut by"),
    _column(
        "size_start", sa.Integer, "where the sizes of its batches begin; null: all have max_requests", nullable=True
    ),
    _column("labels", sa.JSON, "object of the labels given at submit"),
    _column("cache_system", sa.String(2), "5m or 1h where cache_control was added to its system prompts; else empty"),
    _column("depth", sa.String(8), "depth of the check of its requests: auto full envelope"),
    _column("created_at", Instant, "when the plan was made"),
    _column("paused", sa.Text, "why no batch may be sent (key, billing, credit); empty when one may"),
    _column(
        "hold_until", Instant, "no create before this time, for all batches (rate limit, queue full)", nullable=True
    ),
    _column("hold_at", Instant, "when hold_until was set, by the same clock", nullable=True),
    _column("hold_reason", sa.Text, "the API's reason for it"),
    _column("canceled_at", Instant, "when a person canceled it; nothing more of it is sent since then", nullable=True),
    _column(
        "may_be_copied",
        sa.Boolean,
        "whether a copy of the workspace may have continued it: then the API's list is read before a round",
    ),
    _column("window", sa.Integer, "requests under way when the API's queue last refused more", nullable=True),
    _column("window_at", Instant, "when window was learned or last tried", nullable=True),
    _column("max_cost", sa.Text, "limit for all rounds together in US dollars, as a person set it last", nullable=True),
    _column("merged", sa.JSON, "counts of the last merge over all rounds", nullable=True),
    _column("canary", sa.Boolean, "whether one request of each shape is sent first"),
    _column(
        "prime_min_hit",
        sa.Integer,
        "with --prime, the percentage of the shared prompt that is to be read from a cache; null: not primed",
        nullable=True,
    ),
    _column("withheld", sa.JSON, "shapes that are not sent; null until its first batch is judged", nullable=True),
)

round_table = sa.Table(
    "round",
    metadata,
    _column("job_id", sa.ForeignKey("job.id"), "the job it belongs to", primary_key=True),
    _column("number", sa.Integer, "1 is the input; every retry adds one", primary_key=True),
    _column(
        "request_file",
        sa.Text,
        "the file that the batches are ranges of, absolute or under the workspace; empty: attached, without its requests",
    ),
    _column("size", sa.BigInteger, "its bytes"),
    _column("mtime_ns", sa.BigInteger, "its mtime when it was planned"),
    _column("count", sa.BigInteger, "its requests"),
    _column("created_at", Instant, "when it was planned"),
    _column("shape", sa.String(64), "digest of what its requests have in common; empty where it was not taken"),
    _column("forecast", sa.JSON, "estimated cost of sending it, in US dollars as text", nullable=True),
    _column("changes", sa.JSON, "changes that --set made to the params of its requests; null for none", nullable=True),
    _column("purpose", sa.String(8), "empty: the input or a retry; else first, measure or rest"),
)

batch_table = sa.Table(
    "batch",
    metadata,
    _column("id", sa.Integer, "number given by the ledger", primary_key=True),
    _column("job_id", sa.ForeignKey("job.id"), "the job it belongs to"),
    _column("round", sa.Integer, "number of the round it belongs to"),
    _column("first", sa.BigInteger, "position in the round of its first request, from 0"),
    _column("count", sa.Integer, "its requests"),
    _column("start", sa.BigInteger, "first byte in the request file"),
    _column("end", sa.BigInteger, "byte after the last, the last newline left out"),
    _column("sha256", sa.String(64), "hash of these bytes, checked again while they are sent; empty without requests"),
    _column("state", sa.String(12), "planned submitting in_progress canceling ended fetched refused in_no_batch"),
    _column("message_batch_id", sa.String(128), "the API's id of it", nullable=True, unique=True),
    _column("provisional", sa.Boolean, "found in the API's list; its results do not confirm yet that it is ours"),
    _column("identified", sa.Boolean, "found in the API's list, and some of its ids were read and are ours"),
    _column("owner", sa.String(128), "the process that is taking a step on it right now", nullable=True),
    _column("lease_until", Instant, "end of the claim, unless the owner renews it", nullable=True),
    _column("tries", sa.Integer, "failed tries of a step in its present state"),
    _column("list_reads", sa.Integer, "reads of the API's list for it since it became unconfirmed"),
    _column("intent_at", Instant, "when the last create was about to begin, by our clock", nullable=True),
    _column("attempt", sa.Integer, "creates of it that were begun: with the owner, the fence of every record"),
    _column(
        "created_after", Instant, "newest created_at that the API had shown before that, by its clock", nullable=True
    ),
    _column(
        "unconfirmed",
        sa.String(12),
        "why the outcome of its create is not known: unknown accepted refused copied; else empty",
    ),
    _column("if_absent", sa.String(8), "what follows once the create proves to have made nothing: plan split refuse"),
    _column("unknown_creates", sa.Integer, "creates of unknown outcome that were presumed to have made nothing"),
    _column("unproven_refusals", sa.Integer, "refusals not from the API that were presumed to be true"),
    _column("api", sa.Text, "base URL, account and salted fingerprint of the key of the last create"),
    _column(
        "headers", sa.JSON, "api_version and betas of the last create; null: it was not sent from here", nullable=True
    ),
    _column("not_before", Instant, "no step on it before this time", nullable=True),
    _column("put_off_at", Instant, "when not_before was set, by the same clock", nullable=True),
    _column("missing_since", Instant, "since when the API answers 404 for it", nullable=True),
    _column("deleted_at", Instant, "when its results were removed at the API, by a person or by itself", nullable=True),
    _column("created_at", Instant, "the API's created_at", nullable=True),
    _column("expires_at", Instant, "the API's expires_at", nullable=True),
    _column("ended_at", Instant, "the API's ended_at", nullable=True),
    _column("polled_at", Instant, "when the API was last asked about it", nullable=True),
    _column("processing", sa.Integer, "the API's counter; all requests until the batch has ended"),
    _column("succeeded", sa.Integer, "the API's counter; 0 until the batch has ended"),
    _column("errored", sa.Integer, "the API's counter; 0 until the batch has ended"),
    _column("canceled", sa.Integer, "the API's counter; 0 until the batch has ended"),
    _column("expired", sa.Integer, "the API's counter; 0 until the batch has ended"),
    _column("counts_unread", sa.Boolean, "the API's counters could not be read when it last described the batch"),
    _column("evidence", sa.Text, "evidence that a batch found in the API's list is ours; else empty"),
    _column("held", sa.Text, "reason why a person must confirm that it is ours; else empty"),
    _column("unknown", sa.Integer, "results of a type newer than this program, counted at download"),
    _column("truncated", sa.Integer, "successes cut by max_tokens or the context window, counted at download"),
    _column("refusals", sa.Integer, "successes that the model refused, counted at download"),
    _column("paused_turns", sa.Integer, "successes with stop_reason pause_turn, counted at download"),
    _column("results_bytes", sa.BigInteger, "bytes of the verified download", nullable=True),
    _column("results_sha256", sa.String(64), "hash of the verified download", nullable=True),
    _column(
        "usage_unread", sa.Integer, "successes without a usage that can be read; null: none was read", nullable=True
    ),
    _column("note", sa.Text, "the last remark to show about it"),
    sa.UniqueConstraint("job_id", "round", "first"),
    sa.Index("ix_batch_state", "job_id", "state"),
)

failure_table = sa.Table(
    "failure",
    metadata,
    _column("batch_id", sa.ForeignKey("batch.id"), "the batch it belongs to", primary_key=True),
    _column("outcome", sa.String(12), "errored canceled expired unknown", primary_key=True),
    _column("error_type", sa.String(80), "the nested type: result.error.error.type", primary_key=True),
    _column("failure_class", sa.String(8), "retry fix account policy", primary_key=True),
    _column("count", sa.Integer, "number of requests"),
    _column("sample_ids", sa.JSON, "list of a few custom_ids"),
    _column("sample_message", sa.Text, "the API's message for the first of them"),
)

usage_table = sa.Table(
    "usage",
    metadata,
    _column("batch_id", sa.ForeignKey("batch.id"), "the batch whose successes these are", primary_key=True),
    _column("model", sa.String(128), "the model that answered, as the result names it", primary_key=True),
    _column("prompt_over", sa.Integer, "their prompts have more tokens than this: a step of prices", primary_key=True),
    _column(
        "inference_geo", sa.String(16), "where they ran, if that has a price of its own; else empty", primary_key=True
    ),
    _column("requests", sa.Integer, "number of requests"),
    _column("input", sa.BigInteger, "tokens of prompts neither written to a cache nor read from one"),
    _column("write_5m", sa.BigInteger, "tokens written to a cache for 5 minutes"),
    _column("write_1h", sa.BigInteger, "tokens written to a cache for 1 hour"),
    _column("read", sa.BigInteger, "tokens read from a cache"),
    _column("output", sa.BigInteger, "tokens of answers"),
    _column("web_searches", sa.BigInteger, "searches that the models made"),
    _column(
        "prices",
        sa.JSON,
        "prices of the model at that time, in US dollars as text; null where they were not known",
        nullable=True,
    ),
)

move_table = sa.Table(
    "move",
    metadata,
    _column("id", sa.Integer, "number given by the ledger", primary_key=True),
    _column("batch_id", sa.ForeignKey("batch.id"), "the batch that moved"),
    _column("at", Instant, "when we learned of it"),
    _column("before", sa.String(12), "state before"),
    _column("after", sa.String(12), "state after"),
    _column("note", sa.Text, "reason in a few words"),
)

foreign_batch_table = sa.Table(
    "foreign_batch",
    metadata,
    _column("job_id", sa.ForeignKey("job.id"), "the job that it does not belong to", primary_key=True),
    _column("message_batch_id", sa.String(128), "a batch of the API that holds requests of others", primary_key=True),
    _column("at", Instant, "when that was learned"),
)

duplicate_batch_table = sa.Table(
    "duplicate_batch",
    metadata,
    _column("job_id", sa.ForeignKey("job.id"), "the job whose requests it holds a second time", primary_key=True),
    _column(
        "message_batch_id",
        sa.String(128),
        "a batch of the API that another batch of the job duplicates",
        primary_key=True,
    ),
    _column("at", Instant, "when that was learned"),
    _column("is_over", sa.Boolean, "it has ended, and what was processed of it is paid for"),
)

presumed_table = sa.Table(
    "presumed_not_created",
    metadata,
    _column("id", sa.Integer, "number given by the ledger", primary_key=True),
    _column("batch_id", sa.ForeignKey("batch.id"), "the batch whose create was presumed to have made nothing"),
    _column("first", sa.BigInteger, "position of the first request of its cut at that time"),
    _column("count", sa.Integer, "requests of that cut"),
    _column("start", sa.BigInteger, "first byte of that cut in the request file"),
    _column("end", sa.BigInteger, "byte after its last"),
    _column("sha256", sa.String(64), "hash of these bytes"),
    _column("created_after", Instant, "newest created_at that the API had shown before that create", nullable=True),
    _column("at", Instant, "when that was presumed"),
)

notify_target_table = sa.Table(
    "notify_target",
    metadata,
    _column(
        "id",
        sa.String(32),
        "random name; a file of the user's state folder has the command or the URL",
        primary_key=True,
    ),
    _column("job_id", sa.ForeignKey("job.id"), "the job that it is notified of"),
    _column("kind", sa.String(8), "command url"),
    _column("label", sa.Text, "what may be shown of it: scheme and host of a URL"),
)

notification_table = sa.Table(
    "notification",
    metadata,
    _column("id", sa.Integer, "number given by the ledger", primary_key=True),
    _column("target_id", sa.ForeignKey("notify_target.id"), "the target that it is for"),
    _column("occasion", sa.Text, "what happened, and how far the job had come: a target is notified once for each"),
    _column("event", sa.String(12), "ended needs_person"),
    _column("message_id", sa.String(40), "the webhook-id header of every attempt"),
    _column("body", sa.Text, "the JSON object that is delivered: job, stage, counts, cost; no request and no answer"),
    _column("created_at", Instant, "when it was recorded"),
    _column("delivery", sa.String(9), "pending delivered failed"),
    _column("attempts", sa.Integer, "attempts that were begun: the fence of every record of one"),
    _column("attempted_at", Instant, "when the last attempt was recorded", nullable=True),
    _column("not_before", Instant, "no attempt before this time, by the same clock", nullable=True),
    _column("note", sa.Text, "why the last attempt failed; empty otherwise"),
    sa.UniqueConstraint("target_id", "occasion"),
)

place_table = sa.Table(
    "place",
    metadata,
    _column(
        "workspace_id",
        sa.String(32),
        "random id, made with the ledger and shared by all copies of it",
        primary_key=True,
    ),
    _column("salt", sa.String(32), "random, for fingerprints of keys"),
    _column("machine", sa.String(16), "machine on which it was last written"),
    _column("path", sa.Text, "path under which it was last written"),
    _column("device", sa.BigInteger, "device on which it was last written"),
    _column("inode", sa.BigInteger, "inode as which it was last written"),
    _column(
        "generation",
        sa.BigInteger,
        "number that rises with every create; the user's state folder keeps the last one it saw",
    ),
)
