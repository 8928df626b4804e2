// What a warp sees of words that change: whole blocks at a time, never older than the call that
// loaded the block, anew whenever a word is asked for again.
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "csrc/targets/cuda/word_window.h"
#include "tests/emulated/device/launch.h"
#include "tests/support/seeds.h"

namespace switchyard::cuda {
namespace {

using protocol::Word;

struct alignas(kWindowBytes) Words {
  std::array<Word, 3 * kLanes> at{};
};

/// Changes a word between two loads, once for the warp.
void set(Word& word, Word value) {
  __syncwarp();
  word = value;
  __syncwarp();
}

/// EXPECT from every lane: all must see the same.
void expect(Word got, Word wanted, const char* what) {
  if (got != wanted) {
    ADD_FAILURE() << what << ": lane " << threadIdx.x % kLanes << " got " << got << ", wanted "
                  << wanted;
  }
}

void look_at(Words& words) {
  WordWindow window(static_cast<int>(threadIdx.x) % kLanes);
  Word* at = words.at.data();
  set(at[40], 1);
  set(at[41], 1);
  expect(window.load(at + 40, true), 1, "a word");
  set(at[41], 2);
  expect(window.load(at + 41, false), 1, "the next word, loaded with the one before");
  expect(window.load(at + 41, true), 2, "the same word again");
  set(at[40], 3);
  expect(window.load(at + 40, true), 3, "a word further back");
  set(at[63], 4);
  set(at[64], 5);
  expect(window.load(at + 64, true), 5, "a word of the next block");
  expect(window.load(at + 63, true), 4, "the last word of the block before");
  set(at[0], 6);
  expect(window.load(at, false), 6, "a word of another block");
  expect(window.load(at + 95, false), 0, "a word that nobody wrote");
}

TEST(WordWindow, ShowsWordsNoOlderThanTheirBlockAndAnewWhenAskedAgain) {
  test::for_each_seed(20, [](std::uint64_t seed) {
    SCOPED_TRACE("--seed=" + std::to_string(seed));
    emulated::World world(seed);
    Words words;
    ASSERT_NO_THROW(world.run_all({[&] {
      emulated::launch(world, {1, kLanes, 0, "word window"}, [&] { look_at(words); });
    }}));
  });
}

}  // namespace
}  // namespace switchyard::cuda
