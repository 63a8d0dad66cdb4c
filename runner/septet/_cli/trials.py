"""`septet trials`: lists the ledger of trials."""

from __future__ import annotations

import click

from septet._cli import options
from septet._cli.terminal import echo, echo_json

__all__ = ["trials"]


@click.command()
@options.as_json
def trials(as_json: bool) -> None:
    """List the tries of each strategy that the ledger of trials knows.

    Every backtest and every setting of a sweep is a try, counted once for a plan on the same data.
    The ledger is a file of this user; SEPTET_TRIALS=off disables it.
    """
    from septet._app.documents import to_json
    from septet._app.trial_records import trials_document

    document = trials_document()
    if as_json:
        echo_json(to_json(document))
        return
    for each in document["strategies"]:
        span = f"{each['first'][:10]} to {each['last'][:10]}"
        echo(f"{each['strategy']:<30} {each['tries']:>9,} tries, {span}")
    state = "off (SEPTET_TRIALS=off); " if document["off"] else ""
    echo(f"{state}{document['rows']:,} rows in {document['ledger']}", err=True)
