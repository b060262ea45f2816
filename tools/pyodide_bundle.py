"""Assemble a development Pyodide bundle for workerd from the npm package ``pyodide``.

workerd normally downloads a released bundle and checks its hash. With the compatibility flag
``python_workers_development`` it instead reads ``pyodide_dev.capnp.bin`` from a folder on disk,
so that a machine which only reaches package registries can run a Python Worker too. The file is
one Cap'n Proto message with three modules: Pyodide's JavaScript, its WebAssembly and the
standard library. It is made into an ignored folder and never committed or deployed.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools import ROOT

BUNDLE_NAME = "pyodide_dev.capnp.bin"
PYODIDE_VERSION = "314.0.6"
RECIPE = 1
"""Raise this when the way of assembling changes, so that cached bundles are made anew."""


class BundleError(Exception):
    """The npm package does not look as this module expects it to."""


@dataclass(frozen=True)
class Replacement:
    """A place in Pyodide's JavaScript that an isolate forbids, and workerd's stand-in for it."""

    old: str
    new: str
    count: int


_NO_EVAL = (
    "(()=>{throw new Error('A Worker may not make code from strings, "
    "and Pyodide just tried to.')})()"
)
# Isolates forbid making code from strings or bytes, and any clock or entropy at start. workerd
# exports guarded stand-ins; the counts are those of Pyodide 314.0.6, so that another version,
# where a new forbidden call may have appeared, is noticed here and not by an odd crash.
REPLACEMENTS = (
    Replacement("new WebAssembly.Module(", "newWasmModule(", 4),
    Replacement("await WebAssembly.instantiate(", "await wasmInstantiate(", 2),
    Replacement("Date.now()", "monotonicDateNow()", 22),
    Replacement("crypto.getRandomValues(view)", "getRandomValues(Module,view)", 1),
    # Only the synchronous case: it is the one that loads the shared libraries of a Worker.
    Replacement(
        "return loadWebAssemblyModule(loadLibData(),",
        "return loadWebAssemblyModule(patchedLoadLibData(Module,libName,flags.rpath),",
        1,
    ),
    # A snapshot needs each library at the address where it was when the snapshot was taken.
    Replacement(
        "getMemory(metadata.memorySize+memAlign)",
        "Module.getMemoryPatched(Module,libName,metadata.memorySize+memAlign)",
        1,
    ),
    Replacement("eval(func)", _NO_EVAL, 2),
    Replacement("eval(UTF8ToString(ptr))", _NO_EVAL, 3),
    Replacement("eval(data)", _NO_EVAL, 1),
    Replacement(
        "export default _createPyodideModule;",
        "export{_createPyodideModule};export default _createPyodideModule;",
        1,
    ),
)
_PRELUDE = (
    "import{addEventListener,getRandomValues,location,monotonicDateNow,newWasmModule,"
    "patchedLoadLibData,wasmInstantiate}from'pyodide-internal:builtin_wrappers';\n"
)

_SRC, _WASM, _DATA = 0, 1, 2
"""Which member of the union in a bundle's module is set: JavaScript, WebAssembly or bytes."""
_INTERNAL = 2
"""The module type of everything that only workerd itself may import."""


def patch_javascript(source: str) -> str:
    """Put workerd's stand-ins into Pyodide's JavaScript; fail when a place is missing."""
    for item in REPLACEMENTS:
        found = source.count(item.old)
        if found != item.count:
            raise BundleError(
                f"pyodide.asm.mjs holds {item.old!r} {found} times, not {item.count}: this is "
                f"not Pyodide {PYODIDE_VERSION}; check each place before changing the count"
            )
        source = source.replace(item.old, item.new)
    if "eval(" in source:
        raise BundleError("pyodide.asm.mjs still calls eval() after all replacements")
    return _PRELUDE + source


def encode_bundle(modules: list[tuple[str, int, bytes]]) -> bytes:
    """Write the bundle's one Cap'n Proto message: a struct that holds a list of modules.

    A module takes one data word (its type, then which member of the union is set) and four
    pointers (name, the union's value, and two that stay empty). Each of *modules* is its name,
    the member of the union, and the value.
    """
    words_each = 5
    body = bytearray()
    # Word 0 points to the struct in word 1, whose only pointer names the list that follows it.
    body += struct.pack("<iHH", 0 << 2 | 0, 0, 1)
    body += struct.pack("<iI", 0 << 2 | 1, len(modules) * words_each << 3 | 7)
    body += struct.pack("<iHH", len(modules) << 2 | 0, 1, 4)
    elements = len(body)
    body += bytes(len(modules) * words_each * 8)
    for index, (name, member, value) in enumerate(modules):
        element = elements + index * words_each * 8
        struct.pack_into("<HH", body, element, _INTERNAL, member)
        for pointer, blob in ((8, name.encode() + b"\0"), (16, value)):
            offset = (len(body) - (element + pointer) - 8) // 8
            struct.pack_into("<iI", body, element + pointer, offset << 2 | 1, len(blob) << 3 | 2)
            body += blob
            body += bytes(-len(body) % 8)
    return struct.pack("<II", 0, len(body) // 8) + bytes(body)


def build_bundle(package: Path) -> bytes:
    """Make the bundle from the unpacked npm package in folder *package*."""
    version = json.loads((package / "package.json").read_text("utf-8"))["version"]
    if version != PYODIDE_VERSION:
        raise BundleError(f"npm package pyodide is {version}, expected {PYODIDE_VERSION}")
    javascript = patch_javascript((package / "pyodide.asm.mjs").read_text("utf-8"))
    prefix = "pyodideRuntime-internal:"
    return encode_bundle(
        [
            (prefix + "pyodide.asm", _SRC, javascript.encode()),
            (prefix + "pyodide.asm.wasm", _WASM, (package / "pyodide.asm.wasm").read_bytes()),
            (prefix + "python_stdlib.zip", _DATA, (package / "python_stdlib.zip").read_bytes()),
        ]
    )


def ensure_bundle(root: Path = ROOT) -> Path:
    """Return the folder that holds the bundle, making it if it is not there yet."""
    folder = root / ".wrangler" / "pyodide" / f"{PYODIDE_VERSION}-{RECIPE}"
    target = folder / BUNDLE_NAME
    if target.exists():
        return folder
    package = root / "node_modules" / "pyodide"
    if not package.is_dir():
        raise BundleError("npm package pyodide is missing: run `npm ci` first")
    folder.mkdir(parents=True, exist_ok=True)
    content = build_bundle(package)
    # Tests may ask from several processes at once: write aside, then rename, so that nobody
    # reads half a file.
    handle, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(name).replace(target)
    return folder


def main() -> int:
    """Make the bundle and print its folder."""
    try:
        print(ensure_bundle())
    except BundleError as error:
        print(f"pyodide_bundle: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
