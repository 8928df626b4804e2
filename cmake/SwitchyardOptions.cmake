# What a builder may choose. A part whose packages are missing switches itself off later, with a line that says so.
option(SWITCHYARD_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(SWITCHYARD_BUILD_CLI "Build the switchyard command and its benchmarks" ${PROJECT_IS_TOP_LEVEL})
option(SWITCHYARD_BUILD_EXAMPLES "Build the examples" ${PROJECT_IS_TOP_LEVEL})
option(SWITCHYARD_WERROR "Treat warnings as errors" ${PROJECT_IS_TOP_LEVEL})
option(BUILD_SHARED_LIBS "Build a shared library" OFF)
option(SWITCHYARD_UCX "Build the transport over UCX (TCP, shared memory, InfiniBand, RoCE)" ON)
option(SWITCHYARD_VERBS "Build the transport over libibverbs (InfiniBand, RoCE)" ON)
set(SWITCHYARD_CUDA
    AUTO
    CACHE STRING "Compile the device code (needs nvcc, no GPU): ON, OFF, or AUTO, where there is an nvcc and no sanitizer")
set_property(CACHE SWITCHYARD_CUDA PROPERTY STRINGS AUTO ON OFF)
set(SWITCHYARD_SANITIZE
    ""
    CACHE STRING "Sanitizers for everything, as -fsanitize takes them: address,undefined or thread")
option(SWITCHYARD_FUZZ "Build the fuzzers and nothing else of the tests; needs clang with libFuzzer" OFF)
set(SWITCHYARD_FUZZ_SECONDS
    60
    CACHE STRING "How long ctest runs each fuzzer")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  message(STATUS "Build type: Release (CMAKE_BUILD_TYPE was not given)")
  set(CMAKE_BUILD_TYPE
      Release
      CACHE STRING "Build type" FORCE)
endif()
