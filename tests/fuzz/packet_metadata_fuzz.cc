// The metadata of landed rows: counts are true, and rows arrive with words that no sender writes,
// most of them with a check that fits.
#include <algorithm>

#include "tests/fuzz/dispatch_world.h"

using switchyard::Layout;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static switchyard::fuzz::FuzzWorld world;
  switchyard::fuzz::FuzzInput input(data, size);
  constexpr Layout kLayouts[] = {Layout::kRankMajor, Layout::kExpertMajor, Layout::kPadded};
  const std::uint32_t choice = input.below(6);
  world.config().expert_copies = switchyard::ExpertCopies::kByReceiver;
  switchyard::fuzz::FuzzedDispatch dispatch(
      world, {.layout = kLayouts[choice % 3], .to_output = choice / 3 != 0});
  // The arena gives the landing its first region, where these words then lie already.
  const auto& args = dispatch.operation().args;
  const std::int64_t rows = std::min<std::int64_t>(input.below(64), 47);
  std::byte* metadata =
      world.peers().local(world.first_region() + args.landing_of(rows).metadata_offset(0));
  const auto words = input.bytes(2048);
  std::copy(words.begin(), words.end(), metadata);
  dispatch.tell_the_truth();
  if (input.flip()) {
    dispatch.keep_metadata_checks();
  }
  dispatch.run();
  dispatch.check();
  return 0;
}
