#pragma once

#include <string>

namespace locald::shim {

/// What a setuid start takes from /etc/locald/shim.conf, as JSON. @throws Error with the words of its refusal
std::string policy_json();

}  // namespace locald::shim
