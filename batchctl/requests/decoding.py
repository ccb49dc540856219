"""One line decoded into a JSON object, or into the reason why it is none; and what the first bytes of a wrong file show.

The bytes of a line travel to the API as they are, many in one body. So a line must be exactly one object with nothing but JSON
whitespace around it: anything else would break the body for all of its lines.
"""

import json
import math
import re

import orjson

from batchctl.domain.faults import Fault, shown
from batchctl.domain.foreign_formats import CONVERT, foreign_format
from batchctl.requests.request_lines import has_each_key_once

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# orjson refuses more than 1024 levels; anything near that is nested too deep.
NEAR_DEPTH_LIMIT = 1000

ONE_LINE_EACH = "put each request on one line: jq -c . INPUT > OUTPUT.jsonl"


class LineFault(Exception):
    """A line that is not one JSON object in UTF-8."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def decode_line(line: bytes) -> object:
    """Return the object on one physical line, given without its newline. Raises LineFault where it is none."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise LineFault(_why_not_json(line, error)) from None
    if type(value) is not dict:
        raise LineFault(_not_an_object(value))
    if not has_each_key_once(line):
        _refuse_equal_keys(line)
    return value


def _refuse_equal_keys(line: bytes) -> None:
    """Raise LineFault where a key stands twice: a parser keeps the last of two equal keys and says nothing."""
    # A key may be written with escapes: then it is another text, and the same key.
    if max(line.count(b'"custom_id"'), line.count(b'"params"')) < 2 and b"\\u00" not in line:
        return
    keys = [key for key, _ in json.loads(line, object_pairs_hook=list)]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise LineFault(Fault("duplicate_key", f"{shown(twice)} occurs twice in the object; keep one"))


def _not_an_object(value: object) -> Fault:
    note = ""
    if isinstance(value, list):
        note = "; write one request per line, without brackets around the file"
    elif isinstance(value, str) and value.lstrip().startswith("{"):
        note = " that holds JSON: it was encoded twice"
    return Fault("not_an_object", f"a line must be one JSON object, not {shown(value)}{note}")


# ---------------------------------------------------------------- why a line is not JSON


def _why_not_json(line: bytes, error: orjson.JSONDecodeError) -> Fault:
    if line.count(0) * 4 > len(line):
        return _mostly_nul(line)
    try:
        text = line.decode()
    except UnicodeDecodeError as wrong:
        return _not_utf8(line[wrong.start], wrong.start + 1)
    if line.startswith(BYTE_ORDER_MARK):
        return Fault(
            "byte_order_mark", "a byte order mark (EF BB BF) inside the file, usually from joined files; remove it"
        )
    if re.fullmatch(FRAGMENT, text, re.DOTALL):
        return Fault("pretty_printed", f"a part of JSON that is spread over several lines; {ONE_LINE_EACH}")
    # orjson counts characters; the tools people look with count bytes.
    where = f"byte {len(text[: error.pos].encode()) + 1}"
    for explain in (_ends_early, _goes_on, _fault_of_known_cause, _fault_of_range):
        if fault := explain(text, error.pos, where):
            return fault
    return Fault("not_json", f"not JSON at {where}: {error.msg}")


# Lone brackets, a lone text with its comma, or a line that opens with a key.
FRAGMENT = r"""[ \t\r]*(?:[\[{]{1,9}|[\]}]{1,9},?|[\]}]*,?[ \t]*"[^"]*"[ \t]*(?:,|:.*))[ \t\r]*"""


def _mostly_nul(line: bytes) -> Fault:
    if line.strip(b"\0"):
        return Fault("not_utf8", "not UTF-8 but UTF-16 or UTF-32; convert it: iconv -f UTF-16 -t UTF-8")
    return Fault("control_character", "only NUL bytes, usually from a crash while the file was written; remove them")


def _not_utf8(byte: int, column: int) -> Fault:
    advice = "save the file as UTF-8, or convert it: iconv -f WINDOWS-1252 -t UTF-8"
    # 0xED opens every surrogate that was written as if it were a character.
    if byte == 0xED:
        advice = "it may be half of a surrogate pair; replace it, for example with U+FFFD"
    return Fault("not_utf8", f"not UTF-8 at byte {column} (0x{byte:02X}); {advice}")


def _ends_early(text: str, position: int, where: str) -> Fault | None:
    if position < len(text.rstrip(" \t\r\n")):
        return None
    causes = "a truncated file, JSON over several lines, or a raw newline inside a string"
    return Fault("cut_short", f"the line ends at {where}, before the object is complete: {causes}")


def _goes_on(text: str, position: int, where: str) -> Fault | None:
    """Return the fault of a line on which one value is whole and something follows it."""
    if not _is_json(text[:position]):
        return None
    rest = text[position:].strip(" \t\r\n")
    if rest.startswith("{"):
        return Fault("two_on_one_line", f"a second object starts at {where}; {ONE_LINE_EACH}")
    if rest == ",":
        return Fault("trailing_comma", f"a comma after the object at {where}; JSONL has none between its lines")
    return Fault("text_after_object", f"{shown(rest)} at {where}, after the end; a line holds one object and no more")


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


# What stands where the parser stopped, and what it means.
KNOWN_CAUSES = (
    (r"-?(?:NaN|Infinity|nan\b|inf\b)", "not_a_number", "JSON has no NaN and no Infinity; write null or remove it"),
    (r"(?:True|False|None)\b", "python_literal", "a Python literal; JSON has true, false and null (use json.dumps)"),
    (r"'", "single_quotes", "single quotes; JSON has double quotes only (use json.dumps, not str or repr)"),
    (r"//|/\*|\#", "comment", "a comment; JSON has none"),
    (r",\s*[}\]]", "trailing_comma", "a comma before a closing bracket; JSON has none there"),
    (r"[\x00-\x1f]", "control_character", r"a raw control character; inside a string write \n, \t or \u0000"),
    (
        r"\\u[dD][89a-fA-F]",
        "lone_surrogate",
        r"half of a surrogate pair, usually from text that was cut inside a character; write \ufffd",
    ),
    (r"\\", "not_json", r"an escape that JSON does not have; write a backslash as \\"),
    (r"[\u201c\u201d]", "not_json", "a typographic quotation mark; JSON has straight ones only"),
    (
        r"[\x85\xa0\u2000-\u200b\u2028\u2029\u3000\ufeff]",
        "not_json",
        "a space character that JSON does not allow; use an ordinary one",
    ),
    (
        r"(?<=\")[^\s\":,{}\[\]]",
        "not_json",
        r"text after a closing quotation mark; inside a string write \" instead",
    ),
    (r"(?<=[{,\s])[A-Za-z_]\w*\s*:", "not_json", "a key without quotation marks"),
)


def _fault_of_known_cause(text: str, position: int, where: str) -> Fault | None:
    for pattern, code, meaning in KNOWN_CAUSES:
        if re.compile(pattern).match(text, position):
            return Fault(code, f"not JSON at {where}: {meaning}")
    return None


def _fault_of_range(text: str, position: int, where: str) -> Fault | None:
    number = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?").match(text, position)
    if number and math.isinf(float(number[0])):
        return Fault("number_too_large", f"{shown(number[0])} at {where} is too large for a 64-bit number")
    opened = sum(map(text[:position].count, "[{")) - sum(map(text[:position].count, "]}"))
    if opened >= NEAR_DEPTH_LIMIT:
        return Fault("too_deep", f"more than {NEAR_DEPTH_LIMIT} nested brackets at {where}")
    return None


# ---------------------------------------------------------------- a wrong file, by its first bytes

UTF16_ADVICE = (
    "UTF-16 or UTF-32, as written by > in PowerShell; convert it: iconv -f UTF-16 -t UTF-8 INPUT > OUTPUT.jsonl"
)
ENVELOPE_ADVICE = 'request bodies only; each line must be {"custom_id": "your-name", "params": BODY}'

MAGIC = (
    (
        b"\x1f\x8b",
        "file_is_compressed",
        "a gzip file without its ending; rename it to end in .gz, or unpack it: gzip -dc INPUT",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "file_is_compressed",
        "a zstd file without its ending; rename it to end in .zst, or unpack it: zstd -dc INPUT",
    ),
    (b"BZh", "file_is_compressed", "a bzip2 file; unpack it: bzip2 -dc INPUT"),
    (b"\xfd7zXZ\x00", "file_is_compressed", "an xz file; unpack it: xz -dc INPUT"),
    (b"PK\x03\x04", "file_is_zip", "a zip archive (as Excel workbooks are); unpack it, or export the rows as JSONL"),
    (b"PAR1", "file_is_parquet", "a Parquet table; convert it to JSONL, one request per line"),
    (b"\xff\xfe", "file_is_utf16", UTF16_ADVICE),
    (b"\xfe\xff", "file_is_utf16", UTF16_ADVICE),
    (b"\x00\x00\xfe\xff", "file_is_utf16", UTF16_ADVICE),
)


def describe_opening(head: bytes) -> Fault | None:
    """Return what is wrong with a file by its first bytes (up to 64 KiB); None where that shows nothing known."""
    for magic, code, what in MAGIC:
        if head.startswith(magic):
            return _file_fault(code, what)
    if head[:512].count(0) * 4 > len(head[:512]):
        return _file_fault("file_is_utf16", UTF16_ADVICE)
    text = head.removeprefix(BYTE_ORDER_MARK).decode(errors="replace").lstrip(" \t\r\n")
    if text.startswith("["):
        return _array(text)
    return _objects(text) if text.startswith("{") else _no_json(text)


def _file_fault(code: str, what: str) -> Fault:
    return Fault(code, f"this file is {what}")


def _array(text: str) -> Fault | None:
    first, _, rest = text.partition("\n")
    if _is_json(first) and rest.lstrip().startswith("["):
        return None  # a list on every line: each is refused by itself
    advice = "write one request per line: jq -c '.[]' INPUT > OUTPUT.jsonl"
    return _file_fault("file_is_json_array", f"one JSON array; {advice}")


def _objects(text: str) -> Fault | None:
    first, newline, rest = text.partition("\n")
    if not newline and re.search(r"}\s*\r\s*{", text):
        return _file_fault(
            "file_has_cr_line_ends", r"line ends are CR only; convert it: tr '\r' '\n' < INPUT > OUTPUT.jsonl"
        )
    value, end = _first_value(text)
    if fault := _foreign_file(value, text[end:].lstrip(" \t\r\n")) or _other_shape(value, text):
        return fault
    opens_a_block = first.rstrip().endswith(("{", "[", ",")) and rest.lstrip().startswith('"')
    if end > len(first) or (end == 0 and opens_a_block):
        return _file_fault("file_is_pretty_printed", f"JSON spread over several lines; {ONE_LINE_EACH}")
    return None


def _first_value(text: str) -> tuple[object, int]:
    """Return the first JSON value and where it ends; (None, 0) where it is broken, or longer than what was read."""
    try:
        return json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None, 0


def _foreign_file(value: object, rest: str) -> Fault | None:
    """Return that a file is another vendor's, by its first two lines: a single line of that kind is a fault of that line."""
    foreign = foreign_format(value) if isinstance(value, dict) else None
    second, _ = _first_value(rest)
    if foreign is None or (isinstance(second, dict) and "params" in second):
        return None
    advice = f"; {foreign.advice}" if foreign.advice else ""
    command = CONVERT if foreign.is_convertible else ""
    return Fault(foreign.code, f"this file is in {foreign.name}{advice}", command=command)


# The keys an object has at least, where it has no `params`.
OTHER_SHAPES = (
    ({"custom_id", "response"}, "file_is_results", "the results of an OpenAI batch, not requests"),
    (
        {"custom_id", "result"},
        "file_is_results",
        "the results of a batch, not requests; to send failed requests again: batchctl retry JOB",
    ),
    (
        {"requests"},
        "file_is_create_body",
        "the body of one create request; write one request per line: jq -c '.requests[]' INPUT > OUTPUT.jsonl",
    ),
    ({"messages"}, "file_has_no_envelope", ENVELOPE_ADVICE),
)


def _other_shape(value: object, text: str) -> Fault | None:
    # A create body is often one line longer than what was read, so its key is looked for in the text.
    keys = set(value) if isinstance(value, dict) else set(re.findall(r'^{\s*"(requests)"\s*:\s*\[', text))
    if "params" in keys:
        return None
    return next((_file_fault(code, what) for shape, code, what in OTHER_SHAPES if shape <= keys), None)


def _no_json(text: str) -> Fault | None:
    if text.startswith("<"):
        return _file_fault("file_is_markup", "HTML or XML, perhaps a saved web page")
    first, _, rest = text.partition("\n")
    if any(separator in rest and _is_header(first.split(separator)) for separator in ",\t;"):
        return _file_fault("file_is_csv", "a CSV table; convert it to JSONL, one request per line")
    return None


def _is_header(cells: list[str]) -> bool:
    return len(cells) > 1 and all(re.fullmatch(r'\s*"?[\w .#()/-]{1,64}"?\s*', cell) for cell in cells)
