# switchyard_test_tier(<tier>): one executable from tests/<tier>/*_test.cc, its tests registered under the label <tier>.
# A tier with its own main.cc uses that instead of GoogleTest's.
include(GoogleTest)

# The prefix keeps names unique when one ctest runs several builds (yard test): ctest keys properties by name.
set(SWITCHYARD_TEST_PREFIX "")
set(sanitizer_environment "")
if(SWITCHYARD_SANITIZE MATCHES "thread")
  set(SWITCHYARD_TEST_PREFIX "tsan.")
  set(sanitizer_environment ENVIRONMENT "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")
elseif(SWITCHYARD_SANITIZE MATCHES "address")
  set(SWITCHYARD_TEST_PREFIX "asan.")
  set(sanitizer_environment
      ENVIRONMENT "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1")
endif()

# GCC's ThreadSanitizer refuses to start where the kernel randomises more address bits than it was built for.
set(SWITCHYARD_TEST_LAUNCHER "")
if(SWITCHYARD_SANITIZE MATCHES "thread")
  find_program(SWITCHYARD_SETARCH setarch)
  if(SWITCHYARD_SETARCH)
    execute_process(
      COMMAND "${SWITCHYARD_SETARCH}" "${CMAKE_HOST_SYSTEM_PROCESSOR}" -R true
      RESULT_VARIABLE setarch_result
      OUTPUT_QUIET ERROR_QUIET)
    if(setarch_result EQUAL 0)
      set(SWITCHYARD_TEST_LAUNCHER "${SWITCHYARD_SETARCH};${CMAKE_HOST_SYSTEM_PROCESSOR};-R")
    endif()
  endif()
endif()

# All tiers but unit, sim and emulated start several ranks each that run at once: two cores' worth of work to ctest's scheduler.
function(switchyard_discover_tests target tier labels filter)
  set(processors 2)
  if(tier MATCHES "^(unit|sim|emulated.*)$")
    set(processors 1)
  endif()
  gtest_discover_tests(
    ${target}
    TEST_PREFIX "${SWITCHYARD_TEST_PREFIX}${tier}."
    TEST_FILTER "${filter}"
    NO_PRETTY_VALUES
    DISCOVERY_MODE PRE_TEST
    DISCOVERY_TIMEOUT 120
    PROPERTIES LABELS "${labels}" TIMEOUT 300 PROCESSORS ${processors} ${sanitizer_environment})
endfunction()

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
  if(SWITCHYARD_TEST_LAUNCHER)
    set_target_properties(${target} PROPERTIES CROSSCOMPILING_EMULATOR "${SWITCHYARD_TEST_LAUNCHER}")
  endif()
  if(TARGET switchyard_cli)
    add_dependencies(${target} switchyard_cli)
    target_compile_definitions(${target} PRIVATE SY_CLI_PATH="$<TARGET_FILE:switchyard_cli>")
  endif()
  if(TARGET switchyard_mpi_bench) # the command, and tests, look for it beside the command
    add_dependencies(${target} switchyard_mpi_bench)
  endif()

  # Suites named *Threads start their ranks as threads of the test. ThreadSanitizer follows those and not several
  # processes, so its build registers no others of the process tier. "process_threads" answers to ctest -L for both words.
  if(NOT tier STREQUAL "process")
    switchyard_discover_tests(${target} ${tier} ${tier} "*")
    return()
  endif()
  switchyard_discover_tests(${target} ${tier} process_threads "*Threads.*")
  if(NOT SWITCHYARD_SANITIZE MATCHES "thread")
    switchyard_discover_tests(${target} ${tier} process "-*Threads.*")
  endif()
endfunction()
