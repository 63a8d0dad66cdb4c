"""`septet dashboard`: the pages of all runs in a browser, and who may use them."""

from __future__ import annotations

import sys
import time
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from septet._cli import options
from septet._cli.terminal import echo, echo_json
from septet.errors import InputError

if TYPE_CHECKING:
    from septet._dashboard.site import Right

__all__ = ["dashboard"]

_NEEDS: Final = ("argon2", "jinja2", "starlette", "uvicorn")
_RIGHT = click.option(
    "--right",
    type=click.Choice(["view", "operate"]),
    required=True,
    help="`view` sees everything; `operate` may halt, flatten and resume as well.",
)


@click.group(invoke_without_command=True)
@options.runs_folder
@click.option(
    "--address",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; other than 127.0.0.1 and ::1 need TLS or a proxy.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="Port; 0 selects a free one.",
)
@click.option(
    "--strategies",
    type=click.Path(path_type=Path),
    help="Folder whose strategy files are shown and checked.",
)
@click.option(
    "--certificate", type=click.Path(path_type=Path), help="TLS: the chain of certificates, PEM."
)
@click.option("--key", type=click.Path(path_type=Path), help="TLS: the private key, PEM.")
@click.option(
    "--proxy",
    "proxies",
    multiple=True,
    help="Address of a proxy with TLS; requests from other addresses are rejected.",
)
@click.option("--name", "names", multiple=True, help="Host name of the page for other machines.")
@click.pass_context
def dashboard(
    context: click.Context, root: Path, address: str, port: int, strategies: Path | None,
    *,
    certificate: Path | None, key: Path | None, proxies: tuple[str, ...], names: tuple[str, ...],
) -> None:  # fmt: skip
    """Show all runs in a browser of this machine, or of others over TLS.

    A one-time code is printed, which the page asks for; after each log-in a new one is printed.
    With a certificate or a proxy, users log in by password instead. Ctrl-C ends it. Runs go on
    without it. Needs the extra `dashboard`.
    """
    if context.invoked_subcommand is not None:
        return
    from septet._dashboard.remote_access import remote_access
    from septet._dashboard.serve import serve

    def notify(url: str, code: str) -> None:
        if not code:
            echo(f"Open {url} and log in with a name of septet dashboard user list")
            return
        echo(f"Open {url} and enter the code {code[:5]}-{code[5:]} (it works once)")

    remote = remote_access(address, names=names, proxies=proxies, certificate=certificate, key=key)
    serve(root, address, port, notify, lambda text: echo(text, err=True), strategies, remote)


@dashboard.group()
def user() -> None:
    """Manage who may log in by a password."""
    _need()


@user.command("add")
@click.argument("name")
@_RIGHT
@click.option("--stdin", is_flag=True, help="Read the password from standard input, for scripts.")
def add_user(name: str, right: Right, stdin: bool) -> None:
    """Add a user, or give one another right and password; the password is asked for."""
    from septet._dashboard.accounts import accounts_file, add_user

    path = accounts_file()
    add_user(path, name, right, _password(stdin))
    echo(f"{name} may {right}: {path}")


@user.command("remove")
@click.argument("name")
def remove_user(name: str) -> None:
    """Remove a user: sessions of a page that is served end at once."""
    from septet._dashboard.accounts import accounts_file, remove

    remove(accounts_file(), "user", name)
    echo(f"{name} can no longer log in")


@user.command("list")
@options.as_json
def list_users(as_json: bool) -> None:
    """List users and their rights."""
    from septet._app.documents import to_json
    from septet._dashboard.accounts import accounts_file, read_accounts

    users_by_name = read_accounts(accounts_file()).users
    if as_json:
        rows = [{"name": name, "right": each.right} for name, each in users_by_name.items()]
        echo_json(to_json({"users": rows}))
        return
    for name, each in users_by_name.items():
        echo(f"{name}  {each.right}")
    if not users_by_name:
        echo("no users; septet dashboard user add NAME --right view adds one")


@dashboard.group()
def token() -> None:
    """Manage which programs may use the JSON API."""
    _need()


@token.command("add")
@click.argument("name")
@_RIGHT
@click.option("--days", type=int, default=90, show_default=True, help="Days; 0 is for ever.")
def add_token(name: str, right: Right, days: int) -> None:
    """Make a token and print it once: only its hash is stored."""
    from septet._dashboard.accounts import accounts_file, add_token

    secret = add_token(accounts_file(), name, right, days, time.time())
    echo(
        f"{name} may {right} {f'for {days} days' if days else 'without end'}. Send it as "
        "Authorization: Bearer; it is not shown again:",
        err=True,
    )
    echo(secret)


@token.command("remove")
@click.argument("name")
def remove_token(name: str) -> None:
    """Remove a token: it is refused at once."""
    from septet._dashboard.accounts import accounts_file, remove

    remove(accounts_file(), "token", name)
    echo(f"the token {name} is refused from now on")


@token.command("list")
@options.as_json
def list_tokens(as_json: bool) -> None:
    """List tokens, their rights and when they end."""
    from septet._app.documents import to_json
    from septet._dashboard.accounts import accounts_file, read_accounts
    from septet._data.stamps import iso

    tokens_by_name = read_accounts(accounts_file()).tokens
    rows = [
        {"name": name, "right": each.right,
         "ends": iso(each.ends_s * 1_000_000_000) if each.ends_s else None}
        for name, each in tokens_by_name.items()
    ]  # fmt: skip
    if as_json:
        echo_json(to_json({"tokens": rows}))
        return
    for row in rows:
        ends = f"until {row['ends']}" if row["ends"] else "no end"
        echo(f"{row['name']}  {row['right']}  {ends}")
    if not rows:
        echo("no tokens; septet dashboard token add NAME --right view makes one")


def _need() -> None:
    from septet._extras import need

    for package in _NEEDS:
        need(package, "septet dashboard")


def _password(stdin: bool) -> str:
    if stdin:
        return sys.stdin.readline(2_048).rstrip("\r\n")
    if not sys.stdin.isatty():
        raise InputError(
            "a password is asked for at a terminal, and this is none",
            hint="--stdin reads it from standard input",
        )
    first, second = getpass("Password: "), getpass("The same again: ")
    if first != second:
        raise InputError("the two passwords differ", hint="nothing was written: try again")
    return first
