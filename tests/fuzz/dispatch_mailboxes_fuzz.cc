// Counts, answers, permits and progress words of a dispatch, true ones with changes or none at all.
#include "tests/fuzz/dispatch_world.h"

using switchyard::Layout;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static switchyard::fuzz::FuzzWorld world;
  switchyard::fuzz::FuzzInput input(data, size);
  constexpr Layout kLayouts[] = {Layout::kRankMajor, Layout::kExpertMajor, Layout::kPadded};
  const std::uint32_t choice = input.below(12);
  world.config().expert_copies =
      input.flip() ? switchyard::ExpertCopies::kByReceiver : switchyard::ExpertCopies::kBySender;
  switchyard::fuzz::FuzzedDispatch dispatch(world,
                                            {.layout = kLayouts[choice % 3],
                                             .along_handle = choice / 3 % 2 != 0,
                                             .to_output = choice / 6 != 0});
  if (input.flip()) {
    dispatch.tell_the_truth();
  }
  do {
    switchyard::fuzz::FuzzWorld::scribble(input, dispatch.ends(), dispatch.operation().args.op);
    dispatch.run();
    dispatch.check();
  } while (!input.empty());
  return 0;
}
