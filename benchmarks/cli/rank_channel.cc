#include "benchmarks/cli/rank_channel.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace switchyard::bench {
namespace {

constexpr std::chrono::milliseconds kProgressInterval{100};

// A rank that only noticed that another one is gone, late or silent.
bool is_consequence(ErrorCode code) {
  return code == ErrorCode::kPeerLost || code == ErrorCode::kTimeout ||
         code == ErrorCode::kBootstrap;
}

}  // namespace

void RankChannel::send(const nlohmann::json& message) {
  const std::string line =
      message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  std::size_t done = 0;
  while (done < line.size()) {
    const ssize_t count = ::write(output_fd_, line.data() + done, line.size() - done);
    if (count < 0 && errno != EINTR) {
      return;  // the launcher is gone, and this process goes with it
    }
    done += static_cast<std::size_t>(std::max<ssize_t>(count, 0));
  }
}

void RankChannel::send_progress(double fraction, const std::string& doing) {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (now - last_progress_ >= kProgressInterval) {
    last_progress_ = now;
    send({{"progress", fraction}, {"doing", doing}});
  }
}

void RankChannel::send_failure(const RankFailure& failure) {
  const std::lock_guard lock(mutex_);
  send({{"failure", failure.message},
        {"rank", failure.rank},
        {"code", static_cast<int>(failure.code)}});
}

void RankChannel::send_samples(const std::vector<std::vector<nlohmann::json>>& by_case) {
  const std::lock_guard lock(mutex_);
  send({{"samples", by_case}});
}

void RankChannel::send_trace(std::size_t case_idx, const nlohmann::json& packed) {
  const std::lock_guard lock(mutex_);
  send({{"trace", packed}, {"case", case_idx}});
}

void RankMessages::take(const std::string& line) {
  const nlohmann::json message = nlohmann::json::parse(line, nullptr, false);
  if (message.contains("progress")) {
    on_progress_(message.at("progress").get<double>(), message.at("doing").get<std::string>());
  } else if (message.contains("failure")) {
    failures_.push_back({.rank = message.at("rank").get<int>(),
                         .code = static_cast<ErrorCode>(message.at("code").get<int>()),
                         .message = message.at("failure").get<std::string>()});
  } else if (message.contains("trace")) {
    traces_.take(message.at("case").get<std::size_t>(), message.at("trace"));
  } else if (message.contains("samples")) {
    for (const nlohmann::json& ranks : message.at("samples")) {
      std::vector<CaseSamples>& by_rank = samples_.emplace_back();
      for (const nlohmann::json& samples : ranks) {
        by_rank.push_back(case_samples_from_json(samples));
      }
    }
  } else {
    throw Error(ErrorCode::kInternal,
                fmt::format("a rank wrote '{}' where a message was expected", line));
  }
}

std::optional<RankFailure> RankMessages::failure() const {
  if (failures_.empty()) {
    return std::nullopt;
  }
  const auto cause =
      std::find_if(failures_.begin(), failures_.end(), [](const RankFailure& failure) {
        return !is_consequence(failure.code);
      });
  return cause == failures_.end() ? failures_.front() : *cause;
}

}  // namespace switchyard::bench
