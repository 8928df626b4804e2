# Defines Verbs::Verbs (libibverbs) through pkg-config.
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(Verbs QUIET IMPORTED_TARGET GLOBAL libibverbs)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  Verbs
  REQUIRED_VARS Verbs_LIBRARIES
  VERSION_VAR Verbs_VERSION
  REASON_FAILURE_MESSAGE "install libibverbs-dev and pkg-config")
if(Verbs_FOUND AND NOT TARGET Verbs::Verbs)
  add_library(Verbs::Verbs INTERFACE IMPORTED GLOBAL)
  target_link_libraries(Verbs::Verbs INTERFACE PkgConfig::Verbs)
endif()
