// The text of a refusal, for tests of what it says.
#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <functional>
#include <string>

namespace switchyard::test {

/// What `action` throws, as text; the test fails when it throws nothing or something else.
template <class Wanted>
std::string text_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Wanted& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another exception: " << error.what();
    return "";
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace switchyard::test
