"""A batch file of another vendor, read line by line and written as requests of the Messages API. Only one line is in memory."""

from collections.abc import Callable
from functools import lru_cache
from typing import BinaryIO

import orjson

from batchctl.domain.check_report import Conversion, Problem
from batchctl.domain.faults import Fault, Severity, shown
from batchctl.domain.limits import CEILING_MAX_BYTES
from batchctl.requests.conversions import Converted, ConvertOptions, convert_line
from batchctl.requests.decoding import BYTE_ORDER_MARK, LineFault, decode_line
from batchctl.requests.inputs import numbered_lines
from batchctl.requests.problem_file import ProblemFile
from batchctl.requests.structure import is_known_model, model_name_faults


def convert_file(
    file: BinaryIO, out: BinaryIO, options: ConvertOptions, problems: ProblemFile, emit: Callable[[int], None]
) -> Conversion:
    """Write the requests of a file to `out`, in its order; a line with an error is left out. `emit` gets the bytes read so far.

    Raises DiskProblem where the problem file cannot be written.
    """
    requests = blank = left_out = size = number = refused = 0
    for number, line, is_whole in numbered_lines(file, CEILING_MAX_BYTES):
        size += len(line)
        emit(size)
        text = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        if not text.strip():
            blank += 1
            continue
        if number == refused:
            # The rest of a line that is too long.
            continue
        request, converted = _converted(text.removesuffix(b"\n"), options) if is_whole else (b"", _too_long())
        for fault in converted.faults:
            problems.add(Problem(number, converted.custom_id, fault))
        if request:
            out.write(request)
            requests += 1
        else:
            refused = number
            left_out += 1
    return Conversion(
        requests=requests,
        lines=number - blank,
        blank=blank,
        left_out=left_out,
        size=size,
        errors=problems.errors,
        warnings=problems.warnings,
        by_code=dict(problems.by_code),
        problem_kinds=problems.kinds,
    )


def _too_long() -> Converted:
    message = f"the line is longer than {CEILING_MAX_BYTES / 1e6:.0f} MB, the limit of a batch"
    return Converted("", {}, [Fault("request_too_large", message)])


def _converted(line: bytes, options: ConvertOptions) -> tuple[bytes, Converted]:
    """Return the line of a request, empty where an error keeps it from being written, and all that was found."""
    try:
        record = decode_line(line)
    except LineFault as broken:
        return b"", Converted("", {}, [broken.fault])
    assert isinstance(record, dict), "decode_line returns an object"
    converted = convert_line(record, options)
    if not converted.is_good:
        return b"", converted
    converted.faults.extend(_model_faults(converted.params["model"]))
    request = {"custom_id": converted.custom_id, "params": converted.params}
    try:
        return orjson.dumps(request, option=orjson.OPT_APPEND_NEWLINE), converted
    except orjson.JSONEncodeError:
        converted.faults.append(Fault("too_deep", "nested more deeply than it can be written: make it flatter"))
        return b"", converted


@lru_cache(maxsize=256)
def _model_faults(model: str) -> list[Fault]:
    """Return a warning for a model that is not known here: it may be new, or a slip."""
    if is_known_model(model):
        return []
    message = f"{shown(model)} is not known to this version of batchctl"
    return model_name_faults(model) or [Fault("model_name_unknown", message, Severity.WARNING, "params.model")]
