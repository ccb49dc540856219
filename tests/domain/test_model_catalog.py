"""What the models of an account say of a request, and what the name of a model says."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from builders import HOUR, NOW

from batchctl.domain.faults import MAX_TOKENS_BETA, Severity
from batchctl.domain.model_catalog import Catalog, Model, is_form_of, model_faults, model_version, unknown_faults

ERROR, WARNING = Severity.ERROR, Severity.WARNING
LONG = (MAX_TOKENS_BETA,)


def a_model(**more):
    given = {"id": "claude-haiku-5-5", "lifecycle": "active", "max_tokens": 128_000, "is_in_batches": True}
    return Model(**{**given, **more})


# what the API says of the model, the limit asked for, the job's betas, and what follows: code, severity, words
CASES = [
    (a_model(), 128_000, (), []),
    (a_model(), 128_001, (), [("max_tokens_above_model", ERROR, "128001 is above 128000")]),
    (a_model(), 300_000, (), [("max_tokens_above_model", ERROR, "--beta output-300k-2026-03-24")]),
    (a_model(), 300_001, (), [("max_tokens_above_model", ERROR, 'the limit of "claude-haiku-5-5"')]),
    (a_model(), 300_000, LONG, []),
    (a_model(), 300_001, LONG, []),
    (a_model(max_tokens=64_000), 64_001, ("another-beta",), [("max_tokens_above_model", ERROR, "64000")]),
    (a_model(max_tokens=None), 10**9, (), []),
    (a_model(), 0, (), []),
    (a_model(lifecycle="retired"), 1, (), [("model_retired", ERROR, "is retired")]),
    (a_model(lifecycle="retired", retires_at=NOW - HOUR), 1, (), [("model_retired", ERROR, "since 2026-11-21")]),
    (a_model(lifecycle="retired", retires_at=NOW + HOUR), 1, (), [("model_retired", ERROR, "is retired and")]),
    (a_model(lifecycle="deprecated"), 1, (), []),
    (a_model(lifecycle="a word to come"), 1, (), []),
    (a_model(retires_at=NOW + 24 * HOUR), 1, (), []),
    (a_model(retires_at=NOW + 23 * HOUR), 1, (), [("model_retires", WARNING, "retires on 2026-11-22")]),
    # A date that has passed is a retirement that is overdue.
    (a_model(lifecycle="deprecated", retires_at=NOW - HOUR), 1, (), [("model_retires", WARNING, "on 2026-11-21")]),
    (a_model(is_in_batches=False), 1, (), [("model_not_in_batches", ERROR, "is not available in batches")]),
    (a_model(is_in_batches=None), 1, (), []),
    (
        a_model(lifecycle="retired", is_in_batches=False),
        200_000,
        (),
        [
            ("model_retired", ERROR, "retired"),
            ("model_not_in_batches", ERROR, "batches"),
            ("max_tokens_above_model", ERROR, "200000"),
        ],
    ),
]


@pytest.mark.parametrize(("model", "max_tokens", "betas", "expected"), CASES)
def test_a_model_says_what_cannot_come_of_a_request(
    model: Model, max_tokens: int, betas: Iterable[str], expected: list[tuple[str, Severity, str]]
) -> None:
    found = model_faults(model, max_tokens, betas=betas, now=NOW)
    assert [(fault.code, fault.severity) for fault in found] == [(code, severity) for code, severity, _ in expected]
    for fault, (code, _, words) in zip(found, expected, strict=True):
        assert words in fault.message
        assert fault.path == ("params.max_tokens" if "max_tokens" in code else "params.model")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("claude-haiku-55", '"claude-haiku-55" is not available to this account (did you mean "claude-haiku-5-5"?)'),
        ("gpt-4o", '"gpt-4o" is not available to this account'),
        ("x\x1b[31m", r'"x\u001b[31m" is not available to this account'),
    ],
)
def test_a_name_that_is_unknown_is_told_with_the_nearest(name: str, said: str) -> None:
    (fault,) = unknown_faults(name, ["claude-haiku-5-5", "claude-opus-5-5"])
    assert (fault.code, fault.severity, str(fault)) == ("model_unknown", ERROR, f"params.model: {said}")


@pytest.mark.parametrize(
    ("api", "after", "fresh"),
    [
        ("https://a org_1 ws_1", timedelta(), True),
        ("https://a", timedelta(hours=23, minutes=59), True),
        ("https://a", timedelta(hours=24), False),
        ("https://a", timedelta(seconds=-1), False),
        ("https://a org_2 ws_1", timedelta(), False),
        ("https://a org_1 ws_12", timedelta(), False),
        ("https://a org_1 ws", timedelta(), False),
        ("https://ab", timedelta(), False),
        ("", timedelta(), False),
    ],
)
def test_a_list_is_used_for_a_day_and_where_it_came_from(api: str, after: timedelta, *, fresh: bool) -> None:
    catalog = Catalog(api="https://a org_1 ws_1", asked_at=NOW, models={})
    assert catalog.is_fresh(api, NOW + after) is fresh


def test_a_day_long_past_is_no_freshness() -> None:
    catalog = Catalog(api="a", asked_at=datetime(1, 1, 1, tzinfo=UTC), models={})
    assert not catalog.is_fresh("a", NOW)


# ---------------------------------------------------------------- names of models


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("claude-opus-5-5", "claude-opus-5-5"),
        ("claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("claude-opus-4-5-latest", "claude-opus-4-5"),
        ("claude-opus-4-0", "claude-opus-4-0"),
        ("claude-opus-4", "claude-opus-4-0"),
        ("claude-opus-4-20250514", "claude-opus-4-0"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku-latest"),
        ("claude-3-5-haiku-20241022", "claude-3-5-haiku-latest"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5-20251001"),
    ],
)
def test_a_listed_model_is_itself_its_dated_form_and_its_latest(model: str, listed: str) -> None:
    assert is_form_of(model, listed)


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("claude-opus-5-5", "claude-opus-5"),
        ("claude-opus-4-50", "claude-opus-4-5"),
        ("claude-opus-4-5-0", "claude-opus-4-5"),
        ("claude-opus-4-1", "claude-opus-4-0"),
        ("claude-opus-4-5-2025110", "claude-opus-4-5"),
        ("claude-opus-4-5-20251101-latest", "claude-opus-4-5"),
        ("claude-opus-4-5-20251101\n", "claude-opus-4-5"),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001"),
        ("claude-haiku-4-5-turbo", "claude-haiku-4-5"),
        ("", "claude-opus-5-5"),
    ],
)
def test_any_other_name_may_be_another_model(model: str, listed: str) -> None:
    assert not is_form_of(model, listed)


@pytest.mark.parametrize(
    ("model", "numbers"),
    [
        ("claude-opus-5", (5,)),
        ("claude-opus-4-5-20251101", (4, 5)),
        ("claude-3-5-haiku-latest", (3, 5)),
        ("house-model", ()),
    ],
)
def test_a_version_is_what_the_id_says_without_its_date(model: str, numbers: tuple[int, ...]) -> None:
    assert model_version(model) == numbers
