#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "csrc/bootstrap/tcp_frame.h"
#include "csrc/bootstrap/tcp_handshake.h"
#include "switchyard/bootstrap.h"
#include "switchyard/error.h"
#include "tests/support/loopback.h"
#include "tests/support/rank_threads.h"
#include "tests/support/socket_pair.h"

namespace switchyard {
namespace {

using bootstrap::UniqueFd;
using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kSecret = "the secret of the job";

TcpBootstrapOptions options_for(int rank, int num_ranks, std::uint16_t port) {
  TcpBootstrapOptions options;
  options.rank = rank;
  options.num_ranks = num_ranks;
  options.port = port;
  options.secret = kSecret;
  return options;
}

/// Rank 0 of a group in its own thread, listening at a port that is known beforehand.
class Rank0 {
 public:
  explicit Rank0(int num_ranks, milliseconds timeout = kDefaultBootstrapTimeout) {
    TcpBootstrapOptions options = options_for(0, num_ranks, 0);
    options.listener_fd = listener_.release();
    options.timeout = timeout;
    result_ = std::async(std::launch::async, [options]() -> std::string {
      try {
        make_tcp_bootstrap(options)->barrier();
        return "";
      } catch (const BootstrapError& error) {
        return error.what();
      }
    });
  }

  [[nodiscard]] std::uint16_t port() const { return listener_.port; }
  /// What it threw, or "" when the group came together and met once more.
  std::string result() { return result_.get(); }

 private:
  test::LoopbackListener listener_;
  std::future<std::string> result_;
};

/// Joins as a true rank and meets the others once; what it threw, or "".
std::string join(const TcpBootstrapOptions& options) {
  try {
    make_tcp_bootstrap(options)->barrier();
    return "";
  } catch (const BootstrapError& error) {
    return error.what();
  }
}

/// A connection that has proven to be rank 1 of 2 and then says what the test likes.
UniqueFd proven_connection(std::uint16_t port, bootstrap::Claim claim) {
  UniqueFd fd = test::connect_to_loopback(port);
  EXPECT_EQ(bootstrap::client_handshake(fd.get(),
                                        bootstrap::HandshakeKey(kSecret),
                                        claim,
                                        bootstrap::Deadline(milliseconds(60'000))),
            bootstrap::ClientHandshakeResult::kProven);
  return fd;
}

TEST(TcpBootstrap, RefusesAWrongSecretAndWaitsForTheTrueRank) {
  Rank0 rank0(2);
  TcpBootstrapOptions wrong = options_for(1, 2, rank0.port());
  wrong.secret = "not the secret of the job";
  EXPECT_THAT(join(wrong), AllOf(HasSubstr("wrong secret"), HasSubstr("SWITCHYARD_SECRET")));
  EXPECT_EQ(join(options_for(1, 2, rank0.port())), "");
  EXPECT_EQ(rank0.result(), "");
}

TEST(TcpBootstrap, AdmitsRanksWhenStrangersStaySilent) {
  Rank0 rank0(2, milliseconds(8000));  // less than a silent connection is borne
  std::vector<UniqueFd> strangers;
  for (int i = 0; i < 10; ++i) {
    strangers.push_back(test::connect_to_loopback(rank0.port()));
  }
  EXPECT_EQ(join(options_for(1, 2, rank0.port())), "");
  EXPECT_EQ(rank0.result(), "");
}

TEST(TcpBootstrap, AdmitsRanksWhenMoreStrangersComeThanItKeeps) {
  Rank0 rank0(2);
  std::vector<UniqueFd> strangers;
  for (int i = 0; i < 300; ++i) {
    strangers.push_back(test::connect_to_loopback(rank0.port()));
  }
  EXPECT_EQ(join(options_for(1, 2, rank0.port())), "");
  EXPECT_EQ(rank0.result(), "");
}

TEST(TcpBootstrap, DropsAConnectionThatSendsGarbage) {
  Rank0 rank0(2);
  const UniqueFd stranger = test::connect_to_loopback(rank0.port());
  const std::vector<std::byte> garbage(200, std::byte{'G'});
  test::send_bytes(stranger.get(), garbage);
  // Its first 32 bytes pass for a challenge and are answered; the rest proves nothing.
  EXPECT_LE(test::receive_bytes(stranger.get(), 4096).size(), 64U);
  EXPECT_EQ(join(options_for(1, 2, rank0.port())), "");
  EXPECT_EQ(rank0.result(), "");
}

TEST(TcpBootstrap, NamesMissingRanksAndHintsAtSecretsWhenTimeIsOver) {
  Rank0 rank0(4, milliseconds(1500));
  const UniqueFd stranger = test::connect_to_loopback(rank0.port());
  std::string seen_by_rank2;
  std::thread rank2([&] { seen_by_rank2 = join(options_for(2, 4, rank0.port())); });
  const std::string seen_by_rank0 = rank0.result();
  rank2.join();
  EXPECT_THAT(seen_by_rank0,
              AllOf(HasSubstr("ranks 1, 3 of 4 did not connect to rank 0 within 1500 ms"),
                    HasSubstr("1 connections came that did not prove the job's secret")));
  EXPECT_EQ(seen_by_rank2, seen_by_rank0);
}

TEST(TcpBootstrap, WaitsForRank0WhenItStartsLast) {
  test::LoopbackListener unused;
  const std::uint16_t port = unused.port;
  unused.fd.reset();
  std::string seen_by_rank1 = "not run";
  std::thread rank1([&] { seen_by_rank1 = join(options_for(1, 2, port)); });
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_EQ(join(options_for(0, 2, port)), "");
  rank1.join();
  EXPECT_EQ(seen_by_rank1, "");
}

TEST(TcpBootstrap, SaysWhereItLookedWhenRank0NeverComes) {
  test::LoopbackListener unused;
  unused.fd.reset();
  TcpBootstrapOptions options = options_for(1, 2, unused.port);
  options.timeout = milliseconds(100);
  EXPECT_THAT(join(options),
              AllOf(HasSubstr("cannot reach rank 0 at 127.0.0.1:" + std::to_string(unused.port)),
                    HasSubstr("within 100 ms")));
}

TEST(TcpBootstrap, GivesUpAtTheDeadlineWhenTheServerIsSilent) {
  const test::LoopbackListener silent;
  TcpBootstrapOptions options = options_for(1, 2, silent.port);
  options.timeout = milliseconds(100);
  EXPECT_THAT(join(options), HasSubstr("did not answer"));
}

TEST(TcpBootstrap, SaysWhatToDoWhenThePortIsInUse) {
  const test::LoopbackListener other_program;
  EXPECT_THAT(join(options_for(0, 2, other_program.port)),
              AllOf(HasSubstr("port " + std::to_string(other_program.port)),
                    HasSubstr("in use"),
                    HasSubstr("SWITCHYARD_PORT"),
                    HasSubstr("MASTER_PORT")));
}

TEST(TcpBootstrap, EndsTheGroupOnEveryRankWhenTwoClaimOneNumber) {
  Rank0 rank0(4);
  const auto errors =
      test::run_rank_threads(2, [&](int) { make_tcp_bootstrap(options_for(1, 4, rank0.port())); });
  EXPECT_THAT(rank0.result(), HasSubstr("two ranks claim to be rank 1 of 4"));
  EXPECT_THAT(errors, ::testing::Each(HasSubstr("two ranks claim to be rank 1 of 4")));
}

TEST(TcpBootstrap, EndsTheGroupOnEveryRankWhenSizesDiffer) {
  Rank0 rank0(3);
  EXPECT_THAT(join(options_for(1, 2, rank0.port())),
              HasSubstr("rank 1 was started for a group of 2 ranks, rank 0 for 3"));
  EXPECT_THAT(rank0.result(), HasSubstr("rank 1 was started for a group of 2 ranks, rank 0 for 3"));
}

TEST(TcpBootstrap, EndsTheGroupWhenARankLeavesBeforeItIsComplete) {
  Rank0 rank0(3);
  proven_connection(rank0.port(), {2, 3}).reset();
  EXPECT_THAT(rank0.result(), HasSubstr("rank 2 left before the group was complete"));
}

TEST(TcpBootstrap, RefusesALengthFarBeyondTheExpectedWhenAPeerLies) {
  Rank0 rank0(2);
  const UniqueFd liar = proven_connection(rank0.port(), {1, 2});
  const bootstrap::FrameHeader header{.sequence = 0, .bytes = ~std::uint64_t{0}};
  test::send_bytes(liar.get(), std::as_bytes(std::span(&header, 1)));
  EXPECT_THAT(rank0.result(), HasSubstr("rank 1 sent 18446744073709551615 bytes, wanted 1"));
}

TEST(TcpBootstrap, RefusesARepeatedFrameWhenAPeerSendsOneTwice) {
  Rank0 rank0(2);
  const UniqueFd liar = proven_connection(rank0.port(), {1, 2});
  const std::byte payload{1};
  for (int i = 0; i < 2; ++i) {
    bootstrap::FrameWriter({.sequence = 0}, std::span(&payload, 1)).advance(liar.get());
  }
  EXPECT_THAT(rank0.result(), HasSubstr("rank 1 sent something else than what must come next"));
}

TEST(TcpBootstrap, NeedsNoSocketWhenItIsAlone) {
  const test::LoopbackListener other_program;
  const auto bootstrap = make_tcp_bootstrap(options_for(0, 1, other_program.port));
  const std::byte mine{42};
  std::byte all{};
  bootstrap->all_gather(std::span(&mine, 1), std::span(&all, 1));
  EXPECT_EQ(all, mine);
  bootstrap->barrier();
}

TEST(TcpBootstrap, ConnectsByNameAndOverIpv6) {
  for (const char* host : {"localhost", "127.0.0.1", "::1"}) {
    const UniqueFd probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 loopback{};
    loopback.sin6_family = AF_INET6;
    loopback.sin6_addr = in6addr_loopback;
    const bool has_ipv6 =
        ::bind(probe.get(), reinterpret_cast<const sockaddr*>(&loopback), sizeof(loopback)) == 0;
    if (std::string(host) == "::1" && !has_ipv6) {
      continue;
    }
    test::LoopbackListener unused;
    unused.fd.reset();
    const auto errors = test::run_rank_threads(3, [&](int rank) {
      TcpBootstrapOptions options = options_for(rank, 3, unused.port);
      options.host = host;
      make_tcp_bootstrap(options)->barrier();
    });
    EXPECT_THAT(errors, ::testing::Each("")) << host;
  }
}

TEST(TcpBootstrap, ListensOnAllAddressesWhenTheHostIsNoLoopbackName) {
  test::LoopbackListener unused;
  unused.fd.reset();
  const auto errors = test::run_rank_threads(2, [&](int rank) {
    TcpBootstrapOptions options = options_for(rank, 2, unused.port);
    options.host = rank == 0 ? "a-name-that-only-peers-resolve.invalid" : "127.0.0.1";
    make_tcp_bootstrap(options)->barrier();
  });
  EXPECT_THAT(errors, ::testing::Each(""));
}

TEST(TcpBootstrap, SaysThatTheHostCannotBeResolvedWhenItCannot) {
  TcpBootstrapOptions options = options_for(1, 2, 1);
  options.host = "no-such-host.invalid";
  options.timeout = milliseconds(50);
  EXPECT_THAT(join(options), HasSubstr("cannot resolve no-such-host.invalid"));
}

void expect_refused(const TcpBootstrapOptions& options, const char* name) {
  try {
    make_tcp_bootstrap(options);
    FAIL() << "accepted a bad " << name;
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(), HasSubstr(name));
  }
}

TEST(TcpBootstrap, ThrowsInvalidArgumentWhenAnOptionIsBad) {
  expect_refused(options_for(2, 2, 1234), "rank");
  expect_refused(options_for(-1, 2, 1234), "rank");
  expect_refused(options_for(0, 0, 1234), "num_ranks");
  expect_refused(options_for(0, 2, 0), "port");
  TcpBootstrapOptions options = options_for(0, 2, 1234);
  options.secret = "seven b";
  expect_refused(options, "secret");
  options = options_for(1, 2, 1234);
  options.listener_fd = 0;
  expect_refused(options, "listener_fd");
  options.rank = 0;
  options.listener_fd = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)).release();
  expect_refused(options, "listener_fd");
}

}  // namespace
}  // namespace switchyard
