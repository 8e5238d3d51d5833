#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <utility>

#include "core/base/error.hpp"

namespace locald::backends {

/// What `body` returns, which takes members out of an agent's answer.
/// @throws Error(corrupt) where one is missing or of another type
template <class Body>
decltype(auto) read_answer(Body&& body) {
    try {
        return std::forward<Body>(body)();
    } catch (const nlohmann::json::exception& e) {
        throw Error(ErrorKind::corrupt, "read the agent's answer: " + std::string(e.what()));
    }
}

}  // namespace locald::backends
