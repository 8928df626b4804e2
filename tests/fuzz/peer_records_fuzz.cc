// What a peer leaves in this rank's control block beside mailboxes: the record of a fault, and the
// description of its operation, which becomes the text of a disagreement.
#include <algorithm>
#include <cstring>
#include <string>

#include "csrc/runtime/descriptor.h"
#include "csrc/runtime/outcome.h"
#include "csrc/targets/host/fault_board.h"
#include "switchyard/error.h"
#include "tests/fuzz/fuzz_world.h"

namespace {

using switchyard::fuzz::expect;
using switchyard::fuzz::FuzzInput;
using switchyard::fuzz::FuzzWorld;
using switchyard::fuzz::kMe;
namespace protocol = switchyard::protocol;
namespace runtime = switchyard::runtime;

void check_text(const std::string& text) {
  expect(!text.empty() && text.size() < 4096, "an error without words, or with too many");
  expect(std::none_of(
             text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }),
         "a control character would reach a terminal");
}

void read_fault(FuzzWorld& world, FuzzInput& input) {
  auto* record =
      reinterpret_cast<protocol::ErrorRecord*>(world.peers().local(world.control().error_record()));
  input.fill(record, sizeof(protocol::ErrorRecord));
  if (record->state == 1) {
    record->state = 2;  // half written: read() would wait a second for the other half
  }
  const auto fault = switchyard::host::FaultBoard(world.peers(), world.control()).read();
  if (!fault) {
    return;
  }
  try {
    runtime::throw_fault(*fault, kMe, std::chrono::milliseconds(1));
  } catch (const switchyard::Error& error) {
    check_text(error.what());
    return;
  }
  expect(false, "a fault that is none");
}

void read_descriptor(FuzzWorld& world, FuzzInput& input) {
  const protocol::OperationArgs op = world.context().op;
  auto* words = world.peers().at(0, world.control().descriptor(op.slot()));
  input.fill(words, sizeof(protocol::OperationDescriptor));
  if (input.flip()) {
    const protocol::Word epoch = op.epoch;
    std::memcpy(words, &epoch, sizeof(epoch));
  }
  const auto theirs = runtime::Descriptor::read(op, 0);
  if (theirs && theirs->signature() != runtime::Descriptor{}.signature()) {
    check_text(runtime::Descriptor{}.differences(*theirs, 0));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static FuzzWorld world;
  FuzzInput input(data, size);
  world.reset();
  read_fault(world, input);
  read_descriptor(world, input);
  return 0;
}
