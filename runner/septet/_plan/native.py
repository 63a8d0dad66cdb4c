"""Compiled plans without the compiler: machine code is loaded in a tenth of numba's time.

When a plan has been compiled, the machine code of its entries is kept beside numba's own cache,
with a small wrapper that takes an address and two times. A later process links that code with
llvmlite alone and never imports numba. It is the same machine code, so the bits are the same.
Where anything is missing or unexpected the plan is loaded through numba.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from septet._files import replace_file
from septet._kernel.numba_inside import is_known
from septet._text import decode_json

__all__ = ["ENTRIES", "Entries", "address_of", "keep", "load"]

ENTRIES: Final = ("observe", "trade", "signals", "signal")
"""What is kept of a module, where it has it: what a batch calls, and what that calls."""
_MAGIC: Final = b"septet machine code 2\n"
_OURS: Final = frozenset({"NUMBA_DISABLE_INTEL_SVML", "NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR"})


class Entries:
    """The entries of a plan as machine code; call them as those of its module.

    `addresses` are those at which compiled code calls them.
    """

    def __init__(self, wrappers: dict[str, int], addresses: dict[str, int], engine: Any) -> None:
        kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
        self._engine = engine  # the code lives as long as it does
        self._calls = {name: kind(address) for name, address in wrappers.items()}
        self.addresses = addresses

    def observe(self, start: int, stop: int, *arrays: Any) -> int:
        """Advance the features over a stretch of times."""
        return self._call("observe", start, stop, arrays)

    def trade(self, start: int, stop: int, *arrays: Any) -> int:
        """Trade a stretch of times; the time reached, short of `stop` when the log is full."""
        return self._call("trade", start, stop, arrays)

    def _call(self, name: str, start: int, stop: int, arrays: Sequence[Any]) -> int:
        """Call an entry; Python's lock is not held meanwhile, and threads share nothing here."""
        block = _block(start, stop, arrays)
        reached = int(self._calls[name](block.ctypes.data))
        if block[0]:
            raise SystemError(f"the compiled plan failed in {name} with status {int(block[0])}")
        return reached


def _block(start: int, stop: int, arrays: Sequence[Any]) -> Any:
    """Write arrays as compiled code takes them, after the status and two times."""
    slots = [0, start, stop]
    for each in arrays:
        slots += [0, 0, each.size, each.itemsize, each.ctypes.data, *each.shape, *each.strides]
    return np.array(slots, dtype=np.int64)


def _usual() -> bool:
    """Whether no setting of numba changes its code: the name of a plan does not cover them."""
    if not is_known():
        return False
    return not any(name.startswith("NUMBA_") and name not in _OURS for name in os.environ)


@cache
def _processor() -> str:
    """Name what machine code depends on: the processor and what it can do."""
    import llvmlite.binding as llvm

    described = (
        llvm.get_process_triple(), llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(), str(llvm.llvm_version_info),
    )  # fmt: skip
    return hashlib.sha256("|".join(described).encode()).hexdigest()[:12]


def _file(folder: Path) -> Path:
    return folder / f"{folder.name}.{_processor()}.code"


def _trampoline(name: str, symbol: str, kind: Any) -> Any:
    """Write the wrapper of an entry: slots of a block become arguments of the compiled code."""
    from llvmlite import ir

    int64 = ir.IntType(64)
    module = ir.Module(name=f"septet_{name}")
    inner = ir.Function(module, kind, name=symbol)
    trampoline = ir.Function(
        module, ir.FunctionType(int64, [int64.as_pointer()]), name=f"septet_{name}"
    )
    build = ir.IRBuilder(trampoline.append_basic_block())
    (block,) = trampoline.args
    result, failure = build.alloca(kind.args[0].pointee), build.alloca(kind.args[1].pointee)
    build.store(ir.Constant(int64, 0), result)
    arguments = [result, failure]
    for lane, kind_of_argument in enumerate(kind.args[2:], start=1):
        value = build.load(build.gep(block, [ir.Constant(int64, lane)]))
        arguments.append(
            value if kind_of_argument == int64 else build.inttoptr(value, kind_of_argument)
        )
    status = build.call(inner, arguments)
    build.store(build.sext(status, int64), block)
    build.ret(build.load(result))
    return module


def _looked_up(final: Any, wrappers: set[str]) -> tuple[set[str], set[str]]:
    """Return the names that compiled code looks up, and those of numba's own wrappers alone."""
    names = [each.name for each in final.functions if each.is_declaration]
    names = [name for name in names if not name.startswith("llvm.")]
    bodies = [
        str(each)
        for each in final.functions
        if not each.is_declaration and each.name not in wrappers
    ]
    used = {name for name in names if any(re.search(rf'@"?{name}"?\b', body) for body in bodies)}
    return used, set(names) - used


def address_of(entry: Any) -> int:
    """Return the address at which compiled code calls an entry that numba compiled."""
    (compiled,) = entry.overloads.values()
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


def _machine_code(
    module: ModuleType,
) -> tuple[list[bytes], dict[str, str], set[str], set[str]] | None:
    """Return the objects of a freshly compiled module's entries, and the names they look up.

    The second value maps each entry to its name in the objects.
    """
    import llvmlite.binding as llvm

    objects: list[bytes] = []
    entries: dict[str, str] = {}
    used: set[str] = set()
    unused: set[str] = set()
    for entry in ENTRIES:
        dispatcher: Any = getattr(module, entry, None)
        if dispatcher is None:
            continue
        (compiled,) = dispatcher.overloads.values()
        library, shape = compiled.library, compiled.fndesc
        kind = dispatcher.targetctx.call_conv.get_function_type(shape.restype, shape.argtypes)
        lanes = sum(5 + 2 * each.ndim for each in shape.argtypes[2:])
        if len(kind.args) != 4 + lanes or str(shape.restype) != "int64":
            return None
        wrappers = {shape.llvm_cpython_wrapper_name, shape.llvm_cfunc_wrapper_name}
        looked_up, unentered = _looked_up(library._final_module, wrappers)
        used, unused = used | looked_up, unused | unentered
        trampoline = llvm.parse_assembly(str(_trampoline(entry, shape.llvm_func_name, kind)))
        trampoline.verify()
        objects += [library._get_compiled_object(), library.codegen._tm.emit_object(trampoline)]
        entries[entry] = shape.llvm_func_name
    return (objects, entries, used, unused - used) if entries else None


def keep(module: ModuleType, folder: Path) -> None:
    """Store the machine code of a newly compiled module, if that is possible."""
    if not _usual():
        return
    try:
        code = _machine_code(module)
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return  # another numba than the one this was written for: its own cache serves
    if code is None:
        return
    objects, entries, used, unused = code
    body = b"".join(objects)
    head = {
        "sizes": [len(each) for each in objects],
        "entries": entries,
        "used": sorted(used),
        "unused": sorted(unused),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    # A disk that is full or read-only costs the next process time, and this one nothing.
    with contextlib.suppress(OSError):
        content = _MAGIC + json.dumps(head).encode() + b"\n" + body
        replace_file(_file(folder), content, mode=0o600)


def load(folder: Path) -> Entries | None:
    """Link the kept machine code of a plan; None where there is none for this machine.

    Raises
    ------
    ValueError
        If the file is there and damaged.
    """
    if not _usual():
        return None
    path = _file(folder)
    try:
        data = path.read_bytes()
    except OSError:
        return None
    magic, _, after_magic = data.partition(b"\n")
    head_text, _, body = after_magic.partition(b"\n")
    if magic + b"\n" != _MAGIC:
        raise ValueError(f"{path} does not begin as it should")
    try:
        head = decode_json(head_text)
    except ValueError:
        raise ValueError(f"{path} does not state what it holds") from None
    if hashlib.sha256(body).hexdigest() != head["sha256"]:
        raise ValueError(f"{path} is not what was written")
    return _link(body, head)


def _link(body: bytes, head: Mapping[str, Any]) -> Entries | None:
    """Link objects; None if the code needs a symbol that only the compiler provides."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(jit=True)
    # An engine opens the process's own symbols, which are looked up next.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    nowhere = llvm.address_of_symbol("PyErr_Occurred")
    if nowhere is None or any(llvm.address_of_symbol(name) is None for name in head["used"]):
        return None
    for name in head["unused"]:  # of numba's wrappers for Python, which are linked and never called
        if llvm.address_of_symbol(name) is None:
            llvm.add_symbol(name, nowhere)
    at = 0
    for size in head["sizes"]:
        engine.add_object_file(llvm.ObjectFileRef.from_data(body[at : at + size]))
        at += size
    engine.finalize_object()
    entries: dict[str, str] = head["entries"]
    wrappers = {name: engine.get_function_address(f"septet_{name}") for name in entries}
    addresses = {name: engine.get_function_address(symbol) for name, symbol in entries.items()}
    is_complete = all((*wrappers.values(), *addresses.values()))
    return Entries(wrappers, addresses, engine) if is_complete else None
