"""The command line: a table of commands, each imported when it is asked for.

A user's error prints a message and returns its exit status; a bug keeps its traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import click

from septet._cli.early_signals import EarlySignals
from septet._cli.exit_bound import bound_exit
from septet._cli.terminal import (
    OutputClosed,
    OutputError,
    echo,
    echo_json,
    echo_text,
    end_output,
    guarded_streams,
    let_plugin_print,
    traceback_text,
)
from septet._kernel.garbage_collection import collect_seldom
from septet._text import one_line
from septet.errors import ConfigError, PluginError, SeptetError

if TYPE_CHECKING:
    from septet._host.plugin_registry import Host

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "run": ("septet._cli.run:run", "Run a strategy: backtest, paper or live."),
    "check": ("septet._cli.check:check", "Check a strategy file: shape, references, sense."),
    "explain": ("septet._cli.explain:explain", "Show every effective value and its origin."),
    "init": ("septet._cli.init:init", "Make a starter strategy that runs at once."),
    "schema": ("septet._cli.schema:schema", "Write the JSON Schema for editors."),
    "data": ("septet._cli.data:data", "Fetch, import, list and check market data."),
    "sweep": ("septet._cli.sweep:sweep", "Try many settings of a strategy."),
    "trials": ("septet._cli.trials:trials", "List what the ledger of trials knows."),
    "train": ("septet._cli.train:train", "Fit a strategy's model on all its data and store it."),
    "runs": ("septet._cli.runs:runs", "List and show finished runs."),
    "report": ("septet._cli.runs:report", "Make a run's report again."),
    "dashboard": ("septet._cli.dashboard:dashboard", "Show all runs in a browser."),
    "top": ("septet._cli.top:top", "Show one run on the terminal, as it goes on."),
    "chat": ("septet._cli.chat:chat", "Answer listed Telegram chats: state, halt, resume."),
    "halt": ("septet._cli.halt:halt", "Stop a paper or live run from trading, at once."),
    "resume": ("septet._cli.halt:resume", "Let a halted run trade again."),
    "arm": ("septet._cli.arm:arm", "Let agents halt a run, for a while."),
    "replay": ("septet._cli.replay:replay", "Feed a run's journal through the core again."),
    "drill": ("septet._cli.drill:drill", "Rehearse a strategy on a local venue, with faults."),
    "why": ("septet._cli.runs:why", "Show why an order was made."),
    "plugins": ("septet._cli.plugins:plugins", "List, show and check plugins; start one."),
    "mcp": ("septet._cli.mcp:mcp", "Serve tools for agents over stdin and stdout."),
}
"""Name -> (module:command, one line of help); plugins add theirs through `septet_commands`."""


def _import(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


class _LazyGroup(click.Group):
    """A group that imports a command when it runs, not when it is listed."""

    _host: Host | None = None

    def _plugins(self) -> Host:
        if self._host is None:
            from septet._host.plugin_registry import Host

            self._host = Host()
        return self._host

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return our commands in the order of the table, then those of plugins."""
        theirs = [name for name in self._plugins().names("commands") if name not in COMMANDS]
        return [*COMMANDS, *theirs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; a plugin's is looked up only when the name is not ours."""
        if cmd_name in COMMANDS:
            target = COMMANDS[cmd_name][0]
            try:
                found = _import(target)
            except ModuleNotFoundError as error:
                if error.name != target.partition(":")[0]:
                    raise
                raise SeptetError(
                    f"septet {cmd_name} is not part of this installation",
                    hint="reinstall septet",
                ) from None
        else:
            try:
                found = self._plugins().declaration("commands", cmd_name)
            except PluginError as error:
                if error.message.startswith("unknown"):
                    return None
                raise
        if not isinstance(found, click.Command):
            raise SeptetError(f"the command {cmd_name} is not a click command")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve as click does, and name the closest command for an unknown one."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            import difflib

            close = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            if not close and name.endswith((".yaml", ".yml")):
                close = [f"run {name}"]
            hint = f" Did you mean septet {close[0]}?" if close else " Try septet --help."
            ctx.fail(f"There is no command {name!r}.{hint}")
        if name and name not in COMMANDS:
            let_plugin_print()
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, importing none of them."""
        entries = [(name, line) for name, (_, line) in COMMANDS.items()]
        for entry in self._plugins().components("commands"):
            if entry.component.name not in COMMANDS:
                line = entry.component.summary or f"from {entry.distribution}"
                entries.append((entry.component.name, line))
        with formatter.section("Commands"):
            formatter.write_dl(entries)


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import version

    echo(f"septet {version('septet')}")
    ctx.exit()


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 1 the run failed, 2 the input is wrong, 3 stopped by a halt.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and leave.",
)
def cli() -> None:
    """One YAML file, seven plugin layers, from backtest to live."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit status."""
    # numpy asks for huge pages, and a run touches its result arrays once: in a virtual machine
    # backing fresh huge pages took 130 ms for a million bars where small ones took 25.
    os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")
    # Threads of numpy's OpenBLAS spin for 2**26 ticks before they sleep, from the import on: 0.02 s
    # of processor time in every process. They sleep after a third of a millisecond.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")
    # pydantic reads the entry points of every installed package to find plugins of its own.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    collect_seldom()
    words = list(sys.argv[1:] if arguments is None else arguments)
    sys.excepthook = _show_bug
    early = EarlySignals()
    if words[:1] == ["run"]:
        early.hold()
    status = 1
    try:
        # click writes a completion as bytes, and to a shell: it holds names of ours alone
        completes = "_SEPTET_COMPLETE" in os.environ
        with nullcontext() if completes else guarded_streams():
            status = _run(words, early)
    finally:
        early.forget()
        if arguments is None:  # a process of its own
            bound_exit(status)
    sys.exit(status)


def _show_bug(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """Print the text of an exception, which may quote a stranger's file."""
    sys.stderr.write(traceback_text(kind, error, at))


def _run(words: list[str], early: EarlySignals | None = None) -> int:
    """Run the words to their end, that of a stream that takes no output included."""
    try:
        return _answer(words, early)
    except OutputClosed:
        return end_output()
    except OutputError as error:
        end_output()
        with suppress(OutputClosed, OutputError):
            echo(f"septet: the output cannot be written: {error.strerror}", err=True)
        end_output()
        return 1


def _answer(words: list[str], early: EarlySignals | None) -> int:
    try:
        result = cli.main(args=words, prog_name="septet", standalone_mode=False, obj=early)
    except (OutputClosed, OutputError):
        raise
    except click.exceptions.NoArgsIsHelpError as error:
        echo_text(error.ctx.get_help() if error.ctx else one_line(error))
        return 2
    except click.ClickException as error:
        _show_usage(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        blamed = _blamed(error.__cause__ or error)
        if blamed is None:
            echo("septet: stopped", err=True)
            return 130
        _report(blamed, as_json="--json" in words)
        return blamed.exit_code
    except SeptetError as error:
        _report(error, as_json="--json" in words)
        return error.exit_code
    except BaseException as error:  # a plugin's code may raise anything; a bug is raised again
        blamed = _blamed(error)
        if blamed is None:
            raise
        _report(blamed, as_json="--json" in words)
        return blamed.exit_code
    return result if isinstance(result, int) else 0


def _blamed(error: BaseException) -> SeptetError | None:
    """Return the error in place of what a plugin's code raised; None for Ctrl-C and for a bug."""
    from septet._host.blamed_plugin import blamed

    return blamed(error)


def _show_usage(error: click.ClickException) -> None:
    """Print click's message on wrong words, as it does; it may quote the name of a file."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        echo_text(context.get_usage(), err=True)
        echo(f"Try '{context.command_path} -h' for help.", err=True)
        echo(err=True)
    echo(f"Error: {one_line(error.format_message())}", err=True)


def _report(error: SeptetError, *, as_json: bool) -> None:
    """Print an error: problems with their lines, anything else as one message."""
    from septet._app.documents import to_json
    from septet._cli.render import render_error, render_problems

    if as_json:
        echo_json(to_json(error))
    if isinstance(error, ConfigError):
        render_problems(error.problems)
    elif error.problem is not None:
        render_problems([error.problem], total=False)
    else:
        render_error(error)


if __name__ == "__main__":
    main()
