"""Nothing that a stranger wrote moves the cursor, hides text or turns its direction."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._app.drill import drill_folder
from septet._cli.render import render_error, render_problems, render_table
from septet._cli.terminal import (
    OutputClosed,
    OutputError,
    ask,
    console,
    echo,
    echo_json,
    echo_text,
    guarded_streams,
    traceback_text,
)
from septet._live.logs import RunLog
from septet._report.save import save_run
from septet._store.run_folder import Run
from septet._text import MOST_LEVELS, decode_json, one_line, require_shallow, visible
from septet.cli import main
from septet.errors import InputError, Problem
from tests.report.synthetic import make_result

HOSTILE = "\x1b]0;title\x07\x1b[2J\x1b[8mhidden\u202egnp.exe\u2066\x9b31m\r\x08[/bold][link=x]"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
STYLE = re.compile(r"\x1b\[[0-9;]*m")


FORGED = "\nerror: forged by a value\r\n\x85error: forged by a value\u2028error: forged by a value"


def forged(text: str) -> list[str]:
    """Return lines that a value began, after colours, indentation and frames."""
    lines = STYLE.sub("", text).splitlines()
    return [line for line in lines if line.strip(" │┃|·").startswith("error: forged")]


def clean(text: str) -> bool:
    return not OBEYED.search(STYLE.sub("", text)) and "\x1b[8m" not in text


@given(st.text(st.characters(codec=None)))
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = visible(text)
    assert not OBEYED.search(shown)
    assert visible(shown) == shown
    assert re.sub(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4})", "", shown) == re.sub(
        r"\\(x[0-9a-f]{2}|u[0-9a-f]{4})", "", OBEYED.sub("", re.sub("[\ud800-\udfff]", "", text))
    )
    shown.encode()


def test_own_colours_stay_and_nothing_else() -> None:
    text = "\x1b[31m\x1b[1mred\x1b[0m\x1b[8mhidden\x1b[2K\x1b[38;5;1m\x1b[30mblack"
    assert visible(text, styled=True) == (
        "\x1b[31m\x1b[1mred\x1b[0m\\x1b[8mhidden\\x1b[2K\\x1b[38;5;1m\\x1b[30mblack"
    )
    assert visible("lines\nand\ttabs") == "lines\nand\ttabs"


def test_standard_streams_are_guarded_and_given_back(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with guarded_streams():
        sys.stdout.write(HOSTILE)
        print(HOSTILE, file=sys.stderr)
        assert not hasattr(sys.stdout, "buffer")
        with guarded_streams():
            console().print(HOSTILE)
            console(stderr=True).print(HOSTILE, style="red")
    assert sys.stdout is before
    seen = capsys.readouterr()
    assert clean(seen.out + seen.err)
    assert "\\u202e" in seen.out
    assert "[/bold]" in seen.out  # brackets are no markup


def test_a_table_and_its_title_are_visible() -> None:
    from rich.table import Table

    out = io.StringIO()
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    made = console(width=400)
    made.file = out
    made.print(table)
    assert clean(out.getvalue())


@given(st.text(st.characters(codec=None)))
def test_a_value_stays_within_its_line(text: str) -> None:
    shown = one_line(text)
    assert len(shown.splitlines()) <= 1
    assert one_line(shown) == shown
    assert json.loads(json.dumps(text, ensure_ascii=False)) == text
    assert json.loads(visible(json.dumps(text, ensure_ascii=False))) == text


def test_every_way_to_print_keeps_values_within_their_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    table = Table(FORGED, title=FORGED, caption=FORGED)
    table.add_row(Text(FORGED))
    rows = [{"a": FORGED, FORGED: FORGED}]
    problem = Problem(FORGED, FORGED, 1, 1, FORGED, FORGED, FORGED, FORGED)
    with guarded_streams():
        echo(FORGED)
        echo_json(json.dumps({FORGED: FORGED}, ensure_ascii=False))
        ask(FORGED)
        render_error(InputError(FORGED, hint=FORGED))
        render_problems([problem])
        echo_text(render_table(rows, ("a", FORGED)))
        made = console(width=400)
        for each in (FORGED, Text(FORGED), table, Padding(table, 1), Padding(FORGED, 1)):
            made.print(each)
        made.print(FORGED, FORGED, soft_wrap=True)
        library = logging.getLogger("a.library")
        monkeypatch.setattr(library, "propagate", False)  # pytest has handlers above
        library.warning("it printed %s", FORGED)
        library.error("x", exc_info=ValueError(FORGED))
        sys.stderr.write(warnings.formatwarning(FORGED, UserWarning, "a.py", 1))
        sys.stderr.write(traceback_text(ValueError, ValueError(FORGED), None))
    seen = capsys.readouterr()
    assert not forged(seen.out + seen.err)
    assert (seen.out + seen.err).count("forged") > 30


@pytest.mark.parametrize("terminal", [True, False])
def test_the_log_keeps_values_within_their_lines(terminal: bool, tmp_path: Path) -> None:
    out = io.StringIO()
    out.isatty = lambda: terminal  # type: ignore[method-assign]
    log = RunLog(tmp_path, now_ns=lambda: 0, stream=out, strategy=FORGED)
    log.notify("warning", FORGED, {"text": FORGED, "symbol": FORGED, FORGED: FORGED})
    log.close()
    for text in (out.getvalue(), (tmp_path / "log.jsonl").read_text(encoding="utf-8")):
        assert not forged(text)
        assert len(text.splitlines()) == 1
        assert clean(text)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Run:
    result = make_result(symbols=("BTC/USDT",), bars=300, first=100, strategy="s")
    return save_run(result, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def planted(stored: Run, tmp_path: Path) -> Path:
    """A run whose every text is hostile."""
    root = tmp_path / "runs"
    shutil.copytree(stored.folder.parent.parent, root)
    for path in root.rglob("summary.json"):
        document = json.loads(path.read_text())
        for key, value in document.items():
            if isinstance(value, str) and key not in ("start", "end", "first_decision", "created"):
                document[key] = value + HOSTILE + FORGED
        path.write_text(json.dumps(document))
    return root


def call(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([*map(str, words)])
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    "words", [["list"], ["show", "latest"], ["list", "--json"], ["show", "latest", "--json"]]
)
def test_the_texts_of_a_run_are_visible(
    planted: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    call("runs", *words, "--runs", planted)
    seen = capsys.readouterr()
    assert clean(seen.out + seen.err)
    assert not forged(seen.out + seen.err)
    assert "\\x1b]0;title" in seen.out or "u001b]0;title" in seen.out
    if "--json" in words:
        json.loads(seen.out)


FILE = """\
version: 1
name: "x\\e[2J\\u202e\\nerror: forged"
"bad\\e[2J\\u202ekey\\nerror: forged": "\\e]0;t\\a\\nerror: forged"
account: {capital: "\\e[8m1", currency: "\\u202eUSD"}
universe: {symbols: ["BTC/\\e[2JUSD\\nerror: forged"], bar: 1h}
data: {candles: {use: "\\e[2Jcsv\\nerror: forged", path: x}}
signal: {use: rules, long_if: "clo\\e[2Jse > 1"}
"""


def test_the_texts_of_a_strategy_file_are_visible(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a\u202e{'b'}\nerror: forged.yaml"
    path.write_text(FILE, encoding="utf-8")
    for command in (["check"], ["check", "--json"], ["explain"], ["run"]):
        assert call(*command, path) == 2
        seen = capsys.readouterr()
        assert clean(seen.out + seen.err), command
        assert not forged(seen.out + seen.err), command
        assert "\\u202e" in seen.out + seen.err


def test_the_cells_of_a_data_file_are_visible(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "BTC\x1b[2J\nerror: forged.csv"
    rows = "".join(f"2021-01-01 0{h}:00,1,2,\x1b[2J\u202e,1,1\n" for h in range(5))
    path.write_text(f"time,open,high,low\x1b[8m,close,volume\n{rows}", encoding="utf-8")
    for more in ([], ["--time-zone", "\x1b[2J"], ["--column", "low=lo\x1b[8m"]):
        call("data", "check", path, "--bar", "1h", "--stamp", "open", *more)
        seen = capsys.readouterr()
        assert clean(seen.out + seen.err), more
        assert not forged(seen.out + seen.err), more


def test_a_traceback_is_visible() -> None:
    code = (
        "import septet.cli as c\n"
        "def fail(*words): raise ValueError('\\x1b[2J\\u202e\\nerror: forged')\n"
        "c._run = fail\n"
        "c.main([])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "\\x1b[2J\\u202e" in done.stderr
    assert not forged(done.stderr)
    assert clean(done.stderr)


def test_wrong_words_on_the_command_line_stay_in_their_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (
        ["runs", "list", "--last", FORGED], ["data", "check", FORGED, "--bar", FORGED], [FORGED],
        ["runs", "show", FORGED, "--runs", tmp_path / FORGED], ["explain", FORGED, FORGED],
        ["halt", FORGED, "--runs", tmp_path / FORGED], ["plugins", "show", FORGED],
        ["run", FORGED, "--set", FORGED], ["report", FORGED, "--runs", FORGED],
    ):  # fmt: skip
        assert call(*words) == 2, words
        seen = capsys.readouterr()
        assert not forged(seen.out + seen.err), words


def test_the_folder_of_a_drill_lies_where_it_should(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("../../up", "/etc/x", "a\nb", "..", "plain"):
        assert drill_folder(None, name).parent == tmp_path / "drills"


def test_json_with_half_of_a_surrogate_pair_is_refused() -> None:
    for text in ('"\\ud800"', '{"\\uDFFF": 1}', '["\\udc00\\ud800"]', '"\ud800"'):
        with pytest.raises(ValueError, match="half of a surrogate pair"):
            decode_json(text)
    for data in (b'"\xed\xa0\x80"', b"\xff\xfe\x22\x00\x00\xd8\x22\x00"):
        with pytest.raises(UnicodeDecodeError):
            decode_json(data)
    assert decode_json('"\\ud83d\\ude00"') == "\U0001f600"
    assert decode_json('"\\\\ud800"') == "\\ud800"
    assert decode_json('"\u00e9"'.encode("utf-16")) == "\u00e9"


def test_a_tab_in_a_value_is_shown_and_one_in_a_text_stays(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert one_line("ht\ttp://x\n") == "ht\\ttp://x\\n"
    assert visible("a\tb\nc") == "a\tb\nc"
    render_error(InputError("nothing was downloaded from ht\ttps://x", hint="see\tx"))
    output = capsys.readouterr().err
    assert "\t" not in output
    assert "ht\\ttps://x" in output


def test_septet_reads_json_in_one_place() -> None:
    root = Path(__file__).parents[2]
    files = [*(root / "runner").rglob("*.py"), *(root / "plugins").rglob("*.py")]
    reads = re.compile(r"\bjson\.loads?\((?!json\.dumps)")
    found = {path.name for path in files if reads.search(path.read_text(encoding="utf-8"))}
    assert found == {"_text.py"}


@pytest.mark.parametrize("text", ["[{levels}]", '{{"a": {levels}}}'])
def test_json_that_is_nested_too_deeply_is_refused_with_a_message(text: str) -> None:
    for levels in (MOST_LEVELS, 2_000, 200_000):
        for one, other in ("[]", ('{"k":', "}")):
            inner = one * levels + ("1" if one != "[" else "") + other * levels
            with pytest.raises(ValueError, match="it is nested more than 100 levels deep"):
                decode_json(text.format(levels=inner))
    with pytest.raises(ValueError, match="100 levels"):
        decode_json("[" * 100_000)
    deepest = "[" * MOST_LEVELS + "]" * MOST_LEVELS
    assert json.dumps(decode_json(deepest)) == deepest
    assert len(decode_json("[" + "[]," * 500 + "[]]")) == 501
    assert decode_json('"' + "[" * 500 + '"') == "[" * 500


def test_values_that_something_else_decoded_are_bounded_alike() -> None:
    deep: Any = 1
    for number in range(MOST_LEVELS):
        require_shallow(deep)
        deep = [deep] if number % 2 else {"k": deep}
    require_shallow(deep)
    with pytest.raises(ValueError, match="100 levels"):
        require_shallow({"k": deep})


@pytest.mark.parametrize("text", ["https://x/" + "a" * 300_000, "key:" + " " * 300_000 + ","])
def test_a_long_value_is_cut_and_takes_no_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "x.yaml").write_text(f"url: {text}\n", encoding="utf-8")
    file = str(tmp_path / "x.yaml")
    render_problems([Problem(f"no such: {text}", file=file, line=1, column=6, found=text)])
    render_error(InputError(f"no such: {text}", hint=text))
    assert len(capsys.readouterr().err) < 10_000


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
@pytest.mark.parametrize(
    "words", [("explain", "strategies/demo.yaml"), ("schema",), ("--help",), ("plugins", "list")]
)
def test_a_closed_pipe_ends_a_command_without_a_word(words: tuple[str, ...]) -> None:
    root = Path(__file__).parents[2]
    asked = [sys.executable, "-c", "from septet.cli import main; main()", *words]
    with subprocess.Popen(
        asked, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        output = process.stderr.read()
        status = process.wait(60)
    assert output == b""
    assert status == 141


PRINTING = [
    ("check", "strategies/sma-cross.yaml", "--no-data"),
    ("check", "strategies/sma-cross.yaml", "--no-data", "--json"),
    ("explain", "strategies/sma-cross.yaml"), ("schema",), ("--help",), ("--version",),
    ("plugins", "list"), ("plugins", "show", "sma"), ("run", "--help"),
]  # fmt: skip


def _ended(words: tuple[str, ...], ends: str) -> tuple[int, str]:
    """Run a command behind shell redirections; return its status and standard error."""
    command = shlex.join([sys.executable, "-c", "from septet.cli import main; main()", *words])
    done = subprocess.run(
        ["sh", "-c", f"{command} {ends}"], cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("words", PRINTING)
def test_a_full_disk_under_the_output_ends_a_command_in_one_line(words: tuple[str, ...]) -> None:
    said = f"septet: the output cannot be written: {os.strerror(errno.ENOSPC)}\n"
    assert _ended(words, ">/dev/full") == (1, said)
    assert _ended(words, ">/dev/full 2>/dev/full") == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_run_whose_figures_cannot_be_printed_is_stored_and_reported(tmp_path: Path) -> None:
    words = ("run", "strategies/sma-cross.yaml", "--json", "--no-report", "--out", str(tmp_path))
    status, said = _ended(words, ">/dev/full")
    assert status == 1
    assert said.endswith(f"septet: the output cannot be written: {os.strerror(errno.ENOSPC)}\n")
    assert "Traceback" not in said
    assert len([each for each in tmp_path.glob("*/*") if each.is_dir()]) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_an_error_that_cannot_be_printed_has_a_status_and_no_traceback() -> None:
    status, said = _ended(("check", "there-is-none.yaml", "--json"), ">/dev/full")
    assert (status, said.count("\n")) == (1, 1)
    assert _ended(("check", "there-is-none.yaml"), "2>/dev/full")[0] == 1


@pytest.mark.skipif(sys.platform == "win32", reason="streams are closed otherwise there")
@pytest.mark.parametrize("words", PRINTING)
def test_a_closed_output_is_one_that_nobody_reads(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    status, said = call(*words), capsys.readouterr().err
    assert _ended(words, ">&-") == (status, said)
    assert _ended(words, "<&- >&- 2>&-") == (status, "")


def test_tables_end_with_the_disk_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(OutputError, match="No space left"):
        console().print("a table")


def test_tables_end_with_the_pipe_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(OutputClosed):
        console().print("a table")
