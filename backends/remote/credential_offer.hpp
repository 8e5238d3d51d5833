#pragma once

#include <optional>

#include "backends/remote/agent_client.hpp"
#include "core/base/credentials.hpp"
#include "core/oci/reference.hpp"

namespace locald::backends {

/// Of one request whose image may have to be pulled over there: the credentials of its registry, looked up here once
/// the agent asks for them.
class CredentialOffer {
public:
    CredentialOffer(CredentialSource source, const std::optional<oci::ImageName>& image);

    /// The request's member `credentials`: where they are looked for, or null when the agent need not ask.
    protocol::Json said() const;
    /// Answers `message` when it is that question. Which registry is meant is not the agent's to say.
    void answer(AgentClient& client, const AgentStream& stream, const protocol::Json& message);

private:
    protocol::Json look_up() const;

    CredentialSource source_;
    std::optional<oci::Reference> reference_;  ///< of a registry's image
    int answers_ = 0;
    std::optional<protocol::Json> answer_;  ///< one look for all questions: a helper may ask the user
};

}  // namespace locald::backends
