# Defines Highway::Highway from the package's own CMake config, or from pkg-config where a distribution ships only that.
find_package(hwy CONFIG QUIET)
if(TARGET hwy::hwy)
  set(_highway_target hwy::hwy)
  set(Highway_VERSION "${hwy_VERSION}")
else()
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(Highway QUIET IMPORTED_TARGET GLOBAL libhwy)
  endif()
  if(TARGET PkgConfig::Highway)
    set(_highway_target PkgConfig::Highway)
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  Highway
  REQUIRED_VARS _highway_target
  VERSION_VAR Highway_VERSION
  REASON_FAILURE_MESSAGE "install libhwy-dev, or point CMAKE_PREFIX_PATH at Highway")
if(Highway_FOUND AND NOT TARGET Highway::Highway)
  add_library(Highway::Highway INTERFACE IMPORTED GLOBAL)
  target_link_libraries(Highway::Highway INTERFACE ${_highway_target})
endif()
unset(_highway_target)
