#pragma once

#include <sys/stat.h>

#include <string>

namespace locald::shim {

/// True when `link`, a /proc/…/exe or /proc/self/fd/N, leads to a file that nobody can ever open for writing by it: a
/// read-only mount that is attached nowhere, so that nobody can make it writable again, or a sealed memfd. The kernel
/// is asked; an environment variable or a word of the command line could be anybody's.
bool is_unwritable(const std::string& link);

/// Whether a container of ours could write our own program's file, if it got hold of it.
bool needs_protection(const struct stat& program, unsigned caller) noexcept;

/// How many of the file's first bytes the kernel maps for the program: what follows, debug information above all, need
/// not be copied. `size` when `file` is no ELF file of 64 bits.
std::size_t mapped_size(int file, std::size_t size) noexcept;

/// What main was called with, for the function below; without it, as in a test's program, that does nothing.
void remember_arguments(char** argv) noexcept;

/// Starts this program again, with the same arguments and environment, from a file that no container can write
/// (CVE-2019-5736), unless it runs from one or no container could write its own; then it returns. To be called before
/// anything is made or a descriptor that was handed over is changed. @throws Error when the program cannot be protected
void run_from_unwritable_program();

/// Closes the mount that this program was started from, if it is still held. The last process to do so waits for all
/// processors (namespace_unlock() in the kernel: 0.1 ms): so a child closes its copy at once, and the parent when it
/// would wait anyway. The program itself needs no descriptor.
void close_program_mount() noexcept;

}  // namespace locald::shim
