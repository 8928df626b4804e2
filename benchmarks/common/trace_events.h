// Documents in the Trace Event Format, which Perfetto and chrome://tracing open: what a traced
// operation and a simulated run write.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace switchyard::bench {

/// A piece of time on a track.
struct TraceSlice {
  int process = 0;
  int thread = 0;
  std::string name{};
  const char* category = "";
  std::int64_t begin_ns = 0;  ///< from the beginning of the document
  std::int64_t duration_ns = 0;
  nlohmann::ordered_json arguments{};
};

class TraceEvents {
 public:
  void name_process(int process, const std::string& name);
  void name_thread(int process, int thread, const std::string& name);
  void add(TraceSlice slice);

  /// The document. Lifetime: this object is empty afterwards
  nlohmann::ordered_json take(nlohmann::ordered_json other_data);

 private:
  void add_name(const char* what, int process, int thread, const std::string& name);

  nlohmann::ordered_json events_ = nlohmann::ordered_json::array();
};

}  // namespace switchyard::bench
