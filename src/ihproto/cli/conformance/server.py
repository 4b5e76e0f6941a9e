"""`ihproto conformance server`: judge a server."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from ihproto import REVISIONS, V1, MediaScanner, Revision, SegmentFault, __version__
from ihproto.anyio import TokenSource
from ihproto.cli.conformance.reporting import choose_reports, deliver, expected_option, forgive, load, report_options
from ihproto.cli.conformance.running import Running
from ihproto.cli.credential import choose, credential_options
from ihproto.cli.outcome import guarded
from ihproto.cli.output import UNREACHABLE, USAGE, plural
from ihproto.cli.seconds import Seconds
from ihproto.tokens import STREAM_SCOPE
from ihproto.wire import Target
from ihproto_conformance import samples
from ihproto_conformance.samples import Sample
from ihproto_conformance.server import (
    Cost,
    KeyPair,
    Selection,
    ServerUnderTest,
    judge_server,
    plan,
    server_checks,
)
from ihproto_conformance.verdict import Report

_COMMAND = "conformance server"


@click.command()
@click.argument("url")
@credential_options
@click.option(
    "--revision",
    type=click.Choice(list(REVISIONS)),
    default=V1.id,
    show_default=True,
    help="The revision that the server is to speak; it also gives the path, where URL has none.",
)
@click.option(
    "--suite",
    type=click.Choice(["quick", "full"]),
    default="quick",
    show_default=True,
    help="quick: a few sessions, seconds; full: everything that fits into a minute.",
)
@click.option(
    "--media",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    metavar="FILE",
    help="A piece of a recording that the server is to accept; repeat, in order.  [default: one that comes along]",
)
@click.option("--include", multiple=True, metavar="PATTERN", help="Only checks, clauses or scenarios like CFG-*.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="None of the checks, clauses or scenarios like this.")
@click.option(
    "--budget-seconds",
    type=Seconds(),
    metavar="N",
    help="Send no more than N seconds of video; a selection that needs more is refused beforehand.",
)
@click.option("--jobs", type=click.IntRange(1), default=4, show_default=True, help="How many scenarios run at a time.")
@click.option(
    "--patience",
    type=Seconds(min_open=True),
    default=10.0,
    show_default=True,
    help="How long an answer may take, in seconds.",
)
@click.option(
    "--longest-wait",
    type=Seconds(),
    default=0.0,
    show_default=True,
    metavar="N",
    help="Wait for timeouts of the contract that take up to N seconds (TMO-1, TMO-2).",
)
@click.option(
    "--unscoped-key-env", metavar="NAME", help="The variable with a valid credential that lacks the scope (HS-11)."
)
@click.option(
    "--bound-token-env", metavar="NAME", help="The variable with a client token that is bound to origins (HS-14)."
)
@click.option("--http", is_flag=True, help="Judge the HTTP endpoints of the same service too: tokens, uploads, jobs.")
@click.option(
    "--api-key-env",
    metavar="NAME",
    help="With --http: the variable with an API key that may upload, where the credential for the stream may not.",
)
@click.option("--pair-id", metavar="ID", help="The id of a key pair to be exchanged for tokens, with --http (AUT-1).")
@click.option("--pair-secret-env", metavar="NAME", help="The variable with the secret of that key pair.")
@click.option("--insecure", is_flag=True, help="Allow ws:// to hosts that are not local: the key travels in the open.")
@expected_option
@report_options
def server(
    url: str,
    key: str | None,
    key_env: str,
    key_id: str | None,
    key_secret_env: str,
    revision: str,
    suite: str,
    media: Sequence[Path],
    include: Sequence[str],
    exclude: Sequence[str],
    budget_seconds: float | None,
    jobs: int,
    patience: float,
    longest_wait: float,
    unscoped_key_env: str | None,
    bound_token_env: str | None,
    http: bool,
    api_key_env: str | None,
    pair_id: str | None,
    pair_secret_env: str | None,
    insecure: bool,
    expected_failures: Path | None,
    **reports: Any,
) -> None:
    """Judge the server at URL by the clauses that hold in its revision.

    What it will use of the server is said beforehand: how many connections, and how many seconds of video. Nothing is
    sent that a service would mind, but for segments that it has to refuse.

    \b
    Examples:
      ihproto conformance server ws://127.0.0.1:8765 --key ih_live_mock
      ihproto conformance server wss://api.interhuman.ai --suite full --budget-seconds 120 --report-html report.html
      ihproto conformance server ws://127.0.0.1:8765 --key ih_live_mock --include 'CFG-*' -v

    Exit codes: 0 conforms, 1 violations, 2 could not judge, 130 interrupted.
    """  # noqa: D301
    choice = choose(key, key_env, key_id, key_secret_env)
    spoken = REVISIONS[revision]
    selection = Selection(suite == "full", tuple(include), tuple(exclude))
    target = ServerUnderTest(
        url,
        spoken,
        "",
        media=_media(media, spoken),
        unscoped_key=_from_environment(unscoped_key_env),
        bound_token=_from_environment(bound_token_env),
        http=http,
        api_key=_from_environment(api_key_env),
        key_pair=_pair(pair_id, _from_environment(pair_secret_env)),
        patience=patience,
        longest_wait=longest_wait,
        allow_plaintext=insecure,
        budget_seconds=budget_seconds if budget_seconds is not None else math.inf,
    )
    checks = server_checks(target, selection)
    if not checks:
        raise click.UsageError("nothing is left to check; 'ihproto conformance list' names what there is")
    expected = load(expected_failures, [check.id for check in server_checks(target, Selection(full=True))])
    reporting = choose_reports(**reports)
    _announce(target, selection)
    running = Running(len(selection.scenarios(spoken)))

    async def judge() -> Report:
        # Before anything else is made of the URL: what is wrong with it is to be said of a stream's.
        Target.parse(url, spoken, allow_plaintext=insecure)
        credential = choice.credential(url, STREAM_SCOPE, spoken.auth_path, allow_plaintext=insecure)
        key = await credential.token() if isinstance(credential, TokenSource) else credential
        return await judge_server(
            attrs.evolve(target, key=key), selection, version=__version__, jobs=jobs, progress=running
        )

    def run() -> int:
        report = running.run(judge)
        if report is None:
            return running.give_up(_COMMAND)
        report = attrs.evolve(report, fail_on=reporting.fail_on)
        return deliver(_COMMAND, forgive(report, expected, [check.id for check in checks]), reporting)

    code = guarded(_COMMAND, run, choice.secrets)
    # Who issues the tokens cannot be reached: then nothing can be judged.
    sys.exit(USAGE if code == UNREACHABLE else code)


def _pair(key_id: str | None, secret: str | None) -> KeyPair | None:
    if (key_id is None) is not (secret is None):
        raise click.UsageError("a key pair has an id and a secret: pass --pair-id and --pair-secret-env")
    return KeyPair(key_id, secret) if key_id is not None and secret is not None else None


def _from_environment(name: str | None) -> str | None:
    if name is None:
        return None
    value = os.environ.get(name)
    if not value:
        raise click.UsageError(f"the environment variable {name} holds nothing")
    return value


def _media(paths: Sequence[Path], revision: Revision) -> tuple[Sample, ...]:
    """The segments of the recording, measured; what no server would accept is refused here."""
    if not paths:
        return samples.recording()
    scanner = MediaScanner(revision.contract)
    found = []
    for number, path in enumerate(paths, 1):
        data = path.read_bytes()
        scanner.begin(number)
        seen = scanner.feed(data) or scanner.finish()
        if isinstance(seen, SegmentFault):
            raise click.UsageError(f"{path} cannot be used: {seen.sentence(number)} ({seen.clause_id})")
        found.append(Sample(path.name, data, seen.seconds))
    return tuple(found)


def _announce(target: ServerUnderTest, selection: Selection) -> None:
    """Say beforehand what will be used, and hold to the budget."""
    steps = plan(target, selection)
    total = sum((cost for _, cost in steps), Cost())
    size = f", {total.size / 1e6:.0f} MB in too large segments" if total.size else ""
    use = f"{plural(total.connections, 'connection')}, {total.media_seconds:.0f} s of video{size}"
    if total.media_seconds > target.budget_seconds:
        costly = ", ".join(f"{name} {cost.media_seconds:.0f} s" for name, cost in steps if cost.media_seconds)
        raise click.UsageError(
            f"this takes {total.media_seconds:.0f} s of video, and the budget is {target.budget_seconds:g} s; "
            f"exclude some of {costly}, or take --suite quick"
        )
    click.echo(f"{plural(len(steps), 'scenario')}, at most {use}", err=True)
