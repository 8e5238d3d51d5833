// The storage worker as a program of its own, for tests that do not have the command.

#include <string>
#include <vector>

#include "core/image/unpack.hpp"

// The worker changes its user, after which the leak checker may not trace it.
extern "C" const char* __asan_default_options();  // NOLINT: the sanitizer's name
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

int main(int argc, char** argv) { return locald::image::worker_main(std::vector<std::string>(argv + 1, argv + argc)); }
