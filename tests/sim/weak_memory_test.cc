// The model under the protocol tests: it must be as weak as it says, and no weaker.
#include "csrc/targets/sim/weak_memory.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <functional>
#include <set>
#include <string>

#include "csrc/targets/sim/sim_warp.h"

namespace switchyard::test {
namespace {

using protocol::Word;

constexpr int kSeeds = 200;

/// Two ranks, a warp of each, a region of rank 1 that rank 0 writes.
struct Scene {
  explicit Scene(std::uint64_t seed)
      : heaps({2, 1, 2, 1}, 1U << 16U),
        memory(heaps, seed),
        writer(memory, 0, "writer"),
        reader(memory, 1, "reader"),
        region(heaps.allocate(1, 4096)),
        row(heaps.peers(1).local(region)),
        first(word(0)),
        second(word(1)) {
    source.fill(std::byte{7});
  }

  Word* word(int channel) const {
    return reinterpret_cast<Word*>(heaps.peers(1).local(heaps.control().progress(0, 0, channel)));
  }
  void copy(std::byte* to) { writer.copy_row(&to, 1, source.data(), 16, {}); }
  /// Publishes store by store, and calls `look` after each.
  void publish(const std::function<void()>& look) {
    while (memory.publish_one(0)) {
      look();
    }
  }

  sim::Heaps heaps;
  sim::WeakMemory memory;
  sim::SimWarp writer;
  sim::SimWarp reader;
  std::uint64_t region;
  std::byte* row;
  Word* first;
  Word* second;
  alignas(16) std::array<std::byte, 16> source{};
};

void for_each_scene(const std::function<void(Scene&)>& body) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Scene scene(seed);
    body(scene);
  }
}

TEST(WeakMemory, ShowsNothingBeforeItIsPublished) {
  for_each_scene([](Scene& scene) {
    scene.copy(scene.row);
    scene.writer.store_release(scene.first, 1);
    EXPECT_EQ(*scene.row, sim::Heaps::kFresh);
    EXPECT_EQ(scene.reader.load_acquire(scene.first), 0U);
    EXPECT_EQ(scene.memory.num_held_back(0), 2U);
  });
}

TEST(WeakMemory, ShowsRowsWheneverItShowsTheirRelease) {
  for_each_scene([](Scene& scene) {
    scene.copy(scene.row);
    scene.writer.store_relaxed(scene.first, 1);
    scene.writer.store_release(scene.second, 1);
    scene.publish([&] {
      if (*scene.second == 1) {
        EXPECT_EQ(*scene.row, std::byte{7});
        EXPECT_EQ(*scene.first, 1U);
      }
    });
    EXPECT_EQ(*scene.second, 1U);
  });
}

TEST(WeakMemory, ShowsReleasesOfOneWarpInTheirOrder) {
  for_each_scene([](Scene& scene) {
    scene.writer.store_release(scene.first, 1);
    scene.writer.add_release(scene.second, 5);
    scene.publish([&] { EXPECT_TRUE(*scene.second == 0 || *scene.first == 1); });
    EXPECT_EQ(*scene.second, 5U);
  });
}

TEST(WeakMemory, ShowsRowsAndRelaxedStoresInAnyOrder) {
  std::set<std::string> orders;
  for_each_scene([&](Scene& scene) {
    scene.writer.store_release(scene.first, 1);
    scene.copy(scene.row);
    scene.writer.store_relaxed(scene.second, 1);
    std::string order;
    scene.publish([&] {
      order += *scene.first == 1 && order.find('f') == std::string::npos ? "f" : "";
      order += *scene.row == std::byte{7} && order.find('r') == std::string::npos ? "r" : "";
      order += *scene.second == 1 && order.find('s') == std::string::npos ? "s" : "";
    });
    orders.insert(order);
  });
  EXPECT_EQ(orders.size(), 6U) << "a later store may even be seen before an earlier release";
}

TEST(WeakMemory, KeepsTheOrderOfStoresToOnePlace) {
  for_each_scene([](Scene& scene) {
    scene.writer.store_relaxed(scene.first, 1);
    scene.writer.store_relaxed(scene.first, 2);
    Word last = 0;
    scene.publish([&] {
      EXPECT_GE(*scene.first, last);
      last = *scene.first;
    });
    EXPECT_EQ(last, 2U);
  });
}

TEST(WeakMemory, ShowsAWarpItsOwnStores) {
  for_each_scene([](Scene& scene) {
    scene.copy(scene.row);
    scene.writer.store_release(scene.first, 3);
    EXPECT_EQ(scene.writer.load_relaxed(scene.first), 3U);
    EXPECT_EQ(scene.writer.load_word(reinterpret_cast<const std::uint32_t*>(scene.row)),
              0x07070707U);
  });
}

TEST(WeakMemory, ReadsSourcesAtOnceOrLateButBeforeTheNextRelease) {
  std::set<std::byte> seen;
  for_each_scene([&](Scene& scene) {
    scene.copy(scene.row);
    scene.source.fill(std::byte{8});
    scene.writer.store_release(scene.first, 1);
    scene.source.fill(std::byte{9});
    scene.memory.publish_all();
    seen.insert(*scene.row);
  });
  EXPECT_EQ(seen, (std::set<std::byte>{std::byte{7}, std::byte{8}}));
}

TEST(WeakMemory, CarriesStoresOfFinishedOperationsWithLaterReleases) {
  for_each_scene([](Scene& scene) {
    sim::SimWarp caller(scene.memory, 0, "caller");
    scene.memory.rejoin(caller.id());
    scene.writer.store_relaxed(scene.first, 1);
    scene.memory.retire(scene.writer.id());
    scene.memory.rejoin(caller.id());
    sim::SimWarp later(scene.memory, 0, "later");
    later.store_release(scene.second, 1);
    scene.publish([&] { EXPECT_TRUE(*scene.second == 0 || *scene.first == 1); });
  });
}

TEST(WeakMemory, ShowsTheCallerWhatFinishedOperationsLeftAtHome) {
  for_each_scene([](Scene& scene) {
    const std::uint64_t home = scene.heaps.allocate(0, 4096);
    std::byte* at_home = scene.heaps.peers(0).local(home);
    scene.copy(at_home);
    scene.copy(scene.row);
    scene.memory.retire(scene.writer.id());
    EXPECT_EQ(*at_home, std::byte{7});
    EXPECT_EQ(scene.memory.num_held_back(0), 1U);
  });
}

TEST(WeakMemory, RefusesAccessesOutsideRegionsInUse) {
  Scene scene(1);
  std::byte* behind = scene.row + 4096;
  scene.copy(behind);
  EXPECT_THROW(scene.memory.publish_all(), sim::ModelViolation);
  EXPECT_THROW((void)scene.reader.load_word(reinterpret_cast<const std::uint32_t*>(behind)),
               sim::ModelViolation);
  scene.heaps.release(1, scene.region);
  EXPECT_THROW((void)scene.reader.load_word(reinterpret_cast<const std::uint32_t*>(scene.row)),
               sim::ModelViolation);
}

TEST(WeakMemory, RefusesARowThatIsReadWithoutAnAcquire) {
  const auto read_after = [](Scene& scene, const std::function<void(Scene&)>& look) {
    scene.copy(scene.row);
    scene.writer.store_release(scene.first, 1);
    scene.memory.publish_all();
    look(scene);
    return scene.reader.load_word(reinterpret_cast<const std::uint32_t*>(scene.row));
  };
  Scene acquires(1);
  EXPECT_EQ(
      read_after(acquires, [](Scene& scene) { (void)scene.reader.load_acquire(scene.first); }),
      0x07070707U);
  Scene relaxed(1);
  EXPECT_THROW(
      read_after(relaxed, [](Scene& scene) { (void)scene.reader.load_relaxed(scene.first); }),
      sim::ModelViolation);
}

TEST(WeakMemory, RefusesARowThatIsReadWithoutARelease) {
  Scene scene(1);
  scene.copy(scene.row);
  scene.writer.store_relaxed(scene.first, 1);
  scene.memory.publish_all();
  EXPECT_EQ(scene.reader.load_acquire(scene.first), 1U);
  EXPECT_THROW((void)scene.reader.load_word(reinterpret_cast<const std::uint32_t*>(scene.row)),
               sim::ModelViolation);
}

TEST(WeakMemory, RefusesARowThatIsWrittenOverWithoutOrder) {
  const auto write_after = [](bool ordered) {
    Scene scene(1);
    (void)scene.reader.load_word(reinterpret_cast<const std::uint32_t*>(scene.row));
    auto* leave = reinterpret_cast<Word*>(
        scene.heaps.peers(0).local(scene.heaps.control().progress(0, 1, 0)));
    if (ordered) {
      scene.reader.store_release(leave, 1);
    } else {
      scene.reader.store_relaxed(leave, 1);
    }
    scene.memory.publish_all();
    EXPECT_EQ(scene.writer.load_acquire(leave), 1U);
    scene.copy(scene.row);
    scene.memory.publish_all();
  };
  EXPECT_NO_THROW(write_after(true));
  EXPECT_THROW(write_after(false), sim::ModelViolation);
}

TEST(WeakMemory, TracesEveryOperationWithWhoAndWhere) {
  Scene scene(1);
  scene.copy(scene.row);
  scene.writer.store_release(scene.second, 0x12);
  scene.memory.publish_all();
  const std::string text = scene.memory.trace_text(10);
  EXPECT_NE(text.find("writer: row rank 1 region"), std::string::npos) << text;
  EXPECT_NE(text.find("writer: release rank 1 progress[slot 0, source 0] word 1 <- 0x12"),
            std::string::npos)
      << text;
  EXPECT_EQ(scene.memory.trace_text(1).find("writer: row"), std::string::npos);
}

}  // namespace
}  // namespace switchyard::test
