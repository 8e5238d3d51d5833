#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/ssh/guest_pair.hpp"

namespace locald::backends {

/// What an agent is started for.
enum class AgentMode {
    link,  ///< everything, for as long as the connection lasts
    bulk,  ///< one image in or out
};

/// A line that a script wrote for us.
struct ScriptAnswer {
    std::string word;               ///< what it found
    std::vector<std::string> rest;  ///< the words after it
};

/// The command that starts the agent of the pair for that machine. It answers `start` and becomes the agent, or answers
/// `missing SYSTEM MACHINE DIRECTORY`. A login shell may be anything: the command is one line of words and of one text
/// between single quotes that holds no quote, no backslash and no exclamation mark, which sh, fish and csh read alike.
/// @param mark  stands before every answer, so that what profiles print is not taken for one
std::string start_command(std::string_view mark, const std::vector<GuestPair>& pairs, AgentMode mode = AgentMode::link);

/// The command that takes both programs from its standard input and puts them where start_command() looks. It answers
/// `placed`, or `failed STAGE` after words on stderr.
/// @param token  a name that no other client has
std::string upload_command(std::string_view mark, const GuestPair& pair, std::string_view token);

/// A line without its end, if it is an answer.
std::optional<ScriptAnswer> parse_answer(std::string_view line, std::string_view mark);

}  // namespace locald::backends
