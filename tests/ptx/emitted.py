"""What nvcc made of the probe kernels: the inline assembly of each, and modules of one kernel for the assembler."""

import re

from wrappers import normal_form

_ENTRY = re.compile(r"^(?:\.visible )?\.entry (\w+)\(", re.MULTILINE)
_INLINE = re.compile(r"// begin inline asm\n(.*?)// end inline asm", re.DOTALL)
# A predicate has to become a C++ value; these statements around an instruction do only that.
_AROUND = re.compile(r"(?:\.reg|selp\.b32) ")
_PREFIX = "probe_"


# What a kernel's name says of its form: l1, l2 have the hint and others lack it; 32 and 64 are the width.
_HINTS = {"l1": re.compile(r"\.L1::"), "l2": re.compile(r"\.L2::cache_hint")}
_WIDTHS = {"32": re.compile(r"\.[bu]32\b"), "64": re.compile(r"\.[bu]64\b")}


class Kernel:
    """probe_<wrapper> or probe_<wrapper>__<form>, where form is words such as l1_l2 or 64."""

    def __init__(self, name, text):
        self.name = name
        self.wrapper, _, form = name.removeprefix(_PREFIX).partition("__")
        self.form = form.split("_")
        self.text = text
        self.statements = [form for block in _INLINE.findall(text) for form in _statements(block)]

    def wrong_form(self, statement):
        """What the kernel's name says of the statement and is not so, or ""."""
        for hint, pattern in _HINTS.items():
            if bool(pattern.search(statement)) != (hint in self.form):
                return f"{'no ' if hint in self.form else 'an '}{hint} hint"
        for width, pattern in _WIDTHS.items():
            if width in self.form and not pattern.search(statement):
                return f"another width than {width}"
        return ""


def _statements(block):
    text = "\n".join(line for line in block.split("\n") if line.strip() not in ("{", "}"))
    for statement in text.split(";"):
        if statement.strip() and not _AROUND.match(statement.strip()):
            yield normal_form(" ".join(statement.split()))


def parse_module(text):
    return [Kernel(match.group(1), text[match.start() : _end(text, match.end())]) for match in _ENTRY.finditer(text)]


def _end(text, position):
    """Behind the brace that closes the kernel; vectors and inline blocks have braces of their own."""
    depth = 0
    for match in re.compile(r"[{}]").finditer(text, position):
        depth += 1 if match.group(0) == "{" else -1
        if depth == 0:
            return match.end()
    return len(text)


def module_of(text, kernels, kernel, isa, sm):
    """The module with one of its kernels alone, as of another ISA version and for another GPU."""
    for other in kernels:
        if other is not kernel:
            text = text.replace(other.text, "")
    text = re.sub(r"^\.version .*$", f".version {isa[0]}.{isa[1]}", text, flags=re.MULTILINE)
    return re.sub(r"^\.target .*$", f".target {sm}", text, flags=re.MULTILINE)
