"""A proof and a check-up, drawn: a line for each thing that was looked at, and beside it what was found."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from batchctl.domain.health import Checkup, Health
from batchctl.render.reports import answers, indented, next_line
from batchctl.render.text import clean, number, plural
from batchctl.results.proof import Flaw, Part, Proof, RoundProof, Verdict, hint

VERDICT_TONES = {Verdict.OK: "green", Verdict.OPEN: "yellow", Verdict.WRONG: "bold red", Verdict.NOT_TOLD: "dim"}
HEALTH_TONES = {Health.OK: "green", Health.WARN: "yellow", Health.FAIL: "bold red"}
HASH_DIGITS = 12


def proof(of: Proof) -> RenderableType:
    table = lines()
    for part in Part:
        verdict = of.verdict(part)
        table.add_row(Text(_words(verdict), style=VERDICT_TONES[verdict]), Text(_words(part)), _said(of, part))
    parts: list[RenderableType] = [_title(of), indented(table)]
    if of.first_flaws:
        parts += [Text(""), indented(_flaws(of))]
    if of.next_command:
        parts += [Text(""), next_line(of.next_command)]
    return Group(*parts)


def checkup(found: Checkup) -> RenderableType:
    table = lines()
    for one in found.findings:
        table.add_row(Text(one.health, style=HEALTH_TONES[one.health]), Text(one.subject), Text(clean(one.said, 1000)))
        if one.advice:
            table.add_row("", "", Text.assemble(("try: ", "dim"), clean(one.advice, 1000)))
    wrong = [(found.count(Health.FAIL), "fail"), (found.count(Health.WARN), "warn")]
    said = ", ".join(f"{n} {word}" for n, word in ((found.count(Health.OK), "ok"), *reversed(wrong)) if n)
    return Group(table, Text(said, style="dim"))


def lines() -> Table:
    """A verdict, what it is on, and what was found."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def summary(of: Proof) -> str:
    if of.is_complete:
        return "every line of the input has its one answer on the disk"
    if of.flaws:
        return f"the proof does not hold: {plural(of.flaws, 'flaw')}"
    return "nothing is wrong, and not all of it is there"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _title(of: Proof) -> Text:
    tone = "bold green" if of.is_complete else "bold red" if of.flaws else "yellow"
    return Text.assemble((of.job.name, "bold"), "  ", (summary(of), tone))


def _said(of: Proof, part: Part) -> Text:
    match part:
        case Part.REQUESTS:
            return Text("; ".join(_requests(one) for one in of.rounds))
        case Part.ORIGINS:
            later = [one.number for one in of.rounds if one.number > 1]
            rounds = f"round {', '.join(map(str, later))}: rising, within round 1" if later else "one round, no origins"
            return Text(rounds)
        case Part.LEFT_OUT:
            return Text(f"{plural(of.job.left_out, 'line')} left out" if of.job.left_out else "no line left out")
        case Part.RESULTS:
            return Text(f"{_results(of)}{f'; {of.rests_on}' if of.rests_on else ''}")
        case Part.SUM:
            return _sum(of)
        case Part.OUTPUT:
            return Text(_output(of))


def _requests(one: RoundProof) -> str:
    amount = f"round {one.number}: {plural(one.requests, 'request')} in {plural(one.batches, 'batch')}"
    if one.is_held_against_input:
        amount += ", the input's own lines but for cache_control"
    return amount if one.requests_known else f"{amount}, made elsewhere: their requests are not known here"


def _results(of: Proof) -> str:
    fetched, batches = sum(one.fetched for one in of.rounds), sum(one.batches for one in of.rounds)
    said = f"{fetched:,} of {plural(batches, 'batch')} on the disk, {plural(sum(r.results for r in of.rounds), 'line')}"
    if any(not one.requests_known for one in of.rounds):
        said += ", held against the API's counts alone where the requests are not known"
    if of.by_part.get(Part.RESULTS):
        said += "; a batch that is wrong counts as unanswered below"
    return f"{said}; {plural(of.waiting, 'batch')} not fetched yet" if of.waiting else said


def _sum(of: Proof) -> Text:
    if of.answers is None:
        return Text("not summed: what is wrong above leaves nothing to sum")
    said = answers(of.answers, of.job.left_out)
    # Without its first word: the part says it already.
    total = f" = {plural(of.job.line_count, 'line')} of the input"
    return Text.assemble(said[len("answers  ") :], total)


def _output(of: Proof) -> str:
    path = clean(of.output.path)
    if of.output.is_there is None:
        return f"{path}: not held against results that are wrong"
    if not of.output.is_there:
        return f"{path}: not there; a fetch writes it"
    if not of.output.sha256:
        return f"{path}: differs from line {number(of.output.lines + 1)} on"
    digest = of.output.sha256[:HASH_DIGITS]
    return f"{path}: {plural(of.output.lines, 'line')}, byte for byte what a merge writes (sha256 {digest}...)"


def _flaws(of: Proof) -> Table:
    table = Table.grid()
    table.add_column(overflow="fold")
    for flaw, advice in with_advice(of):
        table.add_row(Text.assemble((f"{_words(flaw.part)}: ", "red"), f"{where(flaw)}{clean(flaw.message)}"))
        table.add_row(Text.assemble(("  try: ", "dim"), clean(advice, 1000)))
    if of.flaws > len(of.first_flaws):
        table.add_row(Text(f"and {number(of.flaws - len(of.first_flaws))} more", style="dim"))
    return table


def with_advice(of: Proof) -> Iterable[tuple[Flaw, str]]:
    return ((flaw, hint(flaw, of.fetch_command)) for flaw in of.first_flaws)


def where(flaw: Flaw) -> str:
    """`round 1 batch 3 (raw/round-1.000000000.jsonl) line 17 (r-00017): `, as far as it is known."""
    numbered = (("round", flaw.round), ("batch", flaw.batch))
    parts = [f"{name} {number(n)}" for name, n in numbered if n]
    parts += [clean(flaw.path)] if flaw.path and flaw.path not in flaw.message else []
    parts += [f"line {number(flaw.line)}"] if flaw.line else []
    parts += [f"({clean(flaw.custom_id, 64)})"] if flaw.custom_id else []
    return f"{' '.join(parts)}: " if parts else ""
