#pragma once

#include <string>

namespace locald::host {

/// The function `name` of `lib/locald/<module>.so`, beside the `bin` that this program lies in. It is loaded at the
/// first call and never closed: what it made lives as long as the program.
/// @param what  it is, for error texts
/// @throws Error
void* load_from_module(const std::string& module, const char* name, const std::string& what);

}  // namespace locald::host
