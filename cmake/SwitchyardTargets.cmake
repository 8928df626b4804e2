# The library target (its folders add their own sources), and the two interface targets that only this tree uses.
add_library(switchyard_warnings INTERFACE)
target_compile_options(
  switchyard_warnings
  INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Wconversion>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${SWITCHYARD_WERROR}>>:-Werror>
    $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${SWITCHYARD_WERROR}>>:-Werror=all-warnings>)

# GCC 12 sees overlapping copies inside std::string's operator+ at -O3 (its bug 105651); nothing of ours is meant.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(switchyard_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()

file(GLOB public_headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/include/switchyard/*.h")
add_library(switchyard ${public_headers})
add_library(switchyard::switchyard ALIAS switchyard)
set_target_properties(
  switchyard
  PROPERTIES VERSION ${PROJECT_VERSION}
             SOVERSION ${PROJECT_VERSION_MAJOR}
             LINKER_LANGUAGE CXX)
target_compile_features(switchyard PUBLIC cxx_std_20)
target_include_directories(
  switchyard
  PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
  PRIVATE "${PROJECT_SOURCE_DIR}")
target_link_libraries(
  switchyard PRIVATE Threads::Threads fmt::fmt Highway::Highway Sodium::Sodium
                     $<BUILD_INTERFACE:switchyard_warnings>)

# For tests and benchmarks: the library with its inner headers, included as "csrc/...".
add_library(switchyard_internals INTERFACE)
target_include_directories(switchyard_internals INTERFACE "${PROJECT_SOURCE_DIR}")
target_link_libraries(switchyard_internals INTERFACE switchyard fmt::fmt Threads::Threads switchyard_warnings)
