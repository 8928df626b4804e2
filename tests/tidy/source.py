"""A file of the repository as the tidy rules see it: text, code without comments and strings, includes, functions."""

import functools
import re

CPP_HEADERS = (".h", ".cuh")
CPP_SOURCES = (".cc", ".cu", ".cpp")

# One alternative per thing whose inside is not code; a raw string first, since it may hold all the others.
_NOT_CODE = re.compile(
    r'R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"'
    r"|//[^\n]*|/\*.*?\*/"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-zA-Z])'(?:\\.|[^'\\\n])+'",
    re.DOTALL,
)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_TYPE_OR_NAMESPACE = re.compile(r"^(?:\[\[.*?\]\]\s*)?(?:inline\s+)?(?:namespace|class|struct|union|enum|extern)\b")
_MEMBER_INITIALISERS = re.compile(r"\)\s*(?:noexcept\s*(?:\([^()]*\))?\s*)?:(?!:)")


def _blank(match):
    """Spaces for everything but line ends, so that positions and line numbers stay."""
    return re.sub(r"[^\n]", " ", match.group(0))


class Function:
    """One function body: its name and the first and last line, signature included."""

    def __init__(self, name, first_line, last_line):
        self.name = name
        self.first_line = first_line
        self.num_lines = last_line - first_line + 1


class SourceFile:
    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.is_header = path.endswith(CPP_HEADERS)
        self.is_cpp = path.endswith(CPP_HEADERS + CPP_SOURCES)
        self.name = path.rsplit("/", 1)[-1]
        self.num_lines = text.count("\n") + (0 if text.endswith("\n") or not text else 1)

    def inside(self, *folders):
        return any(self.path.startswith(folder + "/") for folder in folders)

    def line_of(self, position):
        return self.text.count("\n", 0, position) + 1

    @functools.cached_property
    def code(self):
        """The text with comments and the inside of strings blanked; same length, same lines."""
        return _NOT_CODE.sub(_blank, self.text)

    @functools.cached_property
    def includes(self):
        """(line, spelling with its quotes or brackets) of each include that is not commented out."""
        found = []
        for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*(<[^>\n]+>|"[^"\n]+")', self.text, re.MULTILINE):
            if "#" in self.code[match.start() : match.start(1)]:
                found.append((self.line_of(match.start()), match.group(1)))
        return found

    @functools.cached_property
    def functions(self):
        """Functions outside other functions, by counting braces: exact on code that clang-format has laid out."""
        code = _DIRECTIVE.sub(_blank, self.code)
        found = []
        header_start = 0
        position = 0
        while position < len(code):
            character = code[position]
            if character == "{":
                header = code[header_start:position].strip()
                if not _opens_function(header):
                    if _is_initialiser(header):
                        position = _matching_brace(code, position)
                        if header.endswith("="):
                            header_start = position + 1
                    else:
                        header_start = position + 1
                else:
                    end = _matching_brace(code, position)
                    first = header_start + len(code[header_start:]) - len(code[header_start:].lstrip())
                    found.append(Function(_function_name(header), self.line_of(first), self.line_of(end)))
                    header_start = end + 1
                    position = end
            elif character in ";}":
                header_start = position + 1
            position += 1
        return found


def _opens_function(header):
    header = _without_template(header)
    if "(" not in header or _TYPE_OR_NAMESPACE.match(header) or _is_initialiser(header):
        return False
    return True


def _is_initialiser(header):
    """A brace after `= `, or one that initialises a member before a constructor's body."""
    if re.search(r"(?<![=!<>])=\s*$", header):
        return "operator" not in header.rsplit("(", 1)[0].split()[-1:]
    member = _MEMBER_INITIALISERS.search(header)
    return bool(member) and bool(re.search(r"[\w>]$", header))


def _without_template(header):
    """Drops leading access labels, template<...> clauses and attributes."""
    header = re.sub(r"^(?:(?:public|private|protected)\s*:\s*)+", "", header)
    while header.startswith("template"):
        depth = 0
        for index, character in enumerate(header):
            if character == "<":
                depth += 1
            elif character == ">":
                depth -= 1
                if depth == 0:
                    header = header[index + 1 :].lstrip()
                    break
        else:
            return header
        header = re.sub(r"^requires\s*\((?:[^()]|\([^()]*\))*\)\s*", "", header)
    return header


def _function_name(header):
    """What precedes the parameters; a GoogleTest case is named by its macro's arguments too."""
    match = re.search(r"(TEST(?:_[FP])?\([^)]*\)|operator\W{1,3}|[~\w]+)\s*(?=\(|$)", _without_template(header))
    return match.group(1) if match else "a function"


def _matching_brace(code, opening):
    depth = 0
    for match in re.compile(r"[{}]").finditer(code, opening):
        depth += 1 if match.group(0) == "{" else -1
        if depth == 0:
            return match.start()
    return len(code) - 1
