#!/usr/bin/env python3
"""Holds what nvcc emits for the wrappers of ptx/ against the comments above them. No GPU is needed.

  check.py documents HEADER...                  every wrapper says its PTX, ISA version, minimum SM and source
  check.py emits HEADER SM PTX CUBIN            the PTX is what the comments say, and every wrapper is called
  check.py claims HEADER PTX PTXAS              the ISA version and the minimum SM are the lowest that assemble
  check.py skip REASON                          says that there is no nvcc to compile with, and skips
  check.py refuses SM HEADER... -- COMMAND...   COMMAND calls all wrappers for SM, and fails by name for those above it
"""

import os
import subprocess
import sys
import tempfile

from emitted import module_of, parse_module
from wrappers import Sm, parse_header

SKIPPED = 77  # as SKIP_RETURN_CODE in CMakeLists.txt

# What the assembler can still make code for, with the ISA version that introduced it, and all ISA versions.
TARGETS = {"sm_75": (6, 3), "sm_80": (7, 0), "sm_89": (7, 8), "sm_90": (7, 8), "sm_90a": (8, 0), "sm_100": (8, 6),
           "sm_100a": (8, 6)}
ISA_VERSIONS = [(6, minor) for minor in range(3, 6)] + [(7, minor) for minor in range(9)] + [
    (8, minor) for minor in range(9)] + [(9, 0)]


def emits(wrappers, sm, kernels):
    """Problems of the kernels that were compiled for `sm`."""
    by_name = {}
    for wrapper in wrappers:
        by_name.setdefault(wrapper.name, []).append(wrapper)
    documented = {form for wrapper in wrappers for form in wrapper.forms}
    for kernel in kernels:
        if kernel.wrapper not in by_name:
            yield f"{kernel.name} calls no function of this header: name it probe_<function> or probe_<function>__<form>"
            continue
        overloads = by_name[kernel.wrapper]
        if not any(wrapper.legal_on(sm) for wrapper in overloads):
            yield f"{kernel.name} assembles for {sm}, but the comment needs {overloads[0].sm}"
        is_helper = not any(wrapper.has_asm for wrapper in overloads)
        allowed = documented if is_helper else {form for wrapper in overloads for form in wrapper.forms}
        if not is_helper and not kernel.statements:
            yield f"{kernel.name} emits nothing: is its result used?"
        for statement in kernel.statements:
            if statement not in allowed:
                yield f"{kernel.name} emits '{statement}'; the comment says {' or '.join(sorted(allowed))}"
            elif kernel.wrong_form(statement):
                yield f"{kernel.name} emits '{statement}', with {kernel.wrong_form(statement)}"
    for wrapper in wrappers:
        if not wrapper.legal_on(sm):
            continue
        own = [kernel for kernel in kernels if kernel.wrapper == wrapper.name]
        if not own:
            yield f"{wrapper.name} (line {wrapper.line}) has no kernel probe_{wrapper.name} for {sm}"
        for form in wrapper.forms if own else ():
            if not any(form in kernel.statements for kernel in own):
                yield f"{wrapper.name} (line {wrapper.line}) documents '{form}', and no kernel emits it"


def claims(wrappers, module, assemble):
    """Problems of ISA version and minimum SM. assemble(text, sm) says whether the assembler takes it."""
    kernels = parse_module(module)
    for wrapper in wrappers:
        if not wrapper.has_asm:
            continue
        own = [kernel for kernel in kernels if kernel.wrapper == wrapper.name]
        # Overloads share a name: the kernels of this one emit its forms.
        own = [kernel for kernel in own if set(kernel.statements) & set(wrapper.forms)]
        if not own:
            yield f"{wrapper.name} has no kernel"
            continue

        def every_form(isa, sm, own=own):
            return all(assemble(module_of(module, kernels, kernel, isa, sm), sm) for kernel in own)

        can_assemble = [sm for sm in TARGETS if Sm.parse(sm).runs(wrapper.sm)]
        lowest = can_assemble[0]
        isa = max(wrapper.isa, TARGETS[lowest])
        if not every_form(isa, lowest):
            yield f"{wrapper.name} does not assemble for {lowest} with ISA {isa[0]}.{isa[1]}, as its comment promises"
            continue
        older = [version for version in ISA_VERSIONS if TARGETS[lowest] <= version < isa]
        if older and every_form(older[-1], lowest):
            yield f"{wrapper.name} assembles with ISA {older[-1][0]}.{older[-1][1]} already"
        below = list(TARGETS)[: list(TARGETS).index(lowest)]
        if below and every_form(ISA_VERSIONS[-1], below[-1]):
            yield f"{wrapper.name} assembles for {below[-1]} already"


def refuses(wrappers, sm, returncode, output):
    """Problems of a compilation that called every wrapper for `sm`."""
    above = [wrapper for wrapper in wrappers if wrapper.has_asm and not wrapper.legal_on(sm)]
    if not above and returncode != 0:
        yield f"every wrapper is legal for {sm}, and the compiler fails:\n{output}"
    for wrapper in above:
        if f'"{wrapper.name} needs {wrapper.sm}"' not in output:
            yield f"{wrapper.name}: instantiated for {sm}, the compiler must say '{wrapper.name} needs {wrapper.sm}'"


def _read(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def _assembler(ptxas, folder):
    def assemble(text, sm):
        path = os.path.join(folder, "one_kernel.ptx")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        command = [ptxas, f"--gpu-name={sm}", path, "--output-file", path + ".cubin"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    return assemble


def _report(where, problems):
    problems = list(problems)
    for problem in problems:
        print(f"{where}: {problem}")
    return 1 if problems else 0


def main(command, *arguments):
    if command == "documents":
        return max(_report(path, parse_header(_read(path))[1]) for path in arguments)
    if command == "skip":
        print(f"skipped: no device code here: {arguments[0]}")
        return SKIPPED
    if command == "emits":
        header, sm, ptx, cubin = arguments
        for path in (ptx, cubin):
            if not os.path.exists(path):
                return _report(header, [f"{path} is missing: build the target switchyard_ptx_probes"])
        return _report(header, emits(parse_header(_read(header))[0], Sm.parse(sm), parse_module(_read(ptx))))
    if command == "claims":
        header, ptx, ptxas = arguments
        with tempfile.TemporaryDirectory() as folder:
            return _report(header, claims(parse_header(_read(header))[0], _read(ptx), _assembler(ptxas, folder)))
    if command == "refuses":
        sm, *rest = arguments
        headers, compiler = rest[: rest.index("--")], rest[rest.index("--") + 1 :]
        done = subprocess.run(compiler, capture_output=True, text=True, check=False)
        wrappers = [wrapper for header in headers for wrapper in parse_header(_read(header))[0]]
        return _report("ptx", refuses(wrappers, Sm.parse(sm), done.returncode, done.stdout + done.stderr))
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) > 2 else __doc__)
