// Operations that stay on a stream, and graphs that are recorded once and launched with new
// routing, on emulated devices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "switchyard/error.h"
#include "tests/emulated/support/emulated_buffers.h"
#include "tests/support/operation_cases.h"
#include "tests/support/refusal.h"
#include "tests/support/routing_round.h"

namespace switchyard {
namespace {

using bench::Workload;
using emulated::EmulatedDevice;
using test::RoutingRound;
using test::small_workload;
using ::testing::HasSubstr;

constexpr int kReplays = 3;
/// Room for more than any of the routings brings.
constexpr std::int64_t kMaxRows = 64;

std::vector<std::byte> copy_of(const ConstTensorView& view) {
  const auto* data = static_cast<const std::byte*>(view.data);
  return {data, data + view.row_stride_bytes() * static_cast<std::size_t>(view.shape[0])};
}

/// Tensors whose memory stays while what they hold changes: what a graph needs of its caller.
class SteadyInputs {
 public:
  explicit SteadyInputs(const bench::RankInputs& first)
      : x_(copy_of(first.request().x)), routing_(first.routing()), request_(first.request()) {
    request_.x.data = x_.data();
    request_.topk_idx.data = routing_.topk_idx.data();
    request_.topk_weights.data = routing_.topk_weights.data();
  }

  [[nodiscard]] DispatchRequest request() const { return request_; }
  void take(const bench::RankInputs& next) {
    const std::vector<std::byte> rows = copy_of(next.request().x);
    std::copy(rows.begin(), rows.end(), x_.begin());
    std::copy(
        next.routing().topk_idx.begin(), next.routing().topk_idx.end(), routing_.topk_idx.begin());
    std::copy(next.routing().topk_weights.begin(),
              next.routing().topk_weights.end(),
              routing_.topk_weights.begin());
  }
  [[nodiscard]] std::int64_t* topk_idx() { return routing_.topk_idx.data(); }

 private:
  std::vector<std::byte> x_;
  bench::RankRouting routing_;
  DispatchRequest request_;
};

/// The rows that came, of a landing that is laid out for more.
bench::DispatchViews rows_that_came(const DispatchResult& result, const RoutingRound& round) {
  const auto rows = static_cast<std::int64_t>(round.reference->rows().size());
  bench::DispatchViews views;
  views.x = result.x();
  views.topk_idx = result.topk_idx();
  views.source_rank = result.source_rank();
  views.source_token = result.source_token();
  views.num_rows = rows;
  for (ConstTensorView* view :
       {&views.x, &views.topk_idx, &views.source_rank, &views.source_token}) {
    if (round.reference->workload().layout != Layout::kPadded) {
      view->shape[0] = rows;
    }
  }
  return views;
}

void expect_counts(const DispatchResult& result, const RoutingRound& round) {
  const DeviceCounts counts = result.handle().device_counts();
  const auto wanted = round.reference->rows_from_rank();
  for (std::size_t rank = 0; rank < wanted.size(); ++rank) {
    EXPECT_EQ(counts.rows_from_rank[rank], wanted[rank]);
  }
}

using DeviceBody = std::function<void(int rank, Buffer&, EmulatedDevice&, Group&)>;

void run(const Workload& workload,
         const DeviceBody& body,
         std::uint64_t seed = 1,
         const Config& config = emulated::emulated_config()) {
  emulated::run_hosts(
      {.num_ranks = workload.num_ranks, .num_sms = config.num_sms, .seed = seed},
      [&](std::unique_ptr<Bootstrap> bootstrap, const runtime::MakeDevice& make_device) {
        const int rank = bootstrap->rank();
        Group group(std::move(bootstrap));
        Buffer buffer = runtime::make_device_buffer(group, config, make_device);
        const auto device = std::dynamic_pointer_cast<EmulatedDevice>(make_device());
        body(rank, buffer, *device, group);
        device->drain();
        group.bootstrap().barrier();
      });
}

DispatchRequest on_stream(DispatchRequest request, void* stream) {
  request.stream = stream;
  request.max_rows = request.layout == Layout::kPadded ? 0 : kMaxRows;
  return request;
}

CombineRequest combine_of(const DispatchResult& landed,
                          const TensorView& x,
                          const DispatchRequest& request,
                          bool weighted) {
  CombineRequest combine;
  combine.x = x;
  combine.handle = landed.handle();
  combine.stream = request.stream;
  if (weighted) {
    combine.topk_weights = request.topk_weights;
  }
  return combine;
}

class EmulatedGraph : public ::testing::TestWithParam<Layout> {};

TEST_P(EmulatedGraph, DoesAllAgainWithNewRoutingAtEachLaunch) {
  const Workload first = small_workload(GetParam());
  run(first, [&](int rank, Buffer& buffer, EmulatedDevice& device, Group& group) {
    SteadyInputs inputs(RoutingRound(first, rank).inputs);
    const DispatchRequest request = on_stream(inputs.request(), &inputs);
    { (void)buffer.dispatch(inputs.request()); }  // other operations come before and behind
    device.begin_recording();
    const DispatchResult landed = buffer.enqueue(request);
    const EmulatedDevice::Graph dispatch = device.end_recording();
    device.begin_recording();
    const CombineResult summed =
        buffer.enqueue(combine_of(landed, landed.x(), request, first.weighted_combine()));
    const EmulatedDevice::Graph combine = device.end_recording();

    for (int replay = 0; replay < kReplays; ++replay) {
      const RoutingRound round(small_workload(GetParam(), 10 + static_cast<std::uint64_t>(replay)),
                               rank);
      inputs.take(round.inputs);
      bench::poison(landed.x());
      bench::poison(summed.out());
      group.bootstrap().barrier();
      device.launch_graph(dispatch);
      device.drain();
      const bench::Verifier verifier(round.reference);
      test::expect_ok(verifier.check_dispatch(rows_that_came(landed, round)));
      expect_counts(landed, round);
      TensorView rows = landed.x();
      if (GetParam() != Layout::kPadded) {
        rows.shape[0] = static_cast<std::int64_t>(round.reference->rows().size());
      }
      bench::fill_expert_rows(*round.reference, rows);
      device.launch_graph(combine);
      device.drain();
      test::expect_ok(verifier.check_combine(summed));
      EXPECT_NO_THROW(buffer.check_enqueued());
    }
    inputs.take(RoutingRound(first, rank).inputs);
    EXPECT_NO_THROW((void)buffer.dispatch(inputs.request()));
  });
}

TEST_P(EmulatedGraph, GivesWhatIssueAndFinishGiveWithoutAWait) {
  const Workload workload = small_workload(GetParam());
  run(
      workload,
      [&](int rank, Buffer& buffer, EmulatedDevice& device, Group&) {
        const RoutingRound round(workload, rank);
        SteadyInputs inputs(round.inputs);
        int done = 0;
        DispatchRequest request = on_stream(inputs.request(), &inputs);
        request.done_event = &done;
        const std::uint64_t before = device.kernels_ended();
        const DispatchResult landed = buffer.enqueue(request);
        EXPECT_EQ(device.kernels_ended(), before) << "the host did not give its turn away";
        device.drain();
        EXPECT_EQ(done, 1);
        test::expect_ok(
            bench::Verifier(round.reference).check_dispatch(rows_that_came(landed, round)));
        buffer.check_enqueued();
      },
      7);
}

INSTANTIATE_TEST_SUITE_P(Layouts,
                         EmulatedGraph,
                         ::testing::ValuesIn(test::kAllLayouts),
                         [](const auto& each) {
                           return std::to_string(static_cast<int>(each.param));
                         });

TEST(EmulatedEnqueue, LeavesACombineBehindAFailedDispatchOutOnEveryRankAndGoesOn) {
  Workload workload = small_workload(Layout::kRankMajor);
  workload.hidden = 4096;  // several pages for what comes
  run(workload, [&](int rank, Buffer& buffer, EmulatedDevice& device, Group&) {
    const RoutingRound round(workload, rank);
    SteadyInputs inputs(round.inputs);
    DispatchRequest request = on_stream(inputs.request(), &inputs);
    request.max_rows = rank == 1 ? 1 : kMaxRows;
    const DispatchResult landed = buffer.enqueue(request);
    // More than there are slots: none of them may take a number that peers do not know of.
    for (int i = 0; i < 2 * buffer.config().max_in_flight + 1; ++i) {
      (void)buffer.enqueue(combine_of(landed, landed.x(), request, false));
    }
    device.drain();
    EXPECT_THROW(buffer.check_enqueued(), HeapTooSmall);
    EXPECT_THAT(test::text_of<InvalidState>([&] { buffer.check_enqueued(); }),
                HasSubstr("a dispatch that failed"));
    for (int left = 2 * buffer.config().max_in_flight; left > 0; --left) {
      EXPECT_THROW(buffer.check_enqueued(), InvalidState);
    }
    EXPECT_NO_THROW(buffer.check_enqueued());
    const DispatchResult next = buffer.enqueue(on_stream(inputs.request(), &inputs));
    device.drain();
    test::expect_ok(bench::Verifier(round.reference).check_dispatch(rows_that_came(next, round)));
  });
}

/// The tables of the failed dispatch are there, and look like those of one that went through: only
/// its guard keeps the combine from summing rows that never came.
TEST(EmulatedEnqueue, WritesNothingOfACombineBehindAFailedDispatch) {
  Workload workload = small_workload(Layout::kRankMajor);
  workload.hidden = 4096;  // several pages for what comes
  run(workload, [&](int rank, Buffer& buffer, EmulatedDevice& device, Group&) {
    SteadyInputs inputs(RoutingRound(workload, rank).inputs);
    DispatchRequest request = on_stream(inputs.request(), &inputs);
    request.max_rows = rank == 1 ? 1 : kMaxRows;
    const DispatchResult landed = buffer.enqueue(request);
    const CombineResult summed = buffer.enqueue(combine_of(landed, landed.x(), request, false));
    bench::poison(summed.out());  // before any kernel runs: the host has not given its turn away
    const std::vector<std::byte> before = copy_of(summed.out());
    device.drain();
    EXPECT_TRUE(copy_of(summed.out()) == before);
    EXPECT_THROW(buffer.check_enqueued(), HeapTooSmall);
    EXPECT_THROW(buffer.check_enqueued(), InvalidState);
    EXPECT_NO_THROW(buffer.check_enqueued());
  });
}

/// A rank that has seen the disagreement is two operations ahead of one that has not: with a number
/// for the combine that is left out, its next hello would lie where the other still reads the last.
TEST(EmulatedEnqueue, LeavesNoTraceOfACombineThatIsLeftOut) {
  const Workload workload = small_workload(Layout::kRankMajor);
  Config config = emulated::emulated_config();
  config.max_in_flight = 1;
  config.timeout = std::chrono::milliseconds(500);  // of virtual time
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    run(
        workload,
        [&](int rank, Buffer& buffer, EmulatedDevice& device, Group&) {
          const RoutingRound round(workload, rank);
          SteadyInputs inputs(round.inputs);
          DispatchRequest request = on_stream(inputs.request(), &inputs);
          request.layout = rank == 1 ? Layout::kExpertMajor : Layout::kRankMajor;
          const DispatchResult bad = buffer.enqueue(request);
          (void)buffer.enqueue(combine_of(bad, bad.x(), request, false));
          const DispatchResult good = buffer.enqueue(on_stream(inputs.request(), &inputs));
          device.drain();
          test::expect_ok(
              bench::Verifier(round.reference).check_dispatch(rows_that_came(good, round)));
        },
        seed,
        config);
  }
}

TEST(EmulatedEnqueue, TellsOfTheFirstLaunchOfAGraphThatNamedNoExpert) {
  const Workload workload = small_workload(Layout::kRankMajor);
  run(workload, [&](int rank, Buffer& buffer, EmulatedDevice& device, Group&) {
    SteadyInputs inputs(RoutingRound(workload, rank).inputs);
    const std::int64_t good = inputs.topk_idx()[3];
    device.begin_recording();
    const DispatchResult landed = buffer.enqueue(on_stream(inputs.request(), &inputs));
    const EmulatedDevice::Graph graph = device.end_recording();
    for (const std::int64_t expert : {good, std::int64_t{99}, std::int64_t{98}, good}) {
      inputs.topk_idx()[3] = rank == 2 ? expert : good;
      device.launch_graph(graph);
      device.drain();
    }
    if (rank == 2) {
      EXPECT_THAT(test::text_of<InvalidArgument>([&] { buffer.check_enqueued(); }),
                  HasSubstr("topk_idx[1][1]: got 99"));
    }
    EXPECT_NO_THROW(buffer.check_enqueued());
  });
}

TEST(EmulatedEnqueue, KeepsPaddedPlacesFromOthersForAWhileWhenTheyAreReleased) {
  const Workload workload = small_workload(Layout::kPadded);
  run(workload, [&](int rank, Buffer& buffer, EmulatedDevice& device, Group&) {
    SteadyInputs inputs(RoutingRound(workload, rank).inputs);
    const DispatchRequest request = on_stream(inputs.request(), &inputs);
    buffer.enqueue(request).release();
    buffer.check_enqueued();
    EXPECT_GT(buffer.memory_use().used_bytes, 0U);
    for (int i = 0; i < 2 * buffer.config().max_in_flight; ++i) {
      (void)buffer.dispatch(inputs.request());
    }
    device.drain();
    buffer.check_enqueued();
    EXPECT_EQ(buffer.memory_use().used_bytes, 0U);
  });
}

TEST(EmulatedEnqueue, RefusesWhatItCannotDoWithoutTheHost) {
  const Workload workload = small_workload(Layout::kRankMajor);
  run(workload, [&](int rank, Buffer& buffer, EmulatedDevice& device, Group&) {
    SteadyInputs inputs(RoutingRound(workload, rank).inputs);
    DispatchRequest request = on_stream(inputs.request(), nullptr);
    EXPECT_THAT(test::text_of<InvalidArgument>([&] { (void)buffer.enqueue(request); }),
                HasSubstr("enqueue stream: got none"));
    request = on_stream(inputs.request(), &inputs);
    request.max_rows = 0;
    EXPECT_THAT(test::text_of<InvalidArgument>([&] { (void)buffer.enqueue(request); }),
                HasSubstr("max_rows: got 0"));
    device.begin_recording();
    EXPECT_THAT(test::text_of<InvalidState>([&] { (void)buffer.dispatch(inputs.request()); }),
                HasSubstr("wanted enqueue()"));
    EXPECT_TRUE(device.end_recording().empty());
  });
}

}  // namespace
}  // namespace switchyard
