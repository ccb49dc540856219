"""What would make an input cheaper: every amount here was computed by hand."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from batchctl.domain.caching import SkipReason
from batchctl.domain.groups import RequestGroup
from batchctl.domain.prices import MILLION, Prices
from batchctl.money.advice import Advice, AdvisedGroup, Code, SampleFacts, advised, sample_facts, suggested

# A token of input costs a dollar, so that sums can be read.
DOLLAR = Prices(
    input=MILLION,
    write_5m=MILLION * Decimal("1.25"),
    write_1h=MILLION * 2,
    read=MILLION / 10,
    output=MILLION * 5,
)
AS_READ = replace(DOLLAR, write_1h=MILLION)
# Of one that caches 512 tokens, of one that caches 4,096, and of one of which that is not documented.
MODEL, LATE, NEWEST = "claude-haiku-5-5", "claude-haiku-4-5", "claude-opus-5-5"


def request_group(**more: Any) -> RequestGroup:
    given: dict[str, Any] = {
        "digest": "d",
        "model": MODEL,
        "first_line": 1,
        "requests": 1000,
        "bytes": 4_000_000,
        "longest": 4000,
        "max_tokens": 100_000,
        "most_max_tokens": 100,
        "prefix_bytes": 2400,
    }
    return RequestGroup(**{**given, **more})


def group(prefix: int | tuple[int, int, int] = 600, look: SampleFacts | None = None, **more: Any) -> AdvisedGroup:
    """1,000 requests of 1,000 tokens each."""
    of: dict[str, Any] = {
        name: more.pop(name) for name in ("prices", "answers", "answer_tokens", "tokens") if name in more
    }
    low, expected, high = prefix if isinstance(prefix, tuple) else (prefix, prefix, prefix)
    given: dict[str, Any] = {"group": request_group(**more), "tokens": 1_000_000, "prices": DOLLAR, **of}
    return AdvisedGroup(**given, prefix=(low, expected, high), facts=look or SampleFacts(lines=40))


def codes(*groups: AdvisedGroup) -> list[Code]:
    return [one.code for one in advised(groups)]


def the_one(*groups: AdvisedGroup) -> Advice:
    (one,) = advised(groups)
    return one


# ---------------------------------------------------------------- a prompt that is shared, and in no cache


def test_a_shared_prompt_has_what_a_cache_would_save_and_lose() -> None:
    said = the_one(group())
    # 600,000 tokens: all written for two dollars; or 1 of 1,000, and the others read for a tenth of one.
    assert said.saves == (Decimal(600_000) - 1_200_000, Decimal(600_000) - 1_200 - 59_940)
    assert (said.code, said.model, said.requests) == (Code.PROMPT_NOT_CACHED, MODEL, 1000)
    assert said.text == (
        "1,000 requests begin with the same 600 tokens, paid in full each time: --prime saves $538,860.00 if all"
        " others read what a first batch caches, and pays off from 53% reads on; without --prime, a batch may read nothing,"
        " which costs $600,000.00 more than no cache"
    )


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"prefix": (400, 600, 800)}, "about 600 tokens"),
        ({"prefix": (400, 600, 800)}, "these may be too short: the minimum is 512 tokens"),
        ({"model": NEWEST}, "the minimum of claude-opus-5-5 for caching is not documented"),
        (
            {"look": SampleFacts(lines=40, left=SkipReason.NO_SYSTEM)},
            "cache_control for 1h on the last tool, by hand, with --prime, saves",
        ),
        (
            {"look": SampleFacts(lines=40, left=SkipReason.ODD)},
            "cache_control for 1h at the end of it, by hand, with --prime, saves",
        ),
        (
            {"look": SampleFacts(lines=40, left=SkipReason.FULL, behind=("1h",) * 4)},
            "one of the 4 breakpoints, all used in the messages, moved to the end of it, with --prime, saves",
        ),
        (
            {"look": SampleFacts(lines=40, behind=("1h", "1h")), "ttl": "1h", "marks_messages": True},
            "2 of 4 breakpoints are used already",
        ),
        (
            {"prices": None},
            "--prime has an unknown effect on the cost: claude-haiku-5-5 has no price",
        ),
        (
            {"prices": replace(DOLLAR, write_1h=MILLION, read=MILLION / 2)},
            "saves $299,700.00 if all others read what a first batch caches, and pays off from 0% reads on",
        ),
        ({"prices": replace(DOLLAR, read=MILLION / 40)}, "pays off from 51% reads on"),
        # Of ten requests one has to write.
        ({"requests": 10, "tokens": 10_000}, "saves $4,260.00 if all others"),
        # Nobody looked at its lines.
        ({"look": None}, "--prime saves"),
    ],
)
def test_a_shared_prompt_in_other_words(change: dict[str, Any], part: str) -> None:
    given = dict(change)
    of = group(given.pop("prefix", 600), given.pop("look", None), **given)
    assert part in the_one(replace(of, facts=None) if change.get("look", 1) is None else of).text


@pytest.mark.parametrize(
    "quiet",
    [
        group(prefix_bytes=0, prefix=0),
        group(requests=1),
        group(digest=""),
        # Two requests share one prompt: at most half of it is read, and 53 % were needed.
        group(requests=2),
        # At no share of reads.
        group(prices=replace(DOLLAR, read=MILLION)),
        # A first batch caches it already.
        group(is_primed=True),
        group(look=SampleFacts(lines=40, before=("1h",), left=SkipReason.HAS_ONE), ttl="1h", is_primed=True),
        # Less than a hundredth of what the input costs.
        group(tokens=100_000_000),
        group(255),
    ],
)
def test_where_no_cache_can_pay_nothing_is_said(quiet: AdvisedGroup) -> None:
    assert advised([quiet]) == ()


def test_prompts_of_one_model_are_said_in_one_line_and_the_most_money_comes_first() -> None:
    several = [group(prefix, digest=str(prefix)) for prefix in (600, 700)]
    other = group(5000, tokens=6_000_000, model="claude-opus-4-8", digest="o")
    first, second = advised([*several, other])
    assert (first.model, second.model, second.requests) == ("claude-opus-4-8", MODEL, 2000)
    assert "2,000 requests begin with the same 600 to 700 tokens" in second.text


def test_more_than_a_few_lines_are_not_said() -> None:
    assert len(advised([group(model=f"claude-{n}", digest=str(n), look=SampleFacts(lines=40)) for n in range(9)])) == 4


# ---------------------------------------------------------------- cache_control that is there


def marked(ttl: str, prefix: int | tuple[int, int, int] = 600, **more: Any) -> AdvisedGroup:
    look = SampleFacts(lines=40, before=(ttl,), left=SkipReason.HAS_ONE)
    return group(prefix, look, **{"ttl": ttl, "breakpoints": 1, **more})


def test_what_is_cached_for_5_minutes_may_be_gone_before_it_is_read() -> None:
    said = the_one(marked("5m"))
    # Written and never read it costs 150,000 dollars more than no cache; for 1 hour see above.
    assert said.saves == (Decimal(-600_000 + 150_000), Decimal(538_860 + 150_000))
    assert said.text == (
        "1,000 requests are cached for 5 minutes, but most batches take longer: entries that expire before a read cost more"
        ' than no cache: $150,000.00 if none is read; use "ttl": "1h" with --prime; that pays off from 53% reads on,'
        " and costs $600,000.00 more than no cache if none is read"
    )
    assert "$" not in the_one(marked("5m", prices=None)).text


def test_what_is_cached_for_an_hour_may_be_read_by_nobody_in_a_cold_batch() -> None:
    said = the_one(marked("1h"))
    assert (said.code, said.saves) == (Code.CACHE_COLD, (Decimal(-600_000), Decimal(538_860)))
    assert said.text.startswith("1,000 requests cache the same 600 tokens for 1 hour: --prime saves $538,860.00 if all")


@pytest.mark.parametrize(("total", "is_said"), [(None, True), (5_388_600, True), (5_388_601, False)])
@pytest.mark.parametrize("of", [group(), marked("1h")])
def test_a_first_batch_is_worth_the_wait_above_a_tenth_of_the_job(
    of: AdvisedGroup, total: int | None, *, is_said: bool
) -> None:
    assert bool(advised([of], None if total is None else Decimal(total))) is is_said


@pytest.mark.parametrize(
    ("requests", "offers", "is_said"), [(999, True, False), (1000, True, True), (1000, False, False)]
)
def test_of_many_requests_a_few_should_go_first(requests: int, *, offers: bool, is_said: bool) -> None:
    said = advised([group(prefix_bytes=0, prefix=0, requests=requests)], offers_canary=offers)
    assert [one.code for one in said] == [Code.NOT_TRIED] * is_said


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (
            marked("1h", 400),
            "1,000 requests have cache_control on 400 tokens; claude-haiku-5-5 caches 512 tokens or more:",
        ),
        (marked("5m", 400), "too short to be cached"),
        (
            marked("1h", (300, 400, 600)),
            "about 400 tokens; claude-haiku-5-5 caches 512 tokens or more: probably too short",
        ),
        (marked("1h", 400, model=NEWEST), "400 tokens; no model caches less than 512: too short to be cached"),
        (
            group(600, model=LATE),
            "1,000 requests begin with the same 600 tokens; claude-haiku-4-5 caches 4,096 tokens or more: too short",
        ),
        (group((2000, 3000, 5000), model=LATE), "probably too short to be cached"),
    ],
)
def test_what_is_too_short_is_held_by_no_cache(of: AdvisedGroup, said: str) -> None:
    one = the_one(of)
    assert (one.code, one.saves) == (Code.PROMPT_TOO_SHORT, None)
    assert said in one.text


def test_a_mark_behind_what_is_too_short_may_cache_more() -> None:
    look = SampleFacts(lines=40, before=("1h",), behind=("1h",), left=SkipReason.HAS_ONE)
    assert advised([group(400, look, ttl="1h", breakpoints=2, marks_messages=True)]) == ()


# ---------------------------------------------------------------- text that every message begins with


def opening(lines: int = 40, size: int = 2000, *, is_blocks: bool = False, **more: Any) -> AdvisedGroup:
    """A byte is a quarter of a token here."""
    look = SampleFacts(lines=lines, opening_bytes=size, is_blocks=is_blocks)
    return group(0, look, **{"prefix_bytes": 0, **more})


def test_a_text_that_all_messages_begin_with_is_paid_each_time() -> None:
    said = the_one(opening(size=2400))
    assert said.code is Code.TEXT_REPEATED
    assert said.saves == (Decimal(-600_000), Decimal(538_860))
    assert said.text == (
        "the first message begins with the same text, about 600 tokens, in all 40 sampled lines of 1,000 requests, paid in"
        " full each time, $600,000.00 in all: moved into system, with --prime, it saves $538,860.00 if all others read it,"
        " costs $600,000.00 more if none does, and pays off from 53% reads on"
    )
    assert "cache_control for 1h on the last block of it saves" in the_one(opening(size=2400, is_blocks=True)).text
    assert "it could be read from a cache" in the_one(opening(prices=None, size=2400)).text
    assert "is not documented" in the_one(opening(size=2400, model=NEWEST)).text


@pytest.mark.parametrize(
    ("of", "is_said"),
    [
        (opening(size=2048), True),
        (opening(size=2044), False),
        (opening(size=2048, model=LATE), False),
        (opening(lines=2, size=2400), False),
        (opening(lines=3, size=2400), True),
        (opening(lines=2, size=2400, requests=2, bytes=8000, tokens=2000, prices=AS_READ), True),
        (opening(size=2400, digest=""), False),
        (opening(size=2400, tokens=1), False),
        (opening(size=2400, prices=replace(DOLLAR, read=MILLION)), False),
    ],
)
def test_only_what_a_cache_would_hold_is_to_be_moved(of: AdvisedGroup, *, is_said: bool) -> None:
    assert codes(of) == [Code.TEXT_REPEATED] * is_said


def test_a_text_too_short_alone_may_be_long_enough_behind_a_system_prompt() -> None:
    look = SampleFacts(lines=40, opening_bytes=1200)
    assert Code.TEXT_REPEATED in codes(group(300, look))
    assert Code.TEXT_REPEATED not in codes(group(200, look))


# ---------------------------------------------------------------- max_tokens


def test_max_tokens_far_above_use_changes_no_bill_and_says_so() -> None:
    said = the_one(group(0, prefix_bytes=0, max_tokens=8_000_000, answers=300, answer_tokens=63_000))
    assert (said.code, said.saves) == (Code.MAX_TOKENS_HIGH, None)
    # 1,000 requests of 8,000 less 840, at five dollars.
    assert said.text == (
        "max_tokens is 8,000, but 300 earlier answers took 210 tokens on average. It bounds the estimate (high, --max-cost)"
        " and the cost of an answer that does not end. 840 is at least 4 times the mean and lowers the bound by"
        " $35,800,000.00"
    )


@pytest.mark.parametrize(
    ("limit", "mean", "is_said"),
    [(8000, 799, True), (8000, 800, False), (1000, 10, False), (1001, 10, True), (8000, 0, True)],
)
def test_max_tokens_is_far_above_use_from_ten_times_on(limit: int, mean: int, *, is_said: bool) -> None:
    of = group(0, prefix_bytes=0, max_tokens=limit * 1000, answers=10, answer_tokens=10 * mean)
    assert codes(of) == [Code.MAX_TOKENS_HIGH] * is_said
    assert codes(replace(of, answers=0)) == []


@pytest.mark.parametrize(("mean", "said"), [(0, 260), (64, 260), (210, 840), (333, 1400), (1234.5, 5000)])
def test_what_is_suggested_has_two_digits(mean: float, said: int) -> None:
    assert suggested(mean) == said


# ---------------------------------------------------------------- a look at a few lines

TEXT = "one long text. "


def params(content: Any, **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], **more}


def block(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


MARK = {"cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("contents", "found"),
    [
        ([TEXT + "a", TEXT + "b"], (15, False)),
        ([TEXT, TEXT + "b"], (15, False)),
        ([TEXT, TEXT], (15, False)),
        (["äöü a", "äöü b"], (7, False)),
        (["a", "b"], (0, False)),
        (["a", ""], (0, False)),
        ([[block("one"), block("a")], [block("one"), block("b")]], (7, True)),
        ([[block("one"), block("two"), block("a")], [block("one"), block("two")]], (14, True)),
        ([[block("one", **MARK), block("a")], [block("one", **MARK), block("b")]], (0, True)),
        # The same text, in blocks that go on in different ways.
        ([[block(TEXT + "a")], [block(TEXT + "b")]], (15, False)),
        ([[block(TEXT + "a")], TEXT + "b"], (15, False)),
        # A picture is as long as it is.
        ([[{"type": "image", "source": {"data": "A" * 90}}, block(n)] for n in "ab"], (95, True)),
        # What no check lets through, or a check did not look at.
        ([[], []], (0, False)),
        ([None, 7], (0, False)),
        ([["x"], ["x"]], (1, True)),
    ],
)
def test_messages_are_held_against_each_other(contents: list[Any], found: tuple[int, bool]) -> None:
    look = sample_facts([params(one) for one in contents])
    assert look is not None
    assert (look.opening_bytes, look.is_blocks) == found
    assert look.lines == len(contents)


def test_a_look_tells_where_breakpoints_are() -> None:
    system = [block("s", cache_control={"type": "ephemeral", "ttl": "1h"})]
    look = sample_facts([params([block("x", **MARK)], system=system, tools=[{"name": "t", **MARK}])])
    assert look is not None
    assert (look.before, look.behind, look.left) == (("5m", "1h"), ("5m",), SkipReason.HAS_ONE)
    bare = sample_facts([params("x", system="s"), params("y", system="s")])
    assert bare is not None
    assert (bare.before, bare.behind, bare.left) == ((), (), None)
    assert sample_facts([]) is None


@pytest.mark.parametrize("odd", [{}, {"messages": 3}, {"messages": [None]}, {"messages": [{"role": "assistant"}]}])
def test_a_look_at_what_is_no_request_tells_nothing(odd: dict[str, Any]) -> None:
    look = sample_facts([odd, odd])
    assert look is not None
    assert (look.opening_bytes, look.before, look.behind) == (0, (), ())
