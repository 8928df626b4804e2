# switchyard_test_tier(<tier>): one executable from tests/<tier>/*_test.cc, its tests registered under the label <tier>.
# A tier with its own main.cc uses that instead of GoogleTest's. Test suites named *Threads (ranks as threads of the test
# itself) also get the label "threads": ThreadSanitizer can follow those, and not several processes.
function(switchyard_test_tier tier)
  file(GLOB sources CONFIGURE_DEPENDS ${tier}/*_test.cc)
  if(NOT sources)
    return()
  endif()
  set(target switchyard_${tier}_tests)
  if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${tier}/main.cc")
    add_executable(${target} ${sources} ${tier}/main.cc)
    target_link_libraries(${target} PRIVATE switchyard_test_support)
  else()
    add_executable(${target} ${sources})
    target_link_libraries(${target} PRIVATE switchyard_test_support GTest::gmock_main)
  endif()
  gtest_discover_tests(
    ${target}
    DISCOVERY_MODE PRE_TEST
    DISCOVERY_TIMEOUT 120
    PROPERTIES LABELS ${tier} TIMEOUT 300)
endfunction()
