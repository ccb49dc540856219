"""`convert`: a batch file of another vendor as a file of requests."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from batchctl.cli import options as o
from batchctl.cli.global_options import GlobalOptions, with_global_options

if TYPE_CHECKING:
    from batchctl.engine.session import ReadSession
    from batchctl.render.writer import ReportWriter


@with_global_options("base_url", "insecure_http")
def convert(
    options: GlobalOptions,
    file: o.FileToConvert,
    model: o.ModelOfRequests = None,
    max_tokens: o.MaxTokens = None,
    drop: o.Drop = None,
    skip_bad: o.SkipBad = False,
    output: o.RequestsFile = "",
    force: o.ForceRequests = False,
) -> None:
    """Convert a batch file of OpenAI, Azure, Mistral, Amazon Bedrock or Google Cloud. It needs no key, and sends nothing.

    Examples:
        batchctl convert openai.jsonl --model claude-haiku-5-5
        batchctl convert openai.jsonl --model gpt-4o=claude-sonnet-5-5 --drop seed -o claude.jsonl
    """
    from batchctl.cli.exit_status import DONE
    from batchctl.cli.run_verb import run, stdin
    from batchctl.requests.conversions import ConvertOptions
    from batchctl.verbs.convert import WantedConversion
    from batchctl.verbs.convert import convert as verb
    from batchctl.verbs.open_read_session import open_read_session

    for_all, models = o.models_of(model or [])
    how = ConvertOptions(model=for_all, models=models, max_tokens=max_tokens, drop=frozenset(drop or ()))
    wanted = WantedConversion(path=file, output=output, options=how, skip_bad=skip_bad, force=force)

    def course(session: "ReadSession", writer: "ReportWriter") -> int:
        conversion, problems = verb(session, wanted, stdin())
        writer.write_converted(conversion, wanted.path, wanted.target, problems)
        return DONE

    # As a dry run: the ledger of a new folder need not be made.
    run(replace(options, makes_workspace=True), course, partial(open_read_session, needs_ledger=False))
