"""The functions of a header of ptx/ and what their comments promise: PTX text, ISA version, minimum SM."""

import collections
import re

_FUNCTION = re.compile(r"^__device__ __forceinline__ [\w:&*<> ]*?\b(\w+)\(", re.MULTILINE)
_ASM = re.compile(r"\basm\b")
_NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
_ASM_STATEMENT = re.compile(r'\basm( volatile)?\(\s*((?:"[^"]*"\s*)+)(.*?)\);', re.DOTALL)
# Instructions that others can see or that see others; memory that nobody writes (.nc) is none of it.
_ORDERED = re.compile(r"(?:ld|st|red|atom|fence|mbarrier|cp\.async)\.(?!global\.nc)")
_KEY = re.compile(r"^(PTX|Needs|Source):\s*(.*)$")
_NEEDS = re.compile(r"PTX ISA (\d+)\.(\d+), (sm_\d+a?)\+")
_REGISTER = re.compile(r"%(?:r|rd|rs|f|fd|p|h|b)\d+")


class Sm(collections.namedtuple("Sm", "number own")):
    """A GPU, as sm_80 or sm_90a; `own` where code may use instructions of that GPU alone."""

    @classmethod
    def parse(cls, text):
        number, own = re.fullmatch(r"sm_(\d+)(a?)", text).groups()
        return cls(int(number), bool(own))

    def runs(self, minimum):
        return self.number >= minimum.number and self.own >= minimum.own

    def __str__(self):
        return f"sm_{self.number}{'a' if self.own else ''}"


class Wrapper:
    """A device function. One without assembly of its own is a helper; its `forms` are empty."""

    def __init__(self, name, line, has_asm):
        self.name = name
        self.line = line
        self.has_asm = has_asm
        self.forms = []
        self.isa = None
        self.sm = None

    def legal_on(self, sm):
        return self.sm is None or sm.runs(self.sm)


def normal_form(statement):
    """The mnemonic as it is, the operands by their places only: "ld.b32 {%0, %1}, [a];" is "ld.b32 {#,#},[#]"."""
    mnemonic, _, operands = statement.strip().rstrip(";").strip().partition(" ")

    def place(match):
        token = match.group(0)
        is_special = token.startswith("%") and not token[1:].isdigit() and not _REGISTER.fullmatch(token)
        return token if token == "_" or is_special else "#"

    operands = re.sub(r"%?[\w.$]+", place, operands)
    return f"{mnemonic} {''.join(operands.split())}".strip()


def parse_header(text):
    """(wrappers, problems): every function of the header, and "line: what is wrong" for each broken rule."""
    code = _NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), text)
    wrappers = []
    problems = []
    num_asm = 0
    for match in _FUNCTION.finditer(code):
        body = code[match.start() : _end_of_body(code, match.end())]
        wrapper = Wrapper(match.group(1), code.count("\n", 0, match.start()) + 1, bool(_ASM.search(body)))
        num_asm += len(_ASM.findall(body))
        found = [*_read_comment(wrapper, text), *_lost_order(text[match.start() : match.start() + len(body)])]
        problems += [f"{wrapper.line}: {wrapper.name}: {what}" for what in found]
        wrappers.append(wrapper)
    if num_asm != len(_ASM.findall(code)):
        problems.append("1: an asm lies outside the functions that begin '__device__ __forceinline__' on a line")
    return wrappers, problems


def _lost_order(body):
    """Without volatile or the clobber the compiler moves the statement, or others across it: nothing else would show."""
    for volatile, instructions, operands in _ASM_STATEMENT.findall(body):
        if any(_ORDERED.match(word) for word in re.split(r'[\s"]+|\\n', instructions)):
            if not volatile or '"memory"' not in operands:
                yield f"needs asm volatile and a \"memory\" clobber around {instructions.strip()}"


def _end_of_body(code, position):
    depth = 0
    for match in re.compile(r"[{}]").finditer(code, code.index(") {", position) + 2):
        depth += 1 if match.group(0) == "{" else -1
        if depth == 0:
            return match.end()
    return len(code)


def _comment_above(lines, index):
    """The /// lines above lines[index], without their slashes; template<...> lines may stand between."""
    while index > 0 and not lines[index - 1].startswith("///") and lines[index - 1].strip():
        index -= 1
    first = index
    while first > 0 and lines[first - 1].startswith("///"):
        first -= 1
    return [line[3:].strip() for line in lines[first:index]]


def _read_comment(wrapper, text):
    """Fills the wrapper from its comment; returns what is missing there."""
    values = {"effect": "", "PTX": "", "Needs": "", "Source": ""}
    key = "effect"
    for line in _comment_above(text.split("\n"), wrapper.line - 1):
        found = _KEY.match(line)
        key = found.group(1) if found else key
        values[key] += " " + (found.group(2) if found else line)
    if not values["effect"].strip():
        yield "the comment above must begin with one sentence: the effect"
    needs = _NEEDS.fullmatch(values["Needs"].strip())
    if needs:
        wrapper.isa = (int(needs.group(1)), int(needs.group(2)))
        wrapper.sm = Sm.parse(needs.group(3))
    if not wrapper.has_asm:
        if values["PTX"]:
            yield "has PTX text above it and no asm inside"
        return
    *statements, rest = values["PTX"].split(";")
    wrapper.forms = [normal_form(statement) for statement in statements]
    if not statements or rest.strip():
        yield "write its instructions above it, each ended by a semicolon: 'PTX:    fence.acq_rel.gpu;'"
    if not needs:
        yield "write above it 'Needs:  PTX ISA 7.4, sm_80+', with its numbers"
    if not values["Source"].strip():
        yield "write above it 'Source: PTX ISA manual, \"section\"'"
