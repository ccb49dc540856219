"""What makes a line one JSON object, why another is none, and what a wrong file looks like."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchctl.requests.decoding import LineFault, decode_line, describe_opening

REQUEST = {"custom_id": "a", "params": {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}}
LINE = json.dumps(REQUEST).encode()
FILE = (LINE + b"\n") * 3

GOOD = [
    LINE,
    LINE + b"\r",
    b" \t" + LINE + b" \r",
    b'{"params":{"a":1},"custom_id":"a"}',
    b'{"custom_id":"a","params":{"input":{"custom_id":"b","params":{"custom_id":"c"}}}}',
    rb'{"custom_id":"a","params":{"content":"\"custom_id\": and \"params\": in a text"}}',
    rb'{"custom_id":"a","params":{"content":"\u0000 \ud83d\ude00 \u2028"}}',
    '{"custom_id":"a","params":{"content":"\u2028\u0085\x7f😀"}}'.encode(),
    b'{"custom_id":"a","params":{"content":1e-999}}',
]

# the line, the fault's code, and words its message must hold
BAD = [
    (b'{"a":"\xff"}', "not_utf8", "byte 7 (0xFF); save the file as UTF-8"),
    (b'{"a":"\xc3\xa9\xe9"}', "not_utf8", "byte 9 (0xE9)"),
    (b'{"a":"\xed\xa0\x80"}', "not_utf8", "half of a surrogate pair"),
    ('{"a":1}'.encode("utf-16-le"), "not_utf8", "UTF-16"),
    (b"\xef\xbb\xbf{}", "byte_order_mark", "joined files"),
    (b'{"a":"x\x00y"}', "control_character", "byte 8"),
    (b'{"a":"x\ty"}', "control_character", r"write \n, \t"),
    (b"\0\0\0\0", "control_character", "only NUL"),
    (b'{"a":NaN}', "not_a_number", "byte 6: JSON has no NaN"),
    (b'{"a":-Infinity}', "not_a_number", "no Infinity"),
    (b'{"a":nan}', "not_a_number", "write null"),
    (b'{"a":1e999}', "number_too_large", '"1e999" at byte 6'),
    (b'{"a":-1e400}', "number_too_large", "too large"),
    (rb'{"a":"x\ud800y"}', "lone_surrogate", r"write \ufffd"),
    (rb'{"a":"\udc00"}', "lone_surrogate", "half of a surrogate pair"),
    (rb'{"a":"\ud83d\u0041"}', "lone_surrogate", "half of a surrogate pair"),
    (b"[" * 2000, "too_deep", "more than 1000 nested brackets"),
    (b'{"a":' * 1500 + b"1" + b"}" * 1500, "too_deep", "nested brackets"),
    (b'{"custom_id":"a","params":{"model":"m"', "cut_short", "ends at byte 39"),
    (b'{"a":"text that goes', "cut_short", "a raw newline inside a string"),
    (b'{"a":{"b":1}', "cut_short", "a truncated file"),
    (b"{", "pretty_printed", "jq -c ."),
    (b"  },", "pretty_printed", "spread over several lines"),
    (b'  "custom_id": "a",', "pretty_printed", "jq -c ."),
    (b'    "a stop sequence",', "pretty_printed", "jq -c ."),
    (b"{} {}", "two_on_one_line", "starts at byte 4"),
    ('{"a":"é"}{"b":1}'.encode(), "two_on_one_line", "starts at byte 11"),
    (b"{}]", "text_after_object", '"]" at byte 3'),
    (b"{} \xc2\xa0", "text_after_object", "holds one object and no more"),
    (b"{},", "trailing_comma", "a comma after the object at byte 3"),
    (b'{"a":1,}', "trailing_comma", "before a closing bracket"),
    (b'{"a":[1, ]}', "trailing_comma", "byte 8"),
    (b"{'a':1}", "single_quotes", "json.dumps"),
    (b"{\"a\":'x'}", "single_quotes", "double quotes"),
    (b'{"a":True}', "python_literal", "true, false and null"),
    (b'{"a":None}', "python_literal", "json.dumps"),
    (b"# custom_id, params", "comment", "JSON has none"),
    (b'{"a":1 // one\r}', "comment", "byte 8"),
    (b'{"a":"say "hi" now"}', "not_json", r"inside a string write \""),
    (rb'{"a":"C:\x"}', "not_json", r"write a backslash as \\"),
    ('{"a":“x”}'.encode(), "not_json", "typographic"),
    ('{"a":\u00a01}'.encode(), "not_json", "a space character that JSON does not allow"),
    (b"{a:1}", "not_json", "a key without quotation marks"),
    (b'{"a":01}', "not_json", "byte 6"),
    (b"hello", "not_json", "byte 1"),
    (b"5", "not_an_object", "not the number 5"),
    (b"null", "not_an_object", "not null"),
    (b'[{"a":1}]', "not_an_object", "without brackets"),
    (json.dumps(LINE.decode()).encode(), "not_an_object", "encoded twice"),
    (b'{"custom_id":"a","custom_id":"b","params":{}}', "duplicate_key", '"custom_id" occurs twice'),
    (b'{"custom_id":"a","params":{},"custom_id":"b"}', "duplicate_key", "keep one"),
    (b'{"params":{},"custom_id":"a","custom_id":"b"}', "duplicate_key", '"custom_id"'),
    (b'{ "custom_id": "a", "params": {}, "params": {} }\r', "duplicate_key", '"params" occurs twice'),
    (b'{"params":{"a":{}},"custom_id":"a","params":{"b":{}}}', "duplicate_key", '"params"'),
]

# the first bytes, the fault's code, and words its message must hold
WRONG_FILES = [
    (gzip.compress(FILE), "file_is_compressed", "gzip -dc INPUT"),
    (b"\x28\xb5\x2f\xfd\x24\x05", "file_is_compressed", "zstd -dc INPUT"),
    (b"BZh91AY&SY", "file_is_compressed", "bzip2"),
    (b"\xfd7zXZ\x00\x00", "file_is_compressed", "xz -dc"),
    (b"PK\x03\x04\x14\x00", "file_is_zip", "Excel"),
    (b"PAR1\x15\x04", "file_is_parquet", "Parquet"),
    (FILE.decode().encode("utf-16"), "file_is_utf16", "iconv -f UTF-16 -t UTF-8"),
    (FILE.decode().encode("utf-16-le"), "file_is_utf16", "PowerShell"),
    (FILE.decode().encode("utf-16-be"), "file_is_utf16", "UTF-16"),
    (FILE.decode().encode("utf-32"), "file_is_utf16", "UTF-32"),
    (b"\x00\x00\xfe\xff\x00\x00\x00{", "file_is_utf16", "UTF-32"),
    (json.dumps([REQUEST] * 3).encode(), "file_is_json_array", "jq -c '.[]'"),
    (json.dumps([REQUEST] * 3, indent=2).encode(), "file_is_json_array", "one request per line"),
    (json.dumps([REQUEST] * 9999).encode()[:65536], "file_is_json_array", "jq"),
    (json.dumps(REQUEST, indent=2).encode(), "file_is_pretty_printed", "jq -c ."),
    (json.dumps({**REQUEST, "x": "y" * 70_000}, indent=1).encode()[:65536], "file_is_pretty_printed", "several lines"),
    (FILE.replace(b"\n", b"\r"), "file_has_cr_line_ends", "tr "),
    (b'{"custom_id":"a","method":"POST","url":"/v1/responses","body":{}}\n', "file_is_openai_batch", "OpenAI"),
    (b'{"recordId":"a","modelInput":{"anthropic_version":"bedrock-2023-05-31"}}\n', "file_is_bedrock_batch", "Bedrock"),
    (b'{"modelInput":{"inputText":"Hi"}}\n', "file_is_bedrock_batch", "where BODY is a Messages request"),
    (b'{"custom_id":"a","request":{"anthropic_version":"vertex-2023-10-16"}}', "file_is_google_cloud_batch", "Google"),
    (b'{"key":"a","request":{"contents":[]}}\n', "file_is_gemini_batch", '"params": BODY'),
    (b'{"id":"x","custom_id":"a","response":{},"error":null}\n', "file_is_results", "OpenAI"),
    (b'{"custom_id":"a","result":{"type":"succeeded"}}\n', "file_is_results", "batchctl retry JOB"),
    (json.dumps({"requests": [REQUEST]}, indent=2).encode(), "file_is_create_body", "'.requests[]'"),
    (json.dumps({"requests": [REQUEST] * 9999}).encode()[:65536], "file_is_create_body", "one request per line"),
    (b'{"model":"m","max_tokens":5,"messages":[]}\n', "file_has_no_envelope", '"custom_id": "your-name"'),
    (b'{"messages":[]}\n', "file_has_no_envelope", '"params"'),
    (b"<!DOCTYPE html>", "file_is_markup", "HTML"),
    (b"id,text\n1,hello\n", "file_is_csv", "CSV"),
    (b'\xef\xbb\xbf"id";"the text"\r\n1;"hello"\r\n', "file_is_csv", "one request per line"),
    (b"id\ttext\n1\thello\n", "file_is_csv", "table"),
]


@pytest.mark.parametrize("line", GOOD)
def test_a_good_line_is_read_as_any_parser_reads_it(line):
    assert decode_line(line) == json.loads(line)


@pytest.mark.parametrize(("line", "code", "words"), BAD)
def test_a_bad_line_is_refused_with_its_cause(line, code, words):
    with pytest.raises(LineFault) as caught:
        decode_line(line)
    fault = caught.value.fault
    assert fault.code == code
    assert words in fault.message
    assert fault.message.isprintable()
    assert "\n" not in fault.message


@given(
    st.binary(max_size=60)
    | st.text('{}[]",:\\ \r\nant1eE-ué\ud800', max_size=40).map(lambda t: t.encode("utf-8", "replace"))
)
def test_whatever_stands_in_a_line_the_answer_is_an_object_or_a_fault(line):
    try:
        assert isinstance(decode_line(line), dict)
    except LineFault as caught:
        assert caught.fault.message.isprintable()  # noqa: PT017 - the other way out is an object


@given(st.integers(0, len(LINE) - 1))
def test_a_line_cut_anywhere_is_refused(length):
    with pytest.raises(LineFault):
        decode_line(LINE[:length])


@pytest.mark.parametrize(("head", "code", "words"), WRONG_FILES)
def test_a_wrong_file_is_recognised_with_what_to_do(head, code, words):
    fault = describe_opening(head)
    assert fault is not None
    assert fault.code == code
    assert words in fault.message
    assert fault.message.isprintable()


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\n \n",
        FILE,
        FILE[:50],
        LINE,
        b"\xef\xbb\xbf" + FILE,
        b"\r\n  \n" + FILE,
        FILE.replace(b"\n", b"\r\n"),
        json.dumps({**REQUEST, "params": {"system": "s" * 70_000}}).encode()[:65536],
        b'{"custom_id":"a","params":{},"model":"x","messages":[]}\n',
        b'{"custom_id":"a","method":"POST","url":"/v1/responses","body":{}}\n' + FILE,
        LINE + b",\n" + LINE,
        LINE[:-5] + b"\n" + FILE,
        b"[1]\n[2]\n",
        b"hello, world\n",
        b"\xff\x00garbage"[::-1],
    ],
)
def test_what_looks_like_requests_or_like_nothing_known_is_left_to_the_check_of_lines(head):
    assert describe_opening(head) is None
