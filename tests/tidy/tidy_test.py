#!/usr/bin/env python3
"""For every tidy rule: samples that must be caught, and neighbours of each that must not be."""

import unittest

from rules import RULES
from source import SourceFile
from tidy import check

HEADER = "// What lives here.\n#pragma once\n"


def body(num_lines):
    return "  call();\n" * num_lines


def member_step(num_lines):
    return "struct Role {\n  template <class Warp>\n  Progress step(Warp& warp) {\n" + body(num_lines - 3) + "  }\n};\n"


# rule: (caught, passed), each a list of (path, text). Words the rules forbid are joined here as they are there.
SAMPLES = {
    "file_size": (
        [("csrc/a.h", HEADER + "\n" * 399), ("csrc/a.cc", "\n" * 501), ("yard", "\n" * 501)],
        [("csrc/a.h", HEADER + "\n" * 398), ("csrc/a.cc", "\n" * 500), ("docs/a.md", "\n" * 900)],
    ),
    "function_size": (
        [
            ("csrc/a.cc", "void f() {\n" + body(69) + "}\n"),
            ("csrc/a.cc", "namespace n {\nint f(int a,\n      int b) {\n" + body(68) + "}\n}\n"),
            ("csrc/a.cc", "class A {\n public:\n  void f() const {\n" + body(69) + "  }\n};\n"),
            ("csrc/a.cc", "A::A() : a_{1}, b_(2) {\n" + body(69) + "}\n"),
            ("csrc/a.cc", "TEST(Unit, DoesThis) {\n" + body(69) + "}\n"),
            ("csrc/a.cc", "int table[] = {1, 2};\nvoid f() {\n" + body(69) + "}\n"),
            ("csrc/a.cc", "struct A {\n  int b{1};\n};\nvoid f() {\n" + body(69) + "}\n"),
            ("csrc/a.cc", "const char* brace = \"{\";\nvoid f() {\n  // }\n" + body(68) + "}\n"),
            ("csrc/a.cc", "#define OPEN {\nvoid f() {\n" + body(69) + "}\n"),
            ("csrc/a.cc", "const auto f = [](int a) {\n" + body(69) + "};\n"),
            ("csrc/a.cc", member_step(121)),
        ],
        [
            ("csrc/a.cc", "void f() {\n" + body(68) + "}\n"),
            ("csrc/a.cc", "class A {\n" + "  void f() {}\n" * 90 + "};\n"),
            ("csrc/a.cc", "namespace {\nconst int a[] = {\n" + "  1,\n" * 90 + "};\n}\n"),
            ("csrc/a.cc", "constexpr std::array<int, 2> a{\n" + "  1,\n" * 90 + "};\n"),
            ("csrc/a.cc", "A::A() : a_{1}, b_{2} {\n" + body(68) + "}\nvoid f() {\n" + body(60) + "}\n"),
            ("csrc/a.cc", member_step(120)),
        ],
    ),
    "assembly": (
        [("csrc/a.cc", 'void f() { asm("nop"); }\n'), ("csrc/a.cc", '__asm__ __volatile__("");\n')],
        [("ptx/a.h", HEADER + 'asm("nop");\n'), ("csrc/a.cc", '// asm\nconst char* asm_text = "asm";\n')],
    ),
    "environment": (
        [("csrc/a.cc", 'std::getenv("A");\n'), ("benchmarks/cli/a.cc", 'secure_getenv("A");\n')],
        [
            ("csrc/bootstrap/environment.cc", 'std::getenv("A");\n'),
            ("csrc/bootstrap/environment.cc", 'std::getenv("A");\n'),
            ("tests/process/a_test.cc", 'setenv("A", "1", 1);\n'),
        ],
    ),
    "backend_includes": (
        [
            ("csrc/runtime/a.cc", "#include <cuda_runtime.h>\n"),
            ("csrc/runtime/a.cc", "#include <cuda/ptx>\n"),
            ("csrc/runtime/a.cc", "#include <cub/cub.cuh>\n"),
            ("csrc/memory/a.cc", "#  include <infiniband/verbs.h>\n"),
            ("csrc/transport/verbs/a.cc", "#include <ucp/api/ucp.h>\n"),
            ("csrc/transport/ucx/a.cc", "#include <nccl.h>\n"),
            ("benchmarks/cli/a.cc", "#include <mpi.h>\n"),
            ("csrc/runtime/a.cc", "#include <torch/extension.h>\n"),
        ],
        [
            ("csrc/targets/cuda/a.cc", "#include <cuda_runtime.h>\n"),
            ("csrc/transport/verbs/a.cc", "#include <infiniband/verbs.h>\n"),
            ("csrc/transport/ucx/a.cc", "#include <ucp/api/ucp.h>\n"),
            ("benchmarks/mpi/a.cc", "#include <mpi.h>\n"),
            ("csrc/runtime/a.cc", '// #include <mpi.h>\n#include "csrc/targets/cuda/launch.h"\n#include <cuchar>\n'),
        ],
    ),
    "protocol_includes": (
        [
            ("csrc/protocol/a.h", HEADER + "#include <mutex>\n"),
            ("csrc/protocol/a.h", HEADER + "#include <sys/mman.h>\n"),
            ("csrc/protocol/a.h", HEADER + '#include "csrc/routing/counts.h"\n'),
            ("csrc/routing/placement.h", HEADER + "#include <vector>\n"),
            ("csrc/protocol/a.h", HEADER + "#ifdef __CUDACC__\n#endif\n"),
        ],
        [
            ("csrc/protocol/a.h", HEADER + '#include <cstdint>\n\n#include "csrc/protocol/b.h"\n#include "switchyard/c.h"\n'),
            ("csrc/protocol/host_device.h", HEADER + "#ifdef __CUDACC__\n#endif\n"),
            ("csrc/protocol/check.h", HEADER + "#ifndef __CUDA_ARCH__\n#include <string>\n#endif\n"),
            ("csrc/protocol/a.h", HEADER + '#include "csrc/routing/placement.h"\n'),
            ("csrc/routing/a.h", HEADER + "#include <vector>\n"),
        ],
    ),
    "layering": (
        [
            ("csrc/memory/a.cc", '#include "csrc/runtime/buffer.h"\n'),
            ("csrc/protocol/a.h", HEADER + '#include "csrc/targets/host/warp.h"\n'),
            ("csrc/routing/a.cc", '#include "csrc/memory/arena.h"\n'),
            ("csrc/memory/a.cc", '#include "tests/support/a.h"\n'),
            ("csrc/targets/host/a.cc", '#include "ptx/a.h"\n'),
            ("examples/a.cc", '#include "csrc/memory/arena.h"\n'),
            ("benchmarks/cli/a.cc", '#include "tests/support/a.h"\n'),
            ("csrc/memory/a.cc", '#include "../memory/b.h"\n'),
        ],
        [
            ("csrc/runtime/a.cc", '#include "csrc/memory/arena.h"\n#include "csrc/protocol/peers.h"\n'),
            ("csrc/memory/a.cc", '#include "csrc/bootstrap/b.h"\n'),
            ("csrc/targets/cuda/a.cu", '#include "ptx/a.h"\n'),
            ("tests/unit/a_test.cc", '#include "benchmarks/common/a.h"\n'),
        ],
    ),
    "public_includes": (
        [
            ("include/switchyard/a.h", HEADER + '#include "csrc/memory/arena.h"\n'),
            ("include/switchyard/a.h", HEADER + "#include <fmt/format.h>\n"),
            ("include/switchyard/a.h", HEADER + "#include <unistd.h>\n"),
        ],
        [("include/switchyard/a.h", HEADER + '#include <cstdint>\n\n#include "switchyard/b.h"\n')],
    ),
    "header_form": (
        [
            ("csrc/a.h", "// What lives here.\nint a;\n"),
            ("csrc/a.h", "#pragma once\n"),
            ("csrc/a.h", "// What lives here.\n#include <a>\n#pragma once\n"),
            ("csrc/a.h", "// #pragma once\n"),
            ("csrc/a-inl.h", "// What lives here.\nint a;\n"),
        ],
        [("csrc/a.h", HEADER), ("csrc/a-inl.h", "// Rows.\n#if defined(A_H_) == defined(HWY_TARGET_TOGGLE)\n#endif\n")],
    ),
    "open_ends": (
        [("csrc/a.cc", "// TO" + "DO: later\n"), ("yard", "# FIX" + "ME\n"), ("docs/a.md", "XX" + "X\n")],
        [("csrc/a.cc", "// TO" + "DO(#12): later\n")],
    ),
    "banned_code": (
        [
            ("csrc/a.cc", "volatile int a;\n"),
            ("csrc/a.cc", "  assert(a);\n"),
            ("csrc/a.cc", "#include <cassert>\n"),
            ("csrc/protocol/a.h", HEADER + "void f(int* __restrict__ a);\n"),
            ("csrc/targets/host/a.cc", "void f(int* __restrict a);\n"),
            ("tests/unit/a_test.cc", "#define private public\n"),
        ],
        [
            ("csrc/a.cc", "static_assert(sizeof(int) == 4);\n// volatile, assert(a)\n"),
            ("ptx/a.h", HEADER + "asm volatile();\n"),
            ("csrc/routing/a.cc", "void f(int* __restrict__ a);\n"),
        ],
    ),
    "source_is_built": (
        [
            ("tests/unit/helper.cc", ""),
            ("tests/unit/deep/a_test.cc", ""),
            ("benchmarks/micro/routing.cc", ""),
        ],
        [("tests/unit/a_test.cc", ""), ("tests/process/main.cc", ""), ("tests/support/helper.cc", "")],
    ),
    "banned_text": (
        [
            ("docs/a.md", "in /wor" + "k/main\n"),
            ("docs/a.md", "Future wo" + "rk: all\n"),
            ("yard", "curl deb.deb" + "ian.org\n"),
            ("csrc/a.cc", "// stub" + "bed\n"),
            ("csrc/a.cc", "// Not yet implem" + "ented\n"),
        ],
        [("docs/a.md", "the network/work/load split; a stub resolver\n")],
    ),
}


class EveryRule(unittest.TestCase):
    def test_has_samples(self):
        self.assertEqual(set(RULES), set(SAMPLES))

    def test_catches_its_violations(self):
        for rule, (caught, _) in SAMPLES.items():
            for path, text in caught:
                with self.subTest(rule=rule, path=path, text=text[:80]):
                    self.assertIn(rule, {name for _, name, _ in check(SourceFile(path, text))})

    def test_passes_their_neighbours(self):
        for rule, (_, passed) in SAMPLES.items():
            for path, text in passed:
                with self.subTest(rule=rule, path=path, text=text[:80]):
                    self.assertNotIn(rule, {name for _, name, _ in check(SourceFile(path, text))})

    def test_names_the_line(self):
        findings = check(SourceFile("csrc/a.cc", "int a;\n\nvolatile int b;\n"))
        self.assertEqual([(line, name) for line, name, _ in findings], [(3, "banned_code")])


if __name__ == "__main__":
    unittest.main()
