#pragma once

#include "shim/options.hpp"

namespace locald::shim {

// One function a verb; each returns the exit code and throws Error.

int run_bundle(const Options& options);
int show_state(const Options& options);
int list_containers(const Options& options);
int kill_container(const Options& options);
int delete_container(const Options& options);
int show_features();
/// The tiny init behind `--init`: see init.cpp.
int run_init(const std::vector<std::string>& command);

/// Writes all of `text` to standard output.
void print(const std::string& text);

}  // namespace locald::shim
