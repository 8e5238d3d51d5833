#pragma once

#include <string>
#include <string_view>

namespace locald::shim {

/// A path of mountinfo, which writes spaces and their like as `\040`, back to bytes. @see proc_pid_mountinfo(5)
std::string unescape_mountinfo(std::string_view text);

}  // namespace locald::shim
