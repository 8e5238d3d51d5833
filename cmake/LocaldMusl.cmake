# locald_link_statically(TARGET LIBRARY...): links TARGET as one static program, against musl where LOCALD_SHIM_LIBC says so.
# With musl it is position independent, because it may be setuid root: 1400 relocations, 0.02 ms, lost in the noise of a
# start. Not fortified: glibc's headers would ask for functions that musl has not.
#
# A program of glibc's runs CPUID 43 times before main, and a virtual machine pays some microseconds for each; musl's runs it
# never (docs/decisions/0008-shim-on-musl.md). The compiler and its headers stay what they are: only this last step takes
# musl's start files and libc.a, and a function that musl lacks is an error here.

string(REPLACE gnu musl musl_triplet "${CMAKE_LIBRARY_ARCHITECTURE}")
set(LOCALD_MUSL_DIR /usr/lib/${musl_triplet} CACHE PATH "Where Debian's musl-dev has libc.a and the start files")
set(libc_default glibc)
if(EXISTS ${LOCALD_MUSL_DIR}/libc.a AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  set(libc_default musl)
endif()
if(LOCALD_COMPILES_FOR_GLIBC)
  set(LOCALD_SHIM_LIBC ${libc_default} CACHE STRING "The C library that locald-shim is linked with: musl or glibc")
else()
  set(LOCALD_SHIM_LIBC "the compiler's" CACHE STRING "The compiler knows one C library only" FORCE)
endif()
message(STATUS "C library of locald-shim: ${LOCALD_SHIM_LIBC}")

function(locald_link_statically target)
  target_link_options(${target} PRIVATE -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now)
  if(NOT LOCALD_SHIM_LIBC STREQUAL "glibc")
    target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/shim/musl/strerror.cpp)
  endif()
  if(NOT LOCALD_SHIM_LIBC STREQUAL "musl")
    target_link_options(${target} PRIVATE -static)
    target_link_libraries(${target} PRIVATE ${ARGN})
    return()
  endif()
  target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/shim/musl/glibc_symbols.cpp)
  foreach(file IN ITEMS crtbeginS.o crtendS.o libstdc++.a libgcc.a libgcc_eh.a)
    execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=${file} OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT IS_ABSOLUTE "${path}")
      message(FATAL_ERROR "${CMAKE_CXX_COMPILER} has no ${file}: configure with -DLOCALD_SHIM_LIBC=glibc")
    endif()
    set(${file} ${path})
  endforeach()
  set(libc ${LOCALD_MUSL_DIR})
  # --eh-frame-hdr: the table that the unwinder searches. g++ leaves it out of static programs, whose start files then
  # register the frames to be sorted at the first throw.
  # -u: libgcc and libstdc++ know these by weak names and call all of them as soon as __pthread_key_create is there, which
  # comes with the first thread in the program. A weak name alone takes nothing out of libc.a, and a throw then calls 0.
  set(weak pthread_once pthread_getspecific pthread_setspecific pthread_key_create pthread_mutex_lock pthread_mutex_unlock)
  list(TRANSFORM weak PREPEND -Wl,-u,)
  target_link_options(${target} PRIVATE -static-pie -nostdlib ${weak} -Wl,--eh-frame-hdr ${libc}/rcrt1.o ${libc}/crti.o ${crtbeginS.o})
  target_link_libraries(
    ${target} PRIVATE ${ARGN} -Wl,--start-group ${libstdc++.a} ${libgcc.a} ${libgcc_eh.a} ${libc}/libc.a -Wl,--end-group
                      ${crtendS.o} ${libc}/crtn.o)
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${libc}/libc.a)
endfunction()
