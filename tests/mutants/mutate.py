#!/usr/bin/env python3
"""Writes a copy of csrc/protocol in which every check of TABLE can be broken at run time.

usage: mutate.py SOURCE_ROOT OUTPUT_FOLDER

The copy is compiled into tests/mutants only; the sources themselves hold no hook. Fails when a line of the table is not in
its header exactly once, and when a header compares an epoch, a tag, a capacity or a check in a line that the table does not break.
"""

import pathlib
import re
import sys

ROWS = "static_cast<std::uint64_t>(rows)"
# Header: (text to break, occurrence or None when it is there once, what it becomes, name of the mutant).
TABLE = {
    "mailbox.h": [
        ("word_tag(word) != op.epoch", None, "false", "words of any epoch are taken"),
        ("signature != op.signature", None, "false", "any operation is taken for the same"),
        ("check == check_.value()", None, "true", "damaged messages are taken"),
    ],
    "padded_permits.h": [
        ("epoch == 0 || seen != make_word(epoch, args.padded.signature)", None,
         "seen != make_word(epoch, args.padded.signature)", "permits of no predecessor are looked up"),
        ("epoch == 0 || seen != make_word(epoch, args.padded.signature)", None,
         "epoch == 0 || word_value(seen) != args.padded.signature", "permits of any epoch are taken"),
        ("epoch == 0 || seen != make_word(epoch, args.padded.signature)", None,
         "epoch == 0 || word_tag(seen) != epoch", "permits for any shape are taken"),
        ("word_tag(region) != epoch", None, "false", "the region of another epoch is taken"),
        ("word_tag(sent) != epoch", None, "false", "the check of another epoch is taken"),
        ("word_value(sent) != check.value()", None, "false", "damaged permits are taken"),
        ("begin >= args.op.control.block_bytes()", None,
         "begin + kRegionUnit >= args.op.control.block_bytes()", "permit: a region one page too low"),
        ("begin >= args.op.control.block_bytes()", None,
         "begin > args.op.control.block_bytes()", "permit: the lowest region is refused"),
        ("begin + args.landing_of(args.padded_rows()).region_bytes() <= args.op.peers.end_of_heap()", None,
         "begin + args.landing_of(args.padded_rows()).region_bytes() <= args.op.peers.end_of_heap() + kRegionUnit",
         "permit: a region one page too high"),
        ("begin + args.landing_of(args.padded_rows()).region_bytes() <= args.op.peers.end_of_heap()", None,
         "begin + args.landing_of(args.padded_rows()).region_bytes() < args.op.peers.end_of_heap()",
         "permit: the highest region is refused"),
        ("word_tag(signature) == args.op.epoch", None, "true", "permit: a signature of any epoch counts"),
        ("word_tag(status) == args.op.epoch", None, "true", "permit: a status of any epoch counts"),
    ],
    "count_exchange.h": [
        ("args_->output.capacity_rows < rows", 0, "args_->output.capacity_rows < rows - 1",
         "padded: the caller's memory lacks one row"),
        ("args_->output.capacity_rows < rows", 0, "args_->output.capacity_rows <= rows",
         "padded: the caller's memory must have one row to spare"),
        ("args_->output.capacity_rows < rows", 1, "args_->output.capacity_rows < rows - 1",
         "the caller's memory lacks one row"),
        ("args_->output.capacity_rows < rows", 1, "args_->output.capacity_rows <= rows",
         "the caller's memory must have one row to spare"),
    ],
    "count_checks.h": [
        ("rows >= 0", 0, "rows >= -1", "counts: -1 rows"),
        ("rows >= 0", 0, "rows > 0", "counts: no rows are refused"),
        (f"{ROWS} <= counted_rows", None, f"{ROWS} <= counted_rows + 1", "counts: one row more than tokens"),
        (f"{ROWS} <= counted_rows", None, f"{ROWS} < counted_rows", "counts: as many rows as tokens are refused"),
        ("counted_rows <= static_cast<std::uint64_t>(INT32_MAX)", None,
         "counted_rows <= static_cast<std::uint64_t>(INT32_MAX) + 1", "counts: 2^31 rows"),
        ("counted_rows <= static_cast<std::uint64_t>(INT32_MAX)", None,
         "counted_rows < static_cast<std::uint64_t>(INT32_MAX)", "counts: 2^31 - 1 rows are refused"),
        ("counts[expert] <= problem.max_tokens", None, "counts[expert] <= problem.max_tokens + 1",
         "counts: one token more than places"),
        ("counts[expert] <= problem.max_tokens", None, "counts[expert] < problem.max_tokens",
         "counts: as many tokens as places are refused"),
        ("counts[expert] >= 0", None, "counts[expert] >= -1", "counts: -1 tokens of an expert"),
        ("counts[expert] >= 0", None, "counts[expert] > 0", "counts: no token of an expert is refused"),
        (f"{ROWS} == counted_rows", None, "true", "counts: rows and tokens need not agree"),
        ("rows >= 0", 1, "rows >= -1", "answer: -1 rows"),
        ("rows >= 0", 1, "rows > 0", "answer: no rows are refused"),
        ("begin >= args.op.control.block_bytes()", None,
         "begin + kRegionUnit >= args.op.control.block_bytes()", "answer: a region one page too low"),
        ("begin >= args.op.control.block_bytes()", None,
         "begin > args.op.control.block_bytes()", "answer: the lowest region is refused"),
        ("begin + args.landing_of(rows).region_bytes() <= args.op.peers.end_of_heap()", None,
         "begin + args.landing_of(rows).region_bytes() <= args.op.peers.end_of_heap() + kRegionUnit",
         "answer: a region one page too high"),
        ("begin + args.landing_of(rows).region_bytes() <= args.op.peers.end_of_heap()", None,
         "begin + args.landing_of(rows).region_bytes() < args.op.peers.end_of_heap()",
         "answer: the highest region is refused"),
        ("base >= 0", None, "base >= -1", "answer: a base of -1"),
        ("base >= 0", None, "base > 0", "answer: a base of 0 is refused"),
        ("base <= rows - count", None, "base <= rows - count + 1", "answer: a base one row too high"),
        ("base <= rows - count", None, "base < rows - count", "answer: the highest base is refused"),
    ],
    "row_metadata.h": [
        ("++run.num_rows == args_->staging.run_rows", None, "++run.num_rows > args_->staging.run_rows",
         "a run of metadata holds one row too many"),
        ("++run.num_rows == args_->staging.run_rows", None, "++run.num_rows + 1 >= args_->staging.run_rows",
         "a run of metadata ends one row early"),
    ],
    "scale_up_receive.h": [
        ("word_tag(seen) != args_->op.epoch", None, "false", "arrivals of any epoch are taken"),
        ("seen != wanted", None, "false", "arrivals in any landing are taken"),
        ("warp.sum_words(words, num_rows * words_per_row) == num_rows * args_->op.metadata_sum(source_)", None, "true",
         "damaged metadata is taken"),
        ("payload_row >= place.num_rows", None, "payload_row > place.num_rows", "metadata: one row behind the landing"),
        ("payload_row >= place.num_rows", None, "payload_row + 1 >= place.num_rows", "metadata: the last row is refused"),
    ],
    "combine_announce.h": [
        ("copied != wanted", None, "copied + 1 < wanted", "rows are announced with one copy under way"),
        ("begin >= args_->op.control.block_bytes()", None,
         "begin + kRowUnit >= args_->op.control.block_bytes()", "announced: 16 bytes too low"),
        ("begin >= args_->op.control.block_bytes()", None,
         "begin > args_->op.control.block_bytes()", "announced: the lowest place is refused"),
        ("begin + bytes <= args_->op.peers.end_of_heap()", None,
         "begin + bytes <= args_->op.peers.end_of_heap() + kRowUnit", "announced: 16 bytes too high"),
        ("begin + bytes <= args_->op.peers.end_of_heap()", None,
         "begin + bytes < args_->op.peers.end_of_heap()", "announced: the highest place is refused"),
        ("may_lie(from.rows_at[peer], rows * args_->problem.row_bytes)", None, "true", "announced rows lie anywhere"),
        ("may_lie(weights_at, weight_bytes)", None, "true", "announced weights lie anywhere"),
        ("may_lie(topk_weights_at, weight_bytes * args_->problem.num_entries)", None, "true",
         "announced top-k weights lie anywhere"),
        ("word_tag(seen) != args_->op.epoch", None, "false", "words of another epoch fail the operation"),
        ("seen != wanted", None, "false", "readers are done whatever they say"),
    ],
    "node_relay.h": [
        ("base >= 0", None, "base >= -1", "relayed answer: a base of -1"),
        ("base >= 0", None, "base > 0", "relayed answer: a base of 0 is refused"),
        ("base <= landing_rows_ - rows[i]", None, "base <= landing_rows_ - rows[i] + 1",
         "relayed answer: a base one row too high"),
        ("base <= landing_rows_ - rows[i]", None, "base < landing_rows_ - rows[i]",
         "relayed answer: the highest base is refused"),
    ],
    "rail_packet.h": [
        ("warp.sum_words(words, layout.route_words()) != wanted", None, "false", "damaged packets are taken"),
        ("expert >= bounds.num_ranks * bounds.experts_per_rank", None,
         "expert > bounds.num_ranks * bounds.experts_per_rank", "packet: an expert behind the node's last"),
        ("ordinal[k] < rows", None, "ordinal[k] <= rows", "packet: a row more than the source has"),
        ("ordinal[k] < rows", None, "ordinal[k] + 1 < rows", "packet: the last row is refused"),
    ],
    "rail_post.h": [
        ("warp.load_acquire(reinterpret_cast<const Word*>( op.peers.local(op.rails().arrival(node, op.slot(), kind)))) "
         "== op.number", None, "true", "posts of any operation are taken"),
    ],
    "rail_ring.h": [
        ("at + packet_bytes_ - head_ <= ring_bytes()", None,
         "at + packet_bytes_ - head_ <= ring_bytes() + packet_bytes_", "a track is overrun by a packet"),
        ("num_unpublished_ != 0 && (at != position_ || at % ring_bytes() == 0)", None,
         "num_unpublished_ != 0 && at != position_", "a chunk goes on across the end of its ring"),
        ("tail_ >= end", None, "tail_ + packet_bytes_ >= end", "packets are taken before they come"),
        ("seen_ != previous_", None, "false", "operations take no turns on a track"),
    ],
    "receive_accumulate.h": [
        ("warp.sum_words(note, layout.note_words()) != "
         "op.check(MessageKind::kSum, op.rail_peer(node), op.self()).value()", None, "false",
         "damaged sums are taken"),
    ],
}
# A line with one of these compares an epoch, a tag, a capacity or a check.
GUARDED = re.compile(r"word_tag\([a-z_]+\) [!=]=|[!=]= (?:op\.signature|wanted\))|capacity_rows <|may_lie\(|sum_words\(|check_?\.value\(\)|block_bytes\(\)|"
                     r"end_of_heap\(\);|<= problem\.max_tokens|>= place\.num_rows|run_rows\)|"
                     r"[a-z] [<>]=? 0 &&|counted_rows\b")
# Lines that look so and compare none of these.
EXEMPT = {"while (limit > 0 && left_ > 0) {"}
COMPARES = re.compile(r"[<>]=|[!=]=| [<>] ")


def squeeze(text):
    """A pattern for `text` however the layout breaks it."""
    return re.compile(r"\s+".join(re.escape(part) for part in text.split()))


def find(code, text, occurrence, header):
    found = list(squeeze(text).finditer(code))
    if occurrence is None and len(found) != 1 or occurrence is not None and occurrence >= len(found):
        sys.exit(f"mutate.py: {header} has '{text}' {len(found)} times: bring the table up to date")
    return found[occurrence or 0].span()


def check_complete(code, spans, header):
    position = 0
    for number, line in enumerate(code.splitlines(keepends=True), 1):
        begin, end = position, position + len(line)
        position = end
        text = line.split("//")[0]
        if line.strip() in EXEMPT:
            continue
        if GUARDED.search(text) and COMPARES.search(text) and not any(b < end and begin < e for b, e in spans):
            sys.exit(f"mutate.py: {header}:{number} compares an epoch, a tag, a capacity or a check and has no mutant: {line.strip()}")


def main():
    root, out = map(pathlib.Path, sys.argv[1:])
    names = []
    for source in sorted((root / "csrc/protocol").glob("*.h")):
        code = source.read_text()
        entries = TABLE.get(source.name, [])
        broken = {}  # span -> [(id, replacement)]
        for text, occurrence, replacement, name in entries:
            span = find(code, text, occurrence, source.name)
            broken.setdefault(span, []).append((len(names), replacement))
            names.append((source.name, name, text, replacement))
        check_complete(code, list(broken), source.name)
        for (begin, end), mutants in sorted(broken.items(), reverse=True):
            condition = f"({code[begin:end]})"
            for number, replacement in mutants:
                condition = f"(::switchyard::mutants::is_active({number}) ? ({replacement}) : {condition})"
            code = code[:begin] + condition + code[end:]
        if entries:
            code = code.replace("#pragma once\n", '#pragma once\n#include "mutants/active.h"\n', 1)
        target = out / "csrc/protocol" / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_text() != code:
            target.write_text(code)
    write_tables(out, names)


def write_tables(out, names):
    folder = out / "mutants"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "active.h").write_text(
        "// Which mutant of csrc/protocol runs; -1: none.\n#pragma once\n\nnamespace switchyard::mutants {\n\n"
        "inline int active = -1;\ninline bool is_active(int mutant) { return active == mutant; }\n\n"
        "}  // namespace switchyard::mutants\n")
    rows = "".join(f'{{"{header}", "{name}"}},\n' for header, name, _, _ in names)
    (folder / "names.inc").write_text(rows)


main()
