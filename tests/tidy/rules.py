"""The tidy rules. Each takes a SourceFile and yields (line, message); a message says what is wrong and what to do."""

import re

RULES = {}

MAX_HEADER_LINES = 400
MAX_SOURCE_LINES = 500
MAX_FUNCTION_LINES = 70
MAX_STEP_LINES = 120


def rule(function):
    RULES[function.__name__] = function
    return function


def _matches(file, pattern, text=None):
    for match in re.finditer(pattern, file.code if text is None else text):
        yield file.line_of(match.start()), match.group(0).strip()


@rule
def file_size(file):
    limit = MAX_HEADER_LINES if file.is_header else MAX_SOURCE_LINES
    is_source = file.is_cpp or file.path.endswith((".py", ".sh", ".cmake", "CMakeLists.txt")) or file.path == "yard"
    if is_source and file.num_lines > limit:
        yield 1, f"{file.num_lines} lines, at most {limit}: split it by what a reader looks for"


@rule
def function_size(file):
    if not file.is_cpp:
        return
    for function in file.functions:
        limit = MAX_STEP_LINES if function.name == "step" else MAX_FUNCTION_LINES
        if function.num_lines > limit:
            yield function.first_line, f"{function.name} has {function.num_lines} lines, at most {limit}: split it"


@rule
def assembly(file):
    if file.is_cpp and not file.inside("ptx"):
        for line, _ in _matches(file, r"\b(?:asm|__asm|__asm__)\b"):
            yield line, "inline assembly outside ptx/: wrap the instruction in a header there"


ENVIRONMENT_READERS = ("csrc/bootstrap/environment.cc",)


@rule
def environment(file):
    if file.is_cpp and file.path not in ENVIRONMENT_READERS:
        for line, found in _matches(file, r"\b(?:secure_)?getenv\b"):
            yield line, f"{found} outside {' and '.join(ENVIRONMENT_READERS)}: pass the value in as configuration"


# What a backend's headers look like, what the backend is called, and the folders that may include them.
BACKENDS = (
    (r"cuda|cu(?:blas|fft|rand|da)?(?:_\w+)?\.h|cub/|nvtx", "CUDA", ("csrc/targets/cuda", "ptx", "tests/cuda_compile", "tests/gpu", "tests/ptx", "csrc/memory/cuda", "benchmarks/cuda")),
    (r"infiniband/|rdma/", "verbs", ("csrc/transport/verbs",)),
    (r"uc[pst]/", "UCX", ("csrc/transport/ucx",)),
    (r"nccl", "NCCL", ("csrc/transport/nccl", "benchmarks/nccl")),
    (r"mpi\.h", "MPI", ("csrc/bootstrap/mpi", "benchmarks/mpi")),
    (r"torch/|ATen/|c10/|pybind11/|Python\.h", "Python or torch", ("python_bindings",)),
)


@rule
def backend_includes(file):
    for line, spelling in file.includes if file.is_cpp else ():
        for pattern, backend, folders in BACKENDS:
            if re.match(r'["<](?:' + pattern + ")", spelling) and not file.inside(*folders):
                yield line, f"{backend} header {spelling} belongs in {' or '.join(folders)}"


# Where host and device may differ: the function qualifiers, and how a broken invariant ends.
PER_TARGET_PROTOCOL = ("csrc/protocol/host_device.h", "csrc/protocol/check.h")
# Arithmetic of csrc/routing that roles share: it obeys the same rule.
DEVICE_ROUTING = ("csrc/routing/entry_codes.h", "csrc/routing/placement.h", "csrc/routing/term_order.h")
PROTOCOL_STD = "algorithm array bit concepts cstddef cstdint limits span type_traits utility".split()


@rule
def protocol_includes(file):
    """Protocol code is one text for three targets: it knows no operating system and no other layer."""
    is_role_code = file.inside("csrc/protocol") or file.path in DEVICE_ROUTING
    if not is_role_code or file.path in PER_TARGET_PROTOCOL:
        return
    for line, spelling in file.includes:
        own = spelling.startswith(('"csrc/protocol/', '"switchyard/')) or spelling[1:-1] in DEVICE_ROUTING
        if not own and spelling[1:-1] not in PROTOCOL_STD:
            allowed = f"csrc/protocol, {', '.join(DEVICE_ROUTING)}, switchyard/ and <{'>, <'.join(PROTOCOL_STD)}>"
            yield line, f"role code includes {spelling}; it may include {allowed}"
    for line, found in _matches(file, r"\b__CUDA(?:CC__|_ARCH__)"):
        yield line, f"{found} outside {' and '.join(PER_TARGET_PROTOCOL)}: a role is the same text for every target"


LAYERS = {"csrc/runtime": 3, "csrc/targets": 2, "csrc/memory": 2, "csrc/transport": 2, "csrc/bootstrap": 2,
          "csrc/tuning": 2, "csrc/protocol": 1, "csrc/routing": 1}
# Who includes whom outside csrc: the folder, and what it may not include.
OUTSIDE_CSRC = {
    "csrc": ("benchmarks", "tests", "examples", "python_bindings"),
    "benchmarks": ("tests", "examples", "python_bindings"),
    "examples": ("csrc", "benchmarks", "tests", "ptx"),
    "python_bindings": ("benchmarks", "tests", "examples"),
    "ptx": ("csrc", "benchmarks", "tests", "switchyard"),
}
PTX_USERS = ("ptx", "csrc/targets/cuda", "tests")


@rule
def layering(file):
    if not file.is_cpp:
        return
    own = next((level for folder, level in LAYERS.items() if file.inside(folder)), None)
    top = file.path.split("/", 1)[0]
    for line, spelling in file.includes:
        target = spelling[1:-1]
        level = next((level for folder, level in LAYERS.items() if target.startswith(folder + "/")), None)
        if own is not None and level is not None and level > own:
            yield line, f"upward include of {target}: move what both need down, or pass it in"
        if target.split("/", 1)[0] in OUTSIDE_CSRC.get(top, ()):
            yield line, f"{top}/ may not include {target}"
        if target.startswith("ptx/") and not file.inside(*PTX_USERS):
            yield line, f"only {', '.join(PTX_USERS)} may include {target}"
        if spelling.startswith(('"./', '"../')):
            yield line, f"write {target} from the repository's root"


@rule
def public_includes(file):
    """A user needs the public headers and a C++ compiler, nothing else."""
    for line, spelling in file.includes if file.inside("include/switchyard") else ():
        if not re.fullmatch(r'"switchyard/[\w/]+\.h"|<[a-z_]+>', spelling):
            yield line, f"public header includes {spelling}; it may include public headers and the standard library"


@rule
def header_form(file):
    if not file.is_header:
        return
    if not file.text.startswith(("//", "/*")):
        yield 1, "a header starts with a paragraph: what lives here and what does not"
    directives = re.findall(r"^[ \t]*#[ \t]*(.*)$", file.code, re.MULTILINE)
    # Highway compiles an -inl.h once per instruction set, so its guard toggles instead.
    guarded = directives and directives[0].startswith("pragma once")
    if not guarded and not (file.name.endswith("-inl.h") and "HWY_TARGET_TOGGLE" in file.text):
        yield 1, "#pragma once must come right after the opening comment"


@rule
def open_ends(file):
    marker = r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b(?!\(#\d+\))"
    for line, found in _matches(file, marker, file.text):
        yield line, f"{found} without an issue: write {found}(#number), or finish it"


@rule
def banned_code(file):
    if not file.is_cpp:
        return
    if not file.inside("ptx"):
        for line, _ in _matches(file, r"\bvolatile\b"):
            yield line, "volatile is no memory model: use an atomic or an operation of the warp"
    for line, _ in _matches(file, r"\bassert\s*\("):
        yield line, "assert vanishes in release builds: throw an Error, or SY_CHECK an invariant"
    for line, spelling in file.includes:
        if spelling in ("<cassert>", "<assert.h>"):
            yield line, f"{spelling}: throw an Error, or SY_CHECK an invariant"
    if file.inside("csrc/protocol", "csrc/targets"):
        for line, found in _matches(file, r"\b(?:__restrict__|__restrict)\b"):
            yield line, f"{found}: other ranks write this memory, and compilers were seen dropping stores because of it"
    for line, _ in _matches(file, r"#\s*define\s+(?:private|protected)\b"):
        yield line, "test through the interface"


SOURCE_SUFFIX = {"tests/unit": "_test.cc", "tests/protocol": "_test.cc", "tests/conformance": "_test.cc",
                 "tests/process": "_test.cc", "tests/sim": "_test.cc", "benchmarks/micro": "_bench.cc"}


@rule
def source_is_built(file):
    """CMake finds sources by name and folder; one that it does not find would be silently left out."""
    for folder, suffix in SOURCE_SUFFIX.items():
        if file.inside(folder) and file.path.endswith(".cc"):
            misplaced = file.path.count("/") != folder.count("/") + 1
            if misplaced or not (file.name.endswith(suffix) or file.name == "main.cc"):
                yield 1, f"not built: sources of this folder are {folder}/*{suffix}; shared code goes to a support folder"


# Split so that this file passes its own rule: (pattern, halves joined; what to do).
BANNED_TEXT = (
    (r"(?<![\w.-])/wor" + r"k/", "a path of one machine"),
    (r"(?<![\w.-])/ro" + r"ot/", "a path of one machine"),
    (r"deb\.deb" + r"ian\.org|archive\.ubu" + r"ntu\.com", "a registry's host: the machine knows its own mirrors"),
    (r"py" + r"pi\.org|files\.python" + r"hosted\.org", "a registry's host: the machine knows its own mirrors"),
    (r"\bfuture wo" + r"rk\b", "say what is, or open an issue"),
    (r"\bstub" + r"bed\b", "finish it, or leave it out"),
    (r"\bcoming so" + r"on\b", "say what is, or open an issue"),
    (r"\bnot (?:yet )?implem" + r"ented\b", "finish it, or refuse with an error that says what works"),
)


@rule
def banned_text(file):
    for pattern, advice in BANNED_TEXT:
        for match in re.finditer(pattern, file.text, re.IGNORECASE):
            yield file.line_of(match.start()), f"'{match.group(0)}': {advice}"
