"""`verify`: a line for each part of a proof, and beside it what was found."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from batchctl.domain.wording import plural
from batchctl.render import styles
from batchctl.render.job_report import answers, answers_to_json
from batchctl.render.layout import indent, next_line, verdicts
from batchctl.render.text import clean, number
from batchctl.results.proof import Flaw, Part, Proof, RoundProof, Verdict, hint

VERDICT_STYLES = {
    Verdict.OK: styles.GOOD,
    Verdict.OPEN: styles.WARN,
    Verdict.WRONG: styles.strong(styles.BAD),
    Verdict.NOT_TOLD: styles.QUIET,
}
HASH_DIGITS = 12


def draw(proof: Proof) -> RenderableType:
    """Return a proof, and where it does not hold, the first flaws with what to try."""
    table = verdicts()
    for part in Part:
        verdict = proof.verdict(part)
        table.add_row(Text(_words(verdict), style=VERDICT_STYLES[verdict]), Text(_words(part)), _detail(proof, part))
    parts: list[RenderableType] = [_title(proof), indent(table)]
    if proof.first_flaws:
        parts += [Text(""), indent(_flaws(proof))]
    if proof.next_command:
        parts += [Text(""), next_line(proof.next_command)]
    return Group(*parts)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _title(proof: Proof) -> Text:
    if proof.is_complete:
        summary, style = "every line of the input has its one answer on the disk", styles.strong(styles.GOOD)
    elif proof.flaws:
        summary, style = f"the proof does not hold: {plural(proof.flaws, 'flaw')}", styles.strong(styles.BAD)
    else:
        summary, style = "no fault found, but not every line has its answer", styles.WARN
    return Text.assemble((proof.job.name, "bold"), "  ", (summary, style))


def _detail(proof: Proof, part: Part) -> Text:
    match part:
        case Part.REQUESTS:
            return Text("; ".join(_requests(r) for r in proof.rounds))
        case Part.ORIGINS:
            later = [r.number for r in proof.rounds if r.number > 1]
            rounds = (
                f"round {', '.join(map(str, later))}: only lines of round 1, in order" if later else "one round only"
            )
            return Text(rounds)
        case Part.LEFT_OUT:
            return Text(f"{plural(proof.job.left_out, 'line')} left out" if proof.job.left_out else "no line left out")
        case Part.RESULTS:
            return Text(f"{_results(proof)}{f'; {proof.rests_on}' if proof.rests_on else ''}")
        case Part.SUM:
            if proof.answers is None:
                return Text("not summed: what is wrong above leaves nothing to sum")
            summed = answers(proof.answers, proof.job.left_out)
            return Text.assemble(summed, f" = {plural(proof.job.line_count, 'line')} of the input")
        case Part.OUTPUT:
            return Text(_output(proof))


def _requests(round_: RoundProof) -> str:
    amount = f"round {round_.number}: {plural(round_.requests, 'request')} in {plural(round_.batches, 'batch')}"
    if round_.is_held_against_input:
        amount += ", the input's own lines but for cache_control"
    return amount if round_.requests_known else f"{amount}, made elsewhere: their requests are not known here"


def _results(proof: Proof) -> str:
    fetched, batches = sum(r.fetched for r in proof.rounds), sum(r.batches for r in proof.rounds)
    lines = plural(sum(r.results for r in proof.rounds), "line")
    text = f"{fetched:,} of {plural(batches, 'batch')} on the disk, {lines}"
    if any(not r.requests_known for r in proof.rounds):
        text += ", held against the API's counts alone where the requests are not known"
    if proof.by_part.get(Part.RESULTS):
        text += "; a batch that is wrong counts as unanswered below"
    return f"{text}; {plural(proof.waiting, 'batch')} not fetched yet" if proof.waiting else text


def _output(proof: Proof) -> str:
    output = proof.output
    path = clean(output.path)
    if output.is_there is None:
        return f"{path}: not held against results that are wrong"
    if not output.is_there:
        return f"{path}: not there; a fetch writes it"
    if not output.sha256:
        return f"{path}: differs from line {number(output.lines + 1)} on"
    digest = output.sha256[:HASH_DIGITS]
    return f"{path}: {plural(output.lines, 'line')}, identical to a fresh merge (sha256 {digest}...)"


def _flaws(proof: Proof) -> Table:
    table = Table.grid()
    table.add_column(overflow="fold")
    for flaw in proof.first_flaws:
        table.add_row(Text.assemble((f"{_words(flaw.part)}: ", styles.BAD), f"{_place(flaw)}{clean(flaw.message)}"))
        table.add_row(Text.assemble(("  try: ", styles.QUIET), clean(hint(flaw, proof.fetch_command), 1000)))
    if proof.flaws > len(proof.first_flaws):
        table.add_row(Text(f"and {number(proof.flaws - len(proof.first_flaws))} more", style=styles.QUIET))
    return table


def _place(flaw: Flaw) -> str:
    """Return `round 1 batch 3 raw/round-1.000000000.jsonl line 17 (r-00017): `, as far as it is known."""
    numbered = (("round", flaw.round), ("batch", flaw.batch))
    parts = [f"{name} {number(n)}" for name, n in numbered if n]
    parts += [clean(flaw.path)] if flaw.path and flaw.path not in flaw.message else []
    parts += [f"line {number(flaw.line)}"] if flaw.line else []
    parts += [f"({clean(flaw.custom_id, 64)})"] if flaw.custom_id else []
    return f"{' '.join(parts)}: " if parts else ""


# ---------------------------------------------------------------- for programs


def to_json(proof: Proof) -> dict[str, Any]:
    """Return the object of `verify`.

    `holds`: the disk is what the ledger says; `complete`: and every line of the input has its answer.
    """
    output = proof.output
    return {
        "type": "verify",
        "job": proof.job.name,
        "holds": not proof.flaws,
        "complete": proof.is_complete,
        "requests": proof.job.count,
        "left_out": proof.job.left_out,
        "lines": proof.job.line_count,
        "verdicts": {part.value: proof.verdict(part).value for part in Part},
        "rounds": [
            {
                "round": r.number,
                "requests": r.requests,
                "requests_known": r.requests_known,
                "held_against_input": r.is_held_against_input,
                "batches": r.batches,
                "fetched": r.fetched,
                "results": r.results,
            }
            for r in proof.rounds
        ],
        "waiting": proof.waiting,
        "rests_on": proof.rests_on or None,
        "answers": answers_to_json(proof.answers) if proof.answers else None,
        "results_file": output.path,
        "results_file_lines": output.lines if output.is_there else None,
        "results_file_sha256": output.sha256 or None,
        "flaws": proof.flaws,
        "first_flaws": [
            {
                "part": flaw.part.value,
                "message": flaw.message,
                "round": flaw.round or None,
                "batch": flaw.batch or None,
                "line": flaw.line or None,
                "custom_id": flaw.custom_id or None,
                "path": flaw.path or None,
                "hint": hint(flaw, proof.fetch_command),
            }
            for flaw in proof.first_flaws
        ],
        "next_command": proof.next_command or None,
    }
