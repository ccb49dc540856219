"""What is summed up while lines come is what a plain parse of every line says."""

import json
from collections import defaultdict
from typing import Any

import pytest
from builders import result_line
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.model import OutcomeCode
from batchctl.domain.outcomes import read_result
from batchctl.domain.prices import GEO_FACTOR, Usage, UsageTotals, tier_of
from batchctl.results import index
from batchctl.results.index import IndexBuilder
from batchctl.results.result_lines import read_line
from batchctl.results.usage import MAX_MODEL_CHARACTERS, MAX_SUMS, MAX_TOKENS, Message, UsageMeter

IDS = [b"id-%d" % n for n in range(12)]
POSITIONS = {custom_id: n for n, custom_id in enumerate(IDS)}


def a_usage(given_tokens: int = 8, output: int = 3, **more: Any) -> dict[str, Any]:
    return {
        "input_tokens": given_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "batch",
        **more,
    }


def a_success(
    used: Any = None,
    content: Any = None,
    model: Any = "claude-haiku-4-5",
    stop: str = "end_turn",
    *,
    model_first: bool = True,
) -> dict[str, Any]:
    named = {"id": "msg_1", "type": "message", "role": "assistant"}
    head = {"model": model, **named} if model_first else {**named, "model": model}
    said = [{"type": "text", "text": "Hi"}] if content is None else content
    return {
        "type": "succeeded",
        "message": {
            **head,
            "content": said,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": a_usage() if used is None else used,
        },
    }


def whole(value: Any, absent: int | None = None) -> int:
    if value is None and absent is not None:
        return absent
    if type(value) is not int or not 0 <= value <= MAX_TOKENS:
        raise ValueError(value)
    return value


def an_object(value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise ValueError(value)
    return value or {}


def used_by(message: Any) -> tuple[str, str, Usage] | None:
    """Return the model, the place and the usage of a parsed message, read without any type; None where it has none."""
    if not isinstance(message, dict) or not isinstance(message.get("usage"), dict):
        return None
    model, said, stop = message.get("model"), message["usage"], message.get("stop_reason")
    if not isinstance(model, str) or not 0 < len(model) <= MAX_MODEL_CHARACTERS or not model.isprintable():
        return None
    if stop is not None and not isinstance(stop, str):
        return None
    try:
        written, by_time = said.get("cache_creation_input_tokens"), an_object(said.get("cache_creation"))
        times = {name: whole(tokens, 0) for name, tokens in by_time.items()}
        write_5m, write_1h = times.pop("ephemeral_5m_input_tokens", 0), times.pop(LONG, 0)
        whole(written, 0)
        if not by_time:
            write_5m = written or 0
        elif any(times.values()) or (written is not None and written != write_5m + write_1h):
            return None
        iterations = said.get("iterations") or []
        if not isinstance(iterations, list) or any(an_object(each).get("type") != "message" for each in iterations):
            return None
        usage = Usage(
            input_tokens=whole(said.get("input_tokens")),
            write_5m_tokens=write_5m,
            write_1h_tokens=write_1h,
            read_tokens=whole(said.get("cache_read_input_tokens"), 0),
            output_tokens=whole(said.get("output_tokens")),
            web_searches=whole(an_object(said.get("server_tool_use")).get("web_search_requests"), 0),
        )
    except ValueError:
        return None
    geo = said.get("inference_geo")
    return model, geo if isinstance(geo, str) and geo in GEO_FACTOR else "", usage


def summed(results: list[Any]) -> tuple[set[UsageTotals], int]:
    """Return the totals of results and the number of those that say nothing of what they used, result by result."""
    sums: dict[tuple[str, int, str], list[Usage]] = defaultdict(list)
    unread = 0
    for result in results:
        used = used_by(result.get("message"))
        if used is None:
            unread += 1
        else:
            model, geo, one = used
            sums[model, tier_of(one.prompt_tokens), geo].append(one)
    usage_totals = {
        UsageTotals(model=model, prompt_over=over, inference_geo=geo, requests=len(all_), usage=sum(all_, Usage()))
        for (model, over, geo), all_ in sums.items()
    }
    return usage_totals, unread


# ---------------------------------------------------------------- what there is to be fooled by

DECOY = {"model": "claude-decoy", "usage": a_usage(10**6), "stop_reason": "end_turn", "stop_sequence": None}
# A success that closes as the API's do, but for where its usage is.
FULL_DECOY = {"content": [{"a": 1}], "stop_reason": "end_turn", "stop_sequence": None, "usage": a_usage(7777)}

CONTENTS: list[Any] = [
    [{"type": "text", "text": "Hi"}],
    [{"type": "text", "text": '}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":5}}}}'}],
    [{"type": "text", "text": '{"a":{"b":1},"c":[{}]},'}],
    [{"type": "text", "text": '日本 \u2028 \\ " } ]'}],
    [
        {
            "type": "tool_use",
            "id": "t",
            "name": "n",
            "input": {"a": DECOY, "b": [{"usage": a_usage(9)}], "c": FULL_DECOY},
        }
    ],
    [{"type": "tool_use", "id": "t", "name": "n", "input": {"message": FULL_DECOY}}],
    [{"type": "tool_use", "id": "t", "name": "n", "input": FULL_DECOY}],
    [{"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "text", "text": ""}],
    [],
]
COUNTS: st.SearchStrategy[Any] = st.one_of(
    st.integers(0, 300),
    st.sampled_from([0, 0, 0, 99_999, 100_000, 100_001, 200_001, 10**12 - 1, 10**12, 1 << 40, (1 << 40) + 1]),
    st.sampled_from([None, -1, 1.5, 5.0, True, "7", 10**30, [], {}]),
)
FIELDS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


@st.composite
def usages(draw: st.DrawFn) -> Any:
    """Mostly as the API writes them; now and then with something wrong, missing or new."""
    written = draw(st.sampled_from([0, 0, 0, 40, 2000]))
    shape = a_usage(
        draw(st.integers(0, 120_000)),
        draw(st.integers(0, 999)),
        cache_creation_input_tokens=written,
        cache_read_input_tokens=draw(st.sampled_from([0, 0, 5000])),
        cache_creation={"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": written},
    )
    match draw(st.integers(0, 9)):
        case 0:
            shape[draw(st.sampled_from(FIELDS))] = draw(COUNTS)
        case 1:
            shape.pop(draw(st.sampled_from([*FIELDS, "cache_creation", "service_tier"])))
        case 2:
            shape["cache_creation"] = draw(st.sampled_from([None, {}, [], {"ephemeral_1h_input_tokens": written}, 5]))
        case 3:
            shape["server_tool_use"] = {"web_search_requests": draw(COUNTS), "web_fetch_requests": 1}
        case 4:
            shape["inference_geo"] = draw(st.sampled_from(["us", "global", "not_available", None, 5]))
        case 5:
            shape = dict(reversed(shape.items()))
        case 6:
            return draw(st.sampled_from([None, [], {}, 5, "usage"]))
        case 7:
            shape["new"] = {"usage": a_usage(3), "n": 12}
        case _:
            pass
    return shape


@st.composite
def results(draw: st.DrawFn) -> dict[str, Any]:
    model = draw(st.sampled_from(["claude-haiku-4-5"] * 12 + ["claude-opus-5", "", None, 'a"b', "\x00", "x" * 129]))
    stop = draw(st.sampled_from(["end_turn"] * 12 + ["tool_use", "stop_sequence", "max_tokens", "refusal"]))
    content = draw(st.sampled_from([CONTENTS[0]] * 12 + CONTENTS))
    result = a_success(draw(usages()), content, model, stop, model_first=draw(st.integers(0, 9)) > 0)
    message = result["message"]
    match draw(st.integers(0, 30)):
        case 0:
            message["more"] = {"usage": a_usage(1)}
        case 1:
            result["more"] = FULL_DECOY
        case 2:
            del message["usage"]
            result["more"] = FULL_DECOY
        case 3:
            del message["model"]
        case 4:
            result["message"] = dict(reversed(message.items()))
        case 5:
            del message["usage"]
        case _:
            pass
    return result


def written(custom_id: str, result: dict[str, Any], dress: int) -> bytes:
    shape: dict[str, Any] = {"custom_id": custom_id, "result": result}
    match dress:
        case 0:
            return json.dumps(shape).encode()
        case 1:
            return json.dumps(shape, separators=(",", ":")).encode()
        case 2:
            return json.dumps(dict(reversed(shape.items())), separators=(",", ":")).encode()
        case 3:
            return json.dumps({**shape, "more": {"message": FULL_DECOY}}, separators=(",", ":")).encode()
        case 4:
            return result_line(custom_id, result).replace(b'"more":', b' "more" : ').replace(b'},"', b'} , "')
        case 5:
            return result_line(custom_id, result).replace(b'"usage":', b'"usage": ')
        case _:
            return result_line(custom_id, result)


class Metered(IndexBuilder):
    """Lines with a meter, as they are while they are downloaded."""

    def __init__(self, positions: Any, count: int) -> None:
        super().__init__(positions, count)
        self.meter = UsageMeter()

    def _succeeded(self, messages: list[Message | None]) -> None:
        self.meter.take(messages)


def metered(data: bytes, positions: Any = POSITIONS, piece: int = 1 << 20) -> Metered:
    found = Metered(positions, len(POSITIONS))
    for at in range(0, len(data), piece):
        found.take(data[at : at + piece])
    found.end()
    return found


PLAIN = st.builds(lambda n, m: a_success(a_usage(n, m)), st.integers(0, 999), st.integers(0, 999))


@pytest.mark.generated
@given(st.data(), st.sampled_from([1, 700, 2000, 1 << 17]))
def test_what_was_used_is_read_as_by_a_plain_parse(data: st.DataObject, block_bytes: int) -> None:
    kinds = data.draw(st.sampled_from([PLAIN, results(), st.one_of(PLAIN, PLAIN, PLAIN, results())]))
    said = data.draw(st.lists(kinds, max_size=len(IDS)))
    dresses = data.draw(st.sampled_from([st.just(9), st.integers(0, 40)]))
    lines = [written(each.decode(), one, data.draw(dresses)) for each, one in zip(IDS, said, strict=False)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "BLOCK_BYTES", block_bytes)
        found = metered(b"".join(line + b"\n" for line in lines), piece=97)
    assert (set(found.meter.usage_totals), found.meter.unread) == summed(said)
    assert [OutcomeCode(code) for code in found.codes[: len(said)]] == [read_result(one).code for one in said]


TOKENS = st.sampled_from([0, 7, 300, 99_990, 100_001, 200_001])
LONG = "ephemeral_1h_input_tokens"
SPLIT = {"ephemeral_5m_input_tokens": 0, LONG: 0}


@st.composite
def shared_prefix(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Lines as one model's answers are: only their numbers differ, and what they say."""
    more: dict[str, Any] = draw(
        st.sampled_from([{}, {"inference_geo": "us"}, {"server_tool_use": {"web_search_requests": 2}}])
    )
    models = draw(st.sampled_from([["claude-haiku-4-5"], ["claude-haiku-4-5", "claude-opus-5"], ["\x7f"]]))
    is_cached, is_flat, is_torn = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    is_long = draw(st.integers(0, 5)) == 0
    made = []
    for _ in range(draw(st.integers(2, len(IDS)))):
        used = a_usage(draw(TOKENS if is_long else st.integers(0, 300)), draw(st.integers(0, 300)), **more)
        if is_cached:
            one, other, read = (draw(st.integers(0, 40)) for _ in range(3))
            used["cache_read_input_tokens"] = read
            used["cache_creation_input_tokens"] = one + other + draw(st.sampled_from([0] * 20 + [is_torn]))
            used["cache_creation"] = {"ephemeral_5m_input_tokens": one, "ephemeral_1h_input_tokens": other}
        elif is_flat:
            del used["cache_creation"]
        stop = draw(st.sampled_from(["end_turn", "tool_use"] * 10 + ["max_tokens"]))
        made.append(
            a_success(
                used, draw(st.sampled_from(CONTENTS[:1] * 20 + CONTENTS[:4])), draw(st.sampled_from(models)), stop
            )
        )
    return made


TEARS = {
    "beside the message": b'}, "more":%b}}',
    "closely beside the message": b'},"more":%b}}',
    "further beside the message": b'} \t,\t"new":1,"more":%b}}',
    "beside the result": b'}} , "more":{"message":%b}}',
    "closely beside the result": b'}},"more":{"message":%b}}',
}


def torn(line: bytes, tear: str) -> bytes:
    """With the same message once more, where it is not looked for."""
    message = line[line.index(b'"message":') + len(b'"message":') : -2]
    return line[:-3] + TEARS[tear] % message.replace(b'"input_tokens":', b'"input_tokens":9')


@pytest.mark.generated
@given(
    shared_prefix(),
    st.integers(0, len(IDS)),
    st.sampled_from(list(TEARS)),
    st.sampled_from(["", "1000000000000", "1099511627777", "9" * 19]),
)
def test_lines_that_are_alike_are_summed_up_as_each_by_itself(
    said: list[dict[str, Any]], at: int, tear: str, huge: str
) -> None:
    lines = [result_line(i.decode(), one) for i, one in zip(IDS, said, strict=False)]
    if at < len(lines):
        lines[at] = (
            lines[at].replace(b'"output_tokens":', f'"output_tokens":{huge}'.encode())
            if huge
            else torn(lines[at], tear)
        )
    found = metered(b"".join(line + b"\n" for line in lines))
    assert (set(found.meter.usage_totals), found.meter.unread) == summed([json.loads(line)["result"] for line in lines])


@pytest.mark.parametrize("hours", [0, 5])
def test_tokens_of_a_time_that_nobody_heard_of_are_not_read_as_none(hours: int) -> None:
    """Where the first lines have none of them, and numbers of their own."""
    splits = [{**SPLIT, LONG: n, "ephemeral_24h_input_tokens": hours if n == 11 else 0} for n in range(len(IDS))]
    said = [a_success({"input_tokens": 1, "cache_creation": split, "output_tokens": 2}) for split in splits]
    found = metered(b"".join(result_line(i.decode(), one) + b"\n" for i, one in zip(IDS, said, strict=True)))
    assert found.meter.unread == (1 if hours else 0)
    assert (set(found.meter.usage_totals), found.meter.unread) == summed(said)


def test_of_more_models_than_any_account_has_the_rest_is_not_summed_up_apart() -> None:
    said = [a_success(a_usage(n), model=f"claude-{n}") for n in range(2 * MAX_SUMS)]
    lines = [result_line(f"r-{n}", one) for n, one in enumerate(said)]
    meter = UsageMeter()
    meter.take([read_line(line).message for line in lines])
    assert ({one.model for one in meter.usage_totals}, meter.unread) == (
        {f"claude-{n}" for n in range(MAX_SUMS)},
        MAX_SUMS,
    )
