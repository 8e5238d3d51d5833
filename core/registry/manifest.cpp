#include "core/registry/manifest.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/sha256.hpp"
#include "core/base/text.hpp"
#include "core/registry/retry.hpp"
#include "core/registry/status.hpp"

namespace locald::registry {
namespace {

constexpr std::array known_types{oci::media_type::index, oci::media_type::docker_list, oci::media_type::manifest,
                                 oci::media_type::docker_manifest};

std::string accept_header() {
    std::string out;
    for (const std::string_view type : known_types) out += (out.empty() ? "" : ", ") + std::string(type);
    return out;
}

/// A manifest or an index, its digest checked.
struct Document {
    std::string json;
    std::string media_type;  ///< as declared; may be empty
    Digest digest;
    oci::DocumentKind kind;
};

[[noreturn]] void differs(const std::string& what, const std::string& wanted, const std::string& got) {
    throw Error(ErrorKind::corrupt, what + ": expected " + wanted + ", got " + got)
        .with_remedy("try again; if it stays, the registry or something on the way to it changes what it serves");
}

/// @param wanted  the digest asked for; empty for a tag
Document fetch_document(Session& session, const ClientOptions& options, const oci::Reference& reference,
                        const Digest& wanted, const std::string& for_whom, const CancelToken& cancel) {
    const std::string name = wanted.empty() ? reference.tag : wanted.str();
    const std::string what = "manifest of " + reference.str();
    std::string content_type;
    std::string stated_digest;
    Document document;
    document.json = with_retries(options.most_retries, cancel, [&] {
        Response response = session.get(reference, "/manifests/" + name, {{"Accept", accept_header()}}, cancel);
        if (response.status() == 404) {
            const std::string words = error_words(response, cancel);
            throw Error(ErrorKind::not_found, reference.str() + for_whom + ": not found at " + reference.registry +
                                                  (words.empty() ? "" : ": " + words))
                .with_remedy("check the name and the tag");
        }
        if (response.status() != 200) {
            throw Error(ErrorKind::unavailable, what + ": the registry answered " + std::to_string(response.status()));
        }
        content_type = response.header("Content-Type").value_or("");
        stated_digest = response.header("Docker-Content-Digest").value_or("");
        return response.read_text(options.largest_manifest, what, cancel);
    });
    document.digest = sha256_of(document.json);
    if (!wanted.empty() && document.digest != wanted) differs(what, wanted.str(), document.digest.str());
    // other algorithms cannot be compared; for a digest the body itself was just compared
    if (wanted.empty() && stated_digest.starts_with("sha256:") && document.digest.str() != stated_digest) {
        differs(what, json_quote(stated_digest.substr(0, 80)) + " by Docker-Content-Digest", document.digest.str());
    }
    document.media_type = in_step(what, [&] { return declared_type(content_type); });
    document.kind = in_step(what, [&] { return oci::document_kind(document.json, document.media_type); });
    return document;
}

}  // namespace

std::string declared_type(std::string_view content_type) {
    const std::string type = to_lower(trim(content_type.substr(0, content_type.find(';'))));
    if (type.starts_with("application/vnd.docker.distribution.manifest.v1+")) {
        throw Error(ErrorKind::unsupported, "docker schema 1, which carries no digests of its layers")
            .with_remedy("push the image again with a current client");
    }
    const bool general = type.empty() || type == "application/json" || type == "application/octet-stream" ||
                         type == "binary/octet-stream" || type.starts_with("text/");
    return general ? std::string() : type;
}

ResolvedManifest resolve_manifest(Session& session, const ClientOptions& options, const oci::Reference& reference,
                                  const oci::Platform& platform, const CancelToken& cancel) {
    if (reference.digest.empty() && reference.tag.empty()) {
        throw Error(ErrorKind::invalid, reference.str() + ": neither a tag nor a digest");
    }
    const std::string for_whom = " for " + platform.str();
    Document document = fetch_document(session, options, reference, reference.digest, for_whom, cancel);
    const std::string what = "manifest of " + reference.str();
    ResolvedManifest out;
    if (document.kind == oci::DocumentKind::index) {
        const oci::Index index = in_step(what, [&] { return oci::parse_index(document.json); });
        const oci::Descriptor chosen = in_step(reference.str(), [&] { return oci::select_platform(index, platform); });
        out.index = document.digest;
        document = fetch_document(session, options, reference, chosen.digest, for_whom, cancel);
        if (document.json.size() != chosen.size) {
            differs(what, std::to_string(chosen.size) + " bytes by its index", std::to_string(document.json.size()));
        }
        if (document.kind != oci::DocumentKind::manifest) {
            throw Error(ErrorKind::unsupported, what + ": an index inside an index");
        }
        static_cast<void>(in_step(what, [&] { return oci::document_kind(document.json, chosen.media_type); }));
        out.descriptor = chosen;
    }
    out.manifest = in_step(what, [&] { return oci::parse_manifest(document.json); });
    out.descriptor.digest = document.digest;
    out.descriptor.size = document.json.size();
    for (const std::string& type :
         {out.manifest.media_type, document.media_type, std::string(oci::media_type::manifest)}) {
        if (out.descriptor.media_type.empty()) out.descriptor.media_type = type;
    }
    out.json = std::move(document.json);
    return out;
}

}  // namespace locald::registry
