#!/usr/bin/env python3
"""Each check of check.py catches its violation: small headers and what nvcc would have made of their kernels."""

import re
import unittest

import check
from emitted import module_of, parse_module
from wrappers import Sm, normal_form, parse_header

HEADER = """// Loads.
#pragma once

/// Loads a word.
/// PTX:    ld.global.b32 value, [address];
///         ld.global.L1::no_allocate.b32
///             value, [address];
/// Needs:  PTX ISA 7.4, sm_70+
/// Source: PTX ISA manual, "ld"
template <L1Hint kL1>
__device__ __forceinline__ std::uint32_t load(const void* source) {
  if constexpr (kL1 == L1Hint::kNone) {
    asm volatile("ld.global.b32 %0, [%1];" : "=r"(value) : "l"(source) : "memory");
  } else {
    asm volatile("ld.global.L1::no_allocate.b32 %0, [%1];" : "=r"(value) : "l"(source) : "memory");
  }
  return value;
}

/// Chooses a lane.
/// PTX:    elect.sync _|elected, lanes;
/// Needs:  PTX ISA 8.0, sm_90+
/// Source: PTX ISA manual, "elect.sync"
__device__ __forceinline__ bool elect() {
  asm volatile("{ .reg .pred p; elect.sync _|p, %1; selp.b32 %0, 1, 0, p; }" : "=r"(elected));
  return elected;
}

/// Loads two words.
__device__ __forceinline__ uint2 load_two(const void* source) { return {load(source), load(source)}; }
"""


def kernel(name, *blocks):
    inline = "".join(f"// begin inline asm\n\t{block}\n\t// end inline asm\n" for block in blocks)
    return f".visible .entry {name}(\n.param .u64 a\n)\n{{\n{inline}ret;\n}}\n\n"


ELECT = "{\n.reg .pred p;\nelect.sync _|p, %r2;\nselp.b32 %r1, 1, 0, p;\n}"
MODULE = (
    ".version 9.0\n.target sm_90a\n"
    + kernel("probe_load", "ld.global.b32 %r1, [%rd1];")
    + kernel("probe_load__l1", "ld.global.L1::no_allocate.b32 %r1, [%rd1];")
    + kernel("probe_elect", ELECT)
    + kernel("probe_load_two", "ld.global.b32 %r1, [%rd1];", "ld.global.b32 %r2, [%rd2];")
)


def emits(module=MODULE, header=HEADER, sm="sm_90a"):
    wrappers, problems = parse_header(header)
    assert not problems, problems
    return "\n".join(check.emits(wrappers, Sm.parse(sm), parse_module(module)))


class Documents(unittest.TestCase):
    def assert_problem(self, header, wanted):
        self.assertRegex("\n".join(parse_header(header)[1]), wanted)

    def test_passes_a_whole_header(self):
        wrappers, problems = parse_header(HEADER)
        self.assertEqual(problems, [])
        self.assertEqual([wrapper.name for wrapper in wrappers], ["load", "elect", "load_two"])
        self.assertEqual(wrappers[0].forms, ["ld.global.b32 #,[#]", "ld.global.L1::no_allocate.b32 #,[#]"])
        self.assertEqual((wrappers[1].isa, str(wrappers[1].sm)), ((8, 0), "sm_90"))

    def test_misses_each_part(self):
        self.assert_problem(re.sub(r"/// PTX:    elect.*\n", "", HEADER), "elect: write its instructions")
        self.assert_problem(HEADER.replace("[address];\n/// Needs", "[address]\n/// Needs"), "load: write its instr")
        self.assert_problem(re.sub(r"/// Needs:  PTX ISA 8.*\n", "", HEADER), "elect: write above it 'Needs")
        self.assert_problem(re.sub(r"/// Source.*elect.*\n", "", HEADER), "elect: write above it 'Source")
        self.assert_problem(HEADER.replace("/// Chooses a lane.\n", ""), "elect: the comment above")

    def test_wants_volatile_and_the_clobber(self):
        self.assert_problem(HEADER.replace(' : "memory"', "", 1), "load: needs asm volatile")
        self.assert_problem(HEADER.replace("asm volatile", "asm", 2), "load: needs asm volatile")
        self.assertEqual(parse_header(HEADER.replace("ld.global", "ld.global.nc").replace("volatile", ""))[1], [])

    def test_sees_assembly_elsewhere(self):
        self.assert_problem(HEADER + 'inline void pause() { asm("nanosleep.u32 1;"); }\n', "outside the functions")


class Emits(unittest.TestCase):
    def test_passes_what_the_comments_say(self):
        self.assertEqual(emits(), "")

    def test_catches_another_mnemonic(self):
        self.assertRegex(emits(MODULE.replace("elect.sync", "vote.sync")), "probe_elect emits 'vote.sync")

    def test_catches_a_missing_or_wrong_hint(self):
        lost = emits(MODULE.replace("L1::no_allocate.b32", "b32"))
        self.assertRegex(lost, "load .* documents 'ld.global.L1::no_allocate.b32 #,\\[#\\]', and no kernel emits it")
        self.assertRegex(emits(MODULE.replace("L1::no_allocate", "L1::evict_first")), "__l1 emits 'ld.global.L1::evict")

    def test_catches_exchanged_forms(self):
        exchanged = MODULE.replace("probe_load__l1", "probe_load__x").replace("probe_load(", "probe_load__l1(")
        self.assertRegex(emits(exchanged), "probe_load__l1 emits 'ld.global.b32 .*with no l1 hint")
        self.assertRegex(emits(exchanged), "probe_load__x emits .* with an l1 hint")
        self.assertRegex(emits(MODULE.replace("probe_load(", "probe_load__64(")), "another width than 64")

    def test_catches_a_missing_operand(self):
        self.assertRegex(emits(MODULE.replace("[%rd1];", "[%rd1], %rd9;")), "probe_load emits")

    def test_catches_a_wrapper_without_kernel(self):
        self.assertRegex(emits(MODULE.replace("probe_elect", "probe_load__x")), "elect .* has no kernel probe_elect")
        self.assertRegex(emits(MODULE.replace("probe_load_two", "probe_load__two")), "load_two .* has no kernel")

    def test_catches_a_kernel_without_wrapper(self):
        self.assertRegex(emits(MODULE + kernel("probe_store", "st.b32 [%rd1], %r1;")), "probe_store calls no function")

    def test_catches_a_kernel_that_emits_nothing(self):
        self.assertRegex(emits(MODULE.replace(ELECT, "")), "probe_elect emits nothing")

    def test_catches_a_minimum_that_is_too_high(self):
        self.assertRegex(emits(sm="sm_80"), "probe_elect assembles for sm_80, but the comment needs sm_90")


class Claims(unittest.TestCase):
    def problems(self, assemble, header=HEADER):
        return "\n".join(check.claims(parse_header(header)[0], MODULE, assemble))

    @staticmethod
    def assemble(module, sm):
        """As the assembler: elect from ISA 8.0 and sm_90, the hint from ISA 7.4."""
        isa = tuple(map(int, re.search(r"\.version (\d+)\.(\d+)", module).groups()))
        if "elect.sync" in module and (isa < (8, 0) or Sm.parse(sm).number < 90):
            return False
        return "no_allocate" not in module or isa >= (7, 4)

    def test_passes_the_lowest(self):
        self.assertEqual(self.problems(self.assemble), "")

    def test_catches_numbers_that_are_too_low(self):
        self.assertRegex(self.problems(self.assemble, HEADER.replace("sm_90+", "sm_80+")), "elect does not assemble")
        self.assertRegex(self.problems(self.assemble, HEADER.replace("ISA 7.4", "ISA 7.3")), "load does not assemble")

    def test_catches_numbers_that_are_too_high(self):
        self.assertRegex(self.problems(self.assemble, HEADER.replace("ISA 8.0", "ISA 8.1")), "elect .* ISA 8.0 already")
        self.assertRegex(self.problems(self.assemble, HEADER.replace("sm_90+", "sm_100+")), "for sm_90a already")


class Refuses(unittest.TestCase):
    def problems(self, sm, returncode, output):
        return "\n".join(check.refuses(parse_header(HEADER)[0], Sm.parse(sm), returncode, output))

    def test_wants_the_name_and_the_minimum(self):
        self.assertEqual(self.problems("sm_80", 1, 'static assertion failed with "elect needs sm_90"'), "")
        self.assertRegex(self.problems("sm_80", 1, "syntax error"), "must say 'elect needs sm_90'")
        self.assertRegex(self.problems("sm_80", 0, ""), "must say 'elect needs sm_90'")

    def test_wants_success_where_all_is_legal(self):
        self.assertEqual(self.problems("sm_90", 0, ""), "")
        self.assertRegex(self.problems("sm_90", 1, "syntax error"), "the compiler fails:\nsyntax error")


class Parts(unittest.TestCase):
    def test_operands_count_by_place(self):
        self.assertEqual(normal_form("ld.v4.b32 {x, y},  [a], policy;"), normal_form("ld.v4.b32 {%0, %1}, [%rd4], %5"))
        self.assertEqual(normal_form("mov.u64 time, %globaltimer;"), "mov.u64 #,%globaltimer")
        self.assertEqual(normal_form("elect.sync _|%p1, 0xffffffff;"), "elect.sync _|#,#")
        self.assertNotEqual(normal_form("arrive _, [a];"), normal_form("arrive state, [a];"))

    def test_a_module_keeps_one_kernel(self):
        kernels = parse_module(MODULE)
        module = module_of(MODULE, kernels, kernels[2], (7, 8), "sm_90")
        self.assertEqual([kernel.name for kernel in parse_module(module)], ["probe_elect"])
        self.assertTrue(module.startswith(".version 7.8\n.target sm_90\n"))


if __name__ == "__main__":
    unittest.main()
