"""The house style, as checks: each failure names the place and states how to mend it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("runner/septet", "plugins/septet_plugins", "schemas/septet_schemas")
CODE = (*PACKAGES, "tests", "examples", "benchmarks", ".ci")
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 70
MAX_COLUMNS = 100
MAX_POSITIONAL = 10
HEAVY = {
    "ccxt", "dask", "distributed", "exchange_calendars", "lightgbm", "numba", "onnx", "onnxruntime",
    "optuna", "pandas", "scipy", "skl2onnx", "sklearn",
}  # fmt: skip
KERNEL_MAY_IMPORT = {"numpy", "numba", "septet._kernel"}
PUBLIC_MODULES = {
    "septet.plugin", "septet.plugin.numeric", "septet.plugin.data", "septet.plugin.risk",
    "septet.plugin.model", "septet.plugin.live", "septet.hookspecs", "septet.errors",
    "septet.messages", "septet_plugins",
}  # fmt: skip
WORLD = {
    "asyncio", "datetime", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets",
    "shutil", "socket", "sqlite3", "subprocess", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip

PRINTERS = {
    "print", "click.echo", "click.secho", "click.confirm", "click.prompt", "Console",
    "rich.print", "rich.console.Console", "sys.stdout.write", "sys.stderr.write",
}  # fmt: skip

# rule -> {the key its finding carries -> reason}; an entry that excuses nothing fails as well.
EXCEPTIONS: dict[str, dict[str, str]] = {
    "safe_writing": {
        "runner/septet/_files.py": "the module through which all others write",
        "plugins/septet_plugins/models/registry.py": "a developer's script writes a table beside",
    },
    "printing": {
        "runner/septet/_cli/terminal.py": "the module through which all others print",
        "runner/septet/cli.py": "a traceback, whose words passed one_line",
        "runner/septet/_drill/sim/__main__.py": "a developer's tool prints seeds and counts",
        "runner/septet/_drill/venue/__main__.py": "the local venue reports its port to its parent",
    },
    "file_length": {
        "runner/septet/messages.py": "one table of every event and command, read as one",
    },
    "positional_parameters": {
        "runner/septet/_kernel/step.py:outside": "an intrinsic of numba, called by plans alone",
        "plugins/septet_plugins/risk/sizing.py:kelly": "a step: the planner binds them by name",
    },
    "import_circles": {
        "runner/septet/_live/train_worker.py": "run as a program, it is a second module",
    },
    "core_imports": {
        "runner/septet/_kernel/step.py:os": "numba reads its settings from the environment only",
    },
}

TOP_LEVEL = {
    # fixed by the design
    "runner", "plugins", "strategies", "schemas", "tests", "examples", "pyproject.toml",
    "README.md",
    # hatchling runs it; what the packages carry of others
    "hatch_build.py", "NOTICE",
    # what every project has
    "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs", ".ci", "Makefile",
    "benchmarks",
    ".editorconfig", ".gitattributes", ".gitignore", ".pre-commit-config.yaml",
}  # fmt: skip


# ---------------------------------------------------------------------------- what is looked at


@cache
def _tracked() -> tuple[str, ...]:
    """Files of the project: those git knows or would add, or all but caches without git."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listing.returncode == 0 and listing.stdout:
        names = listing.stdout.splitlines()
    else:
        names = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file()]
        names = [name for name in names if not re.search(r"(^|/)(\.venv|\.\w+_cache|__pyc)", name)]
    return tuple(sorted(name for name in set(names) if (ROOT / name).is_file()))


def _written() -> list[str]:
    """Files that somebody wrote as part of the project: not rendered ones, not broken inputs."""
    return [name for name in _tracked() if not {"golden", "broken"} & set(name.split("/"))]


def _python(folders: tuple[str, ...] = CODE) -> list[str]:
    under = tuple(f"{each}/" for each in folders)
    return [each for each in _written() if each.endswith(".py") and f"{each}/".startswith(under)]


@cache
def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def _tree(name: str) -> ast.Module:
    return ast.parse(_text(name), filename=name)


@cache
def _nodes(name: str) -> tuple[ast.AST, ...]:
    """All that a file is made of; many rules look at it."""
    return tuple(ast.walk(_tree(name)))


def _module(name: str) -> str:
    for package in PACKAGES:
        if name.startswith(package):
            dotted = name[len(package.split("/")[0]) + 1 : -len(".py")].replace("/", ".")
            return dotted.removesuffix(".__init__")
    return name


def _imports(body: list[ast.stmt], *, nested: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (line, module) of imports at module level, or of all when `nested`."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _imports(node.orelse, nested=nested)
        elif nested or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = [child for child in ast.walk(node) if isinstance(child, ast.stmt)][1:]
            own = {child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)}
            yield from _imports([child for child in inner if child in own], nested=nested)
            for handler in getattr(node, "handlers", []):
                yield from _imports(handler.body, nested=nested)


PRAGMA = re.compile(r"\s+# (type: ignore|noqa|nosec|fmt:).*$")
"""A remark to a tool at the end of a line; the line's length is counted without it."""
Finding = tuple[str, str]
"""What an exception would have to name (a path, or path:name), and the message."""


# ---------------------------------------------------------------------------- the rules


def file_length() -> Iterator[Finding]:
    """Split the file by its reasons to change; move a table into its own module."""
    for name in _python():
        lines = _text(name).count("\n")
        if lines > MAX_FILE_LINES:
            yield name, f"{name}: {lines} lines, at most {MAX_FILE_LINES}"


def function_length() -> Iterator[Finding]:
    """Give the parts of the function names of their own."""
    for name in _python():
        for node in _nodes(name):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    yield (
                        f"{name}:{node.name}",
                        f"{name}:{node.lineno}: {node.name} has {lines} lines, "
                        f"at most {MAX_FUNCTION_LINES}",
                    )


def positional_parameters() -> Iterator[Finding]:
    """Name what belongs together in a record, or take what is given by name after a `*`."""
    for name in _python(PACKAGES):
        for node in _nodes(name):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
                count = len(names) - (names[:1] in (["self"], ["cls"]))
                if count > MAX_POSITIONAL:
                    yield (
                        f"{name}:{node.name}",
                        f"{name}:{node.lineno}: {node.name} has {count} positional parameters, "
                        f"at most {MAX_POSITIONAL}",
                    )


def line_length() -> Iterator[Finding]:
    """Break the line; `make format` breaks most of them."""
    for name in _written():
        data = name.endswith((".toml", ".yaml", ".yml")) and not name.startswith("tests/")
        if not (data or name.endswith(".py")):
            continue
        for number, line in enumerate(_text(name).splitlines(), 1):
            if len(PRAGMA.sub("", line)) > MAX_COLUMNS:
                yield (
                    name,
                    f"{name}:{number}: {len(line)} columns, at most {MAX_COLUMNS}",
                )


def exported_names() -> Iterator[Finding]:
    """Add `__all__` after the imports: what others may use; everything else is private."""
    for name in _python(PACKAGES):
        body = _tree(name).body
        only_docstring = all(
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body
        )
        listed = any(
            isinstance(node, ast.Assign | ast.AnnAssign)
            and "__all__"
            in [ast.unparse(t) for t in getattr(node, "targets", [getattr(node, "target", None)])]
            for node in body
        )
        if not listed and not only_docstring:
            yield name, f"{name}: no __all__"


def broad_except() -> Iterator[Finding]:
    """Name the errors that are expected here, or state on the line why anything may come."""
    for name in _python(PACKAGES):
        lines = _text(name).splitlines()
        for node in _nodes(name):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = ast.unparse(node.type) if node.type else ""
            if isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None:
                continue  # whatever it was goes on to the caller
            bare = node.type is None
            reason = lines[node.lineno - 1].partition("#")[2].strip()
            if bare or (re.search(r"\b(Base)?Exception\b", caught) and not reason):
                place = f"{name}:{node.lineno}"
                yield name, f"{place}: except {caught or 'without a type'} without a reason"


def swallowed_errors() -> Iterator[Finding]:
    """Handle the error, raise it, or state on a line of the handler why it may be dropped."""
    for name in _python(PACKAGES):
        lines = _text(name).splitlines()
        for node in _nodes(name):
            if isinstance(node, ast.ExceptHandler) and isinstance(node.body[0], ast.Pass):
                handler = lines[node.lineno - 1 : node.body[0].lineno]
                if not any("#" in line for line in handler):
                    yield name, f"{name}:{node.lineno}: an error is dropped without a reason"


def printing() -> Iterator[Finding]:
    """Print with septet._cli.terminal, which keeps every value visible and in its line; or log."""
    for name in _python(PACKAGES):
        for node in _nodes(name):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in PRINTERS:
                yield name, f"{name}:{node.lineno}: prints: {ast.unparse(node)[:60]}"


def heavy_imports() -> Iterator[Finding]:
    """Import it inside the function that needs it: `septet --help` must not wait for it."""
    for name in _python(PACKAGES):
        for line, module in _imports(_tree(name).body):
            if module.partition(".")[0] in HEAVY:
                yield f"{name}:{module}", f"{name}:{line}: {module} is imported at module level"


def kernel_imports() -> Iterator[Finding]:
    """Pass it in as an array or a number: the kernel knows numpy, numba and itself."""
    for name in _python(("runner/septet/_kernel",)):
        for line, module in _imports(_tree(name).body, nested=True):
            root = module.partition(".")[0]
            known = {module, root, ".".join(module.split(".")[:2])} & KERNEL_MAY_IMPORT
            if not known and root not in sys.stdlib_module_names:
                yield f"{name}:{module}", f"{name}:{line}: the kernel imports {module}"


def core_imports() -> Iterator[Finding]:
    """Let the shell do it and hand the answer in as an event: the core does no I/O."""
    packages = ("_core", "_kernel", "_live/intake.py")
    for name in _python(tuple(f"runner/septet/{each}" for each in packages)):
        for line, module in _imports(_tree(name).body, nested=True):
            if module.partition(".")[0] in WORLD:
                yield f"{name}:{module}", f"{name}:{line}: the core imports {module}"


def plugin_imports() -> Iterator[Finding]:
    """Add what is missing to septet.plugin: a stranger would need it too."""
    for name in _python(("plugins/septet_plugins", "examples")):
        for line, module in _imports(_tree(name).body, nested=True):
            ours = module.partition(".")[0] in {"septet", "septet_schemas"}
            allowed = module in PUBLIC_MODULES or (module == "septet.testing" and "/tests/" in name)
            if ours and not allowed:
                key = f"{name}:{module}"
                yield key, f"{name}:{line}: {module} is not part of the public door"


def _needed(name: str, modules: Mapping[str, str]) -> set[str]:
    """Return the modules that a file imports when it runs, inside functions as well."""
    found, waiting = set[str](), list[ast.AST]([_tree(name)])
    for node in waiting:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {each if each in modules else node.module for each in inner.values()}
        fields = ["orelse"] if _is_for_types(node) else [
            "body", "orelse", "finalbody", "handlers", "cases",
        ]  # fmt: skip
        waiting += [each for field in fields for each in getattr(node, field, ())
                    if isinstance(each, ast.AST)]  # fmt: skip
    return found & set(modules)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def import_circles() -> Iterator[Finding]:
    """Move what both need into a module of its own; an import in a function counts as well."""
    modules = {_module(name): name for name in _python(PACKAGES)}
    needed = {module: sorted(_needed(name, modules)) for module, name in modules.items()}
    for module, name in modules.items():
        wanted_by = dict.fromkeys(needed[module], module)
        waiting = list(wanted_by)
        for each in waiting:
            for further in needed[each]:
                if further not in wanted_by:
                    wanted_by[further] = each
                    waiting.append(further)
        if module in wanted_by:
            circle = [module, wanted_by[module]]
            while circle[-1] != module:
                circle.append(wanted_by[circle[-1]])
            yield name, f"{name}: a circle of imports: {' -> '.join(reversed(circle))}"


def bare_tasks() -> Iterator[Finding]:
    """Ask the owner's `Tasks` for it: a task or timer of nobody ends without a word."""
    bare = {"TaskGroup", "call_later", "call_soon", "create_task", "ensure_future"}
    for name in _python(PACKAGES):
        if name.startswith(("runner/septet/_host/background_tasks.py", "runner/septet/_drill/")):
            continue  # the supervisor itself; the rehearsal's venue, which is no part of a run
        for node in _nodes(name):
            used = getattr(node, "attr", None) or getattr(node, "id", "")
            if isinstance(node, ast.Attribute | ast.Name) and used in bare:
                yield f"{name}:{used}", f"{name}:{node.lineno}: {used} without an owner"


def unfinished_work() -> Iterator[Finding]:
    """Finish it, or open an issue and delete the mark."""
    marks = re.compile(
        r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b"
    )
    for name in _written():
        if not name.endswith((".py", ".md", ".yaml", ".yml", ".toml", "Makefile", "run")):
            continue
        for number, line in enumerate(_text(name).splitlines(), 1):
            if marks.search(line):
                yield name, f"{name}:{number}: {line.strip()}"


WRITERS = {"write_text", "write_bytes", "mkstemp", "NamedTemporaryFile", "TemporaryFile"}
"""What creates a file by its path. A `write_text(name, text)` of our own takes two values."""
CREATING = re.compile(r"O_(CREAT|WRONLY|RDWR|TRUNC|APPEND)")
BY_PATH = {"write_parquet", "write_csv", "write_ipc", "write_json", "sink_parquet", "savez"}


def _creates_file(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    given = [*call.args, *(each.value for each in call.keywords)]
    if name == "touch":
        return not call.args
    if name in WRITERS:
        return len(call.args) < 2
    if name in BY_PATH:  # a handle or a buffer, by its name; a path is what a library would open
        return len(call.args) < 2 and not (
            call.args and ast.unparse(call.args[0]) in {"file", "data", "buffer"}
        )
    if name != "open":
        return False
    modes = [each.value for each in given if isinstance(each, ast.Constant)]
    by_mode = any(isinstance(mode, str) and re.fullmatch(r"[rwaxbt+]*[wax+][bt+]*", mode)
                  for mode in modes)  # fmt: skip
    return by_mode or any(CREATING.search(ast.unparse(each)) for each in given)


def safe_writing() -> Iterator[Finding]:
    """Write through septet._files, which follows no symbolic link and leaves no half of a file."""
    for name in _python(("runner", "plugins")):
        for node in _nodes(name):
            if isinstance(node, ast.Call) and _creates_file(node):
                yield name, f"{name}:{node.lineno}: creates a file: {ast.unparse(node)[:60]}"


def machine_paths() -> Iterator[Finding]:
    """Write the path relative to the file, or take it from the caller."""
    homes = "|".join(("/" + "root/", "/" + r"home/\w", "/" + r"Users/\w", "/" + "work/"))
    pattern = re.compile(rf"(?<![\w.}}])({homes})")
    for name in _written():
        if Path(name).suffix not in {".py", ".md", ".yaml", ".yml", ".toml", ".json", ".txt", ""}:
            continue
        for number, line in enumerate(_text(name).splitlines(), 1):
            if pattern.search(line):
                yield name, f"{name}:{number}: a path of one machine: {line.strip()[:80]}"


def top_level() -> Iterator[Finding]:
    """Move it into the folder it belongs to: the top level is fixed by the design."""
    present = {name.partition("/")[0] for name in _tracked()}
    yield from ((name, f"{name} is not expected at the top") for name in present - TOP_LEVEL)
    # tests and packages are there or this would not run; the rest is what a stranger looks for
    yield from ((name, f"{name} is missing at the top") for name in TOP_LEVEL - present)


def packages_of_tests() -> Iterator[Finding]:
    """Add an empty __init__.py, so that equal file names in two folders do not collide."""
    folders = {Path(name).parent for name in _python(("tests",))}
    for folder in sorted(folders):
        if not (ROOT / folder / "__init__.py").is_file():
            yield folder.as_posix(), f"{folder.as_posix()}: no __init__.py"


RULES: tuple[Callable[[], Iterator[Finding]], ...] = (
    file_length, function_length, positional_parameters, line_length, exported_names,
    broad_except, swallowed_errors, printing, heavy_imports, kernel_imports, core_imports,
    plugin_imports, import_circles, bare_tasks,
    unfinished_work,
    safe_writing, machine_paths, top_level, packages_of_tests,
)  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house_style(rule: Callable[[], Iterator[Finding]]) -> None:
    excused = EXCEPTIONS.get(rule.__name__, {})
    found = list(rule())
    wrong = [message for key, message in found if key not in excused]
    assert not wrong, f"{rule.__doc__}\n" + "\n".join(wrong)
    stale = sorted(set(excused) - {key for key, _ in found})
    assert not stale, f"no longer needed in EXCEPTIONS[{rule.__name__!r}]: {stale}"


def test_exceptions_name_their_reason() -> None:
    known = {rule.__name__ for rule in RULES}
    assert set(EXCEPTIONS) <= known, f"no such rule: {sorted(set(EXCEPTIONS) - known)}"
    for rule, entries in EXCEPTIONS.items():
        for key, reason in entries.items():
            assert len(reason.split()) >= 3, f"{rule}: {key}: say why in a few words"


# rule -> a file that breaks it: a rule that finds nothing anywhere is no rule.
PLANTED = {
    "file_length": ("tests/long.py", "x = 1\n" * 501),
    "positional_parameters": (
        "runner/septet/wide.py",
        "def f(a, b, c, d, e, f, g, h, i, j, k):\n    pass\n",
    ),
    "function_length": ("tests/tall.py", "def f():\n" + "    x = 1\n" * 70),
    "line_length": ("strategies/wide.yaml", "# " + "x" * 99),
    "exported_names": ("runner/septet/a.py", "x = 1\n"),
    "broad_except": ("runner/septet/a.py", "try:\n    f()\nexcept Exception:\n    g()\n"),
    "swallowed_errors": ("runner/septet/a.py", "try:\n    f()\nexcept OSError:\n    pass\n"),
    "printing": ("runner/septet/a.py", "def f():\n    print(1)\n"),
    "heavy_imports": ("runner/septet/a.py", "try:\n    import scipy.stats\nfinally:\n    f()\n"),
    "kernel_imports": ("runner/septet/_kernel/a.py", "def f():\n    from septet import errors\n"),
    "core_imports": ("runner/septet/_core/a.py", "def f():\n    import time\n"),
    "plugin_imports": ("plugins/septet_plugins/a.py", "from septet._host.declare import Step\n"),
    "import_circles": ("runner/septet/a.py", "def f():\n    import septet.a\n"),
    "bare_tasks": ("runner/septet/_live/a.py", "def f(loop):\n    loop.create_task(g())\n"),
    "unfinished_work": ("docs/a.md", "TO" + "DO: say why"),
    "safe_writing": ("runner/septet/a.py", "def f(p):\n    p.open('w').close()\n"),
    "machine_paths": ("docs/a.md", "see `/ro" + "ot/notes`"),
    "top_level": ("stray/a.py", ""),
    "packages_of_tests": ("tests/room/test_a.py", ""),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_finds_what_it_forbids(
    rule: Callable[[], Iterator[Finding]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, text = PLANTED[rule.__name__]
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    caches = (_tracked, _text, _tree, _nodes)
    try:
        for each in caches:
            each.cache_clear()
        assert any(name.split("/")[0] in message for _, message in rule())
    finally:
        for each in caches:
            each.cache_clear()
