#include "backends/remote/credential_offer.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/base/text.hpp"

namespace locald::backends {

namespace {

using protocol::Json;

/// A path may hold any bytes, and JSON says text.
std::string as_text(std::string_view bytes) {
    std::string text;
    while (!bytes.empty()) {
        const auto length = utf8_length(bytes);
        text += length == 0 ? "?" : bytes.substr(0, length);
        bytes.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return text;
}

}  // namespace

CredentialOffer::CredentialOffer(CredentialSource source, const std::optional<oci::ImageName>& image)
    : source_(std::move(source)) {
    if (source_.find && image && image->kind == oci::ImageKind::registry) reference_ = image->reference;
}

Json CredentialOffer::said() const { return reference_ ? Json(as_text(source_.places)) : Json(); }

Json CredentialOffer::look_up() const {
    Json answer{{"do", "credentials"}};
    try {
        auto found = reference_ ? source_.find(reference_->registry, reference_->repository) : std::nullopt;
        if (found) found->source = as_text(found->source);
        answer["found"] = found ? protocol::write_credentials(*found) : Json();
    } catch (const Error& e) {
        answer["error"] = protocol::write_error(e);
    }
    return answer;
}

void CredentialOffer::answer(AgentClient& client, const AgentStream& stream, const Json& message) {
    const auto ask = message.find("ask");
    if (ask == message.end() || *ask != "credentials") return;
    constexpr int answers_most = 16;  // a layer each, at most; each is many times as large as its question
    if (++answers_ > answers_most)
        throw Error(ErrorKind::corrupt, "the agent on " + client.host() + " asks for credentials again and again");
    if (!answer_) answer_ = look_up();
    client.send(stream, *answer_);
}

}  // namespace locald::backends
