# Arrow C++ with Parquet, for tributary-batch (the only program that links it).
#
#   list(APPEND CMAKE_MODULE_PATH ${PROJECT_SOURCE_DIR}/deploy/arrow)
#   find_package(TributaryArrow REQUIRED)
#   target_link_libraries(history_parquet PRIVATE tributary_arrow::parquet)
#
# Looks for, in this order:
#   1. the system's Arrow C++ (find_package(Arrow), find_package(Parquet)), shared libraries;
#   2. the libraries of the pinned pyarrow wheel, where deploy/install_dependencies.sh unpacks them:
#      TRIBUTARY_DEPS_DIR (cache variable, else environment, else ${XDG_CACHE_HOME:-~/.cache}/tributary).
# Gives the target tributary_arrow::parquet (headers are SYSTEM; brings Arrow along) and the variables
#   TributaryArrow_FOUND, TributaryArrow_VERSION, TributaryArrow_SOURCE ("system", or the wheel's folder).
#
# The wheel's libraries are linked by full path, since their SONAME changes with each release: build-tree binaries find
# them by their rpath; a project that installs binaries sets CMAKE_INSTALL_RPATH_USE_LINK_PATH or ships them beside.
# They export Abseil (lts_20260107) and OpenTelemetry symbols: do not link another OpenTelemetry into the same program.

file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/requirements.txt" _tributary_arrow_pin REGEX "^pyarrow==")
string(REGEX REPLACE "^pyarrow==([0-9.]+).*" "\\1" _tributary_arrow_version "${_tributary_arrow_pin}")

if(NOT TRIBUTARY_DEPS_DIR)
  if(DEFINED ENV{TRIBUTARY_DEPS_DIR})
    set(_tributary_deps "$ENV{TRIBUTARY_DEPS_DIR}")
  elseif(DEFINED ENV{XDG_CACHE_HOME})
    set(_tributary_deps "$ENV{XDG_CACHE_HOME}/tributary")
  else()
    set(_tributary_deps "$ENV{HOME}/.cache/tributary")
  endif()
  set(TRIBUTARY_DEPS_DIR "${_tributary_deps}" CACHE PATH
    "where deploy/install_dependencies.sh keeps what is not a Debian package" FORCE)
endif()
set(_tributary_arrow_dir "${TRIBUTARY_DEPS_DIR}/arrow-${_tributary_arrow_version}")

if(NOT TARGET tributary_arrow::parquet)
  find_package(Arrow CONFIG QUIET)
  find_package(Parquet CONFIG QUIET)
  if(TARGET Arrow::arrow_shared AND TARGET Parquet::parquet_shared)
    set(TributaryArrow_SOURCE "system")
    set(TributaryArrow_VERSION "${Arrow_VERSION}")
    add_library(tributary_arrow::parquet INTERFACE IMPORTED)
    target_link_libraries(tributary_arrow::parquet INTERFACE Parquet::parquet_shared Arrow::arrow_shared)
  else()
    # The major version times 100 plus the minor one: 26.0.1 -> 2600.
    string(REGEX MATCH "^([0-9]+)\\.([0-9]+)" _ "${_tributary_arrow_version}")
    math(EXPR _tributary_arrow_so "${CMAKE_MATCH_1} * 100 + ${CMAKE_MATCH_2}")
    set(_tributary_arrow_lib "${_tributary_arrow_dir}/lib/libarrow.so.${_tributary_arrow_so}")
    set(_tributary_parquet_lib "${_tributary_arrow_dir}/lib/libparquet.so.${_tributary_arrow_so}")
    if(EXISTS "${_tributary_arrow_lib}" AND EXISTS "${_tributary_parquet_lib}")
      set(TributaryArrow_SOURCE "${_tributary_arrow_dir}")
      set(TributaryArrow_VERSION "${_tributary_arrow_version}")
      add_library(tributary_arrow::arrow_shared SHARED IMPORTED)
      set_target_properties(tributary_arrow::arrow_shared PROPERTIES
        IMPORTED_LOCATION "${_tributary_arrow_lib}"
        INTERFACE_INCLUDE_DIRECTORIES "${_tributary_arrow_dir}/include")
      add_library(tributary_arrow::parquet_shared SHARED IMPORTED)
      set_target_properties(tributary_arrow::parquet_shared PROPERTIES
        IMPORTED_LOCATION "${_tributary_parquet_lib}"
        INTERFACE_LINK_LIBRARIES tributary_arrow::arrow_shared)
      add_library(tributary_arrow::parquet INTERFACE IMPORTED)
      target_link_libraries(tributary_arrow::parquet INTERFACE tributary_arrow::parquet_shared)
    endif()
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TributaryArrow
  REQUIRED_VARS TributaryArrow_SOURCE
  VERSION_VAR TributaryArrow_VERSION
  REASON_FAILURE_MESSAGE
    "neither a system Arrow C++ with Parquet nor ${_tributary_arrow_dir} is there: run deploy/install_dependencies.sh (with the same TRIBUTARY_DEPS_DIR, if you set it)")
