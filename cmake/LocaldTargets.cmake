# What every target of the project gets: the standard, the warnings, the include root and (but for the shim) the sanitizers.

find_program(LOCALD_CCACHE ccache)
if(LOCALD_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${LOCALD_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${LOCALD_CCACHE})
endif()

add_library(locald_options INTERFACE)
target_compile_features(locald_options INTERFACE cxx_std_20)
target_compile_options(
  locald_options
  INTERFACE -Wall -Wextra -Wpedantic -Wshadow $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> -Wcast-align
            $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual> -Wconversion -Wsign-conversion -Wformat=2 -Werror=return-type)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 reports std::string's own operator+ (its bug 105651).
  target_compile_options(locald_options INTERFACE -Wno-restrict)
endif()
target_include_directories(locald_options INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                                    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>)

include(CheckCXXSymbolExists)
check_cxx_symbol_exists(__GLIBC__ features.h LOCALD_COMPILES_FOR_GLIBC)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT LOCALD_COMPILES_FOR_GLIBC)
  # What musl's headers lack of the kernel's calls.
  target_include_directories(locald_options BEFORE INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/shim/musl/headers>)
endif()

add_library(locald_sanitize INTERFACE)
if(LOCALD_SANITIZE)
  target_compile_options(locald_sanitize INTERFACE -fsanitize=${LOCALD_SANITIZE} -fno-omit-frame-pointer
                                                   -fno-sanitize-recover=all)
  target_link_options(locald_sanitize INTERFACE -fsanitize=${LOCALD_SANITIZE})
endif()
if(LOCALD_BUILD_FUZZERS)
  target_compile_options(locald_sanitize INTERFACE -fsanitize=fuzzer-no-link,address,undefined
                                                   -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(locald_sanitize INTERFACE -fsanitize=fuzzer-no-link,address,undefined)
endif()

# locald_library(NAME [PUBLIC lib...] [PRIVATE lib...] [SOURCES file...])
# A static library of one layer: the given sources, or every *.cpp of its folder.
function(locald_library name)
  cmake_parse_arguments(arg "" "" "PUBLIC;PRIVATE;SOURCES" ${ARGN})
  if(NOT arg_SOURCES)
    file(GLOB arg_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  endif()
  add_library(locald_${name} STATIC ${arg_SOURCES})
  add_library(locald::${name} ALIAS locald_${name})
  set_target_properties(locald_${name} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(
    locald_${name}
    PUBLIC ${arg_PUBLIC}
    PRIVATE ${arg_PRIVATE} $<BUILD_INTERFACE:locald_options> $<BUILD_INTERFACE:locald_sanitize>)
  target_compile_features(locald_${name} PUBLIC cxx_std_20)
  target_include_directories(
    locald_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>
                          $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/locald-runtime>)
  set_property(GLOBAL APPEND PROPERTY LOCALD_LIBRARIES locald_${name})
endfunction()

# For the command: a library with all it links in a module, lib/locald/locald-NAME.so, that is loaded when it is needed.
function(locald_late_module name library)
  set(target locald_${name}_module)
  add_library(${target} MODULE late/module.cpp)
  target_link_libraries(${target} PRIVATE ${library} locald_options locald_sanitize)
  target_link_options(${target} PRIVATE LINKER:--exclude-libs,ALL)
  set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME locald-${name} LIBRARY_OUTPUT_DIRECTORY
                                                                                  ${PROJECT_BINARY_DIR}/lib/locald)
  install(TARGETS ${target} LIBRARY DESTINATION lib/locald)
endfunction()
