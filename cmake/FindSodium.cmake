# Defines Sodium::Sodium (libsodium) through pkg-config; libsodium ships no CMake config.
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(Sodium QUIET IMPORTED_TARGET GLOBAL libsodium)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  Sodium
  REQUIRED_VARS Sodium_LIBRARIES
  VERSION_VAR Sodium_VERSION
  REASON_FAILURE_MESSAGE "install libsodium-dev and pkg-config")
if(Sodium_FOUND AND NOT TARGET Sodium::Sodium)
  add_library(Sodium::Sodium INTERFACE IMPORTED GLOBAL)
  target_link_libraries(Sodium::Sodium INTERFACE PkgConfig::Sodium)
endif()
