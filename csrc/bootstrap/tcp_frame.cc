#include "csrc/bootstrap/tcp_frame.h"

#include <algorithm>

namespace switchyard::bootstrap {

FrameWriter::FrameWriter(FrameHeader header, std::span<const std::byte> payload)
    : header_(header), rest_(payload) {
  header_.bytes = payload.size();
}

IoStatus FrameWriter::advance(int fd) {
  std::span<const std::byte> header = std::as_bytes(std::span(&header_, 1));
  header = header.subspan(num_header_sent_);
  const IoStatus status = send_some(fd, header);
  num_header_sent_ = sizeof(header_) - header.size();
  return status == IoStatus::kDone ? send_some(fd, rest_) : status;
}

FrameReader::Status FrameReader::advance(int fd) {
  if (num_header_received_ < sizeof(header_)) {
    status_ = advance_header(fd);
    if (status_ != Status::kPending || num_header_received_ < sizeof(header_)) {
      return status_;
    }
  }
  switch (receive_some(fd, rest_)) {
    case IoStatus::kBlocked:
      break;
    case IoStatus::kClosed:
      status_ = Status::kClosed;
      break;
    case IoStatus::kDone:
      status_ = header_.kind == FrameKind::kFailure ? Status::kFailure : Status::kDone;
      break;
  }
  return status_;
}

FrameReader::Status FrameReader::advance_header(int fd) {
  std::span<std::byte> rest = std::as_writable_bytes(std::span(&header_, 1));
  rest = rest.subspan(num_header_received_);
  const IoStatus status = receive_some(fd, rest);
  num_header_received_ = sizeof(header_) - rest.size();
  if (status == IoStatus::kDone) {
    return judge_header();
  }
  return status == IoStatus::kClosed ? Status::kClosed : Status::kPending;
}

FrameReader::Status FrameReader::judge_header() {
  if (header_.kind == FrameKind::kFailure && header_.bytes <= kMaxFailureBytes) {
    rest_ = std::as_writable_bytes(std::span(text_)).first(header_.bytes);
    return Status::kPending;
  }
  if (header_.kind != FrameKind::kGather || header_.sequence != sequence_) {
    return Status::kOutOfOrder;
  }
  return header_.bytes == rest_.size() ? Status::kPending : Status::kWrongLength;
}

std::string FrameReader::failure_text() const {
  std::string text(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(header_.bytes));
  // It goes to a terminal or a log: control characters could forge lines there.
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return text;
}

void send_failure(int fd, const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text.data(), std::min(text.size(), kMaxFailureBytes)));
  (void)FrameWriter({.kind = FrameKind::kFailure}, bytes).advance(fd);
}

}  // namespace switchyard::bootstrap
