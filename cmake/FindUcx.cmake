# Defines Ucx::Ucx (UCP of UCX) through pkg-config.
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(Ucx QUIET IMPORTED_TARGET GLOBAL ucx)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  Ucx
  REQUIRED_VARS Ucx_LIBRARIES
  VERSION_VAR Ucx_VERSION
  REASON_FAILURE_MESSAGE "install libucx-dev and pkg-config")
if(Ucx_FOUND AND NOT TARGET Ucx::Ucx)
  add_library(Ucx::Ucx INTERFACE IMPORTED GLOBAL)
  target_link_libraries(Ucx::Ucx INTERFACE PkgConfig::Ucx)
endif()
