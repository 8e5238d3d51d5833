#include "core/oci/image_spec.hpp"

#include <algorithm>
#include <array>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/oci/json_reader.hpp"
#include "core/oci/json_writer.hpp"

namespace locald::oci {

namespace reader {

/// What people read may hold any character.
static void read_annotations(Object& object, std::map<std::string, std::string>& out) {
    object.get_free_text("annotations", out);
}

static void read(Json& value, const Place& place, Digest& out) {
    std::string text;
    read(value, place, text);
    try {
        out = Digest::parse(text);
    } catch (Error& e) {
        e.add_context(place.str());
        throw;
    }
}

static void read(Json& value, const Place& place, Platform& out) {
    Object object(value, place);
    object.get("architecture", out.architecture);
    object.get("os", out.os);
    object.get("variant", out.variant);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, Descriptor& out) {
    Object object(value, place);
    object.need("mediaType", out.media_type);
    object.need("digest", out.digest);
    object.need("size", out.size);
    object.get("urls", out.urls);
    read_annotations(object, out.annotations);
    object.get("platform", out.platform);
    object.get("artifactType", out.artifact_type);
    out.unknown = object.rest();
}

/// `schemaVersion` is 2 in every document of docker's schema 2 and of the image-spec.
static void check_schema(Object& object) {
    std::int64_t version = 0;
    object.need("schemaVersion", version);
    if (version != 2) {
        fail(Place(object.place(), "schemaVersion"), "expected 2, got " + std::to_string(version));
    }
}

static void check_media_type(const Object& object, std::string_view got, std::string_view oci,
                             std::string_view docker) {
    if (got.empty() || got == oci || got == docker) return;
    fail(Place(object.place(), "mediaType"),
         "expected " + std::string(oci) + " or " + std::string(docker) + ", got " + json_quote(got.substr(0, 160)));
}

static void read(Json& value, const Place& place, Index& out) {
    Object object(value, place);
    check_schema(object);
    object.get("mediaType", out.media_type);
    check_media_type(object, out.media_type, media_type::index, media_type::docker_list);
    object.get("manifests", out.manifests);
    read_annotations(object, out.annotations);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, Manifest& out) {
    Object object(value, place);
    check_schema(object);
    object.get("mediaType", out.media_type);
    check_media_type(object, out.media_type, media_type::manifest, media_type::docker_manifest);
    object.need("config", out.config);
    object.get("layers", out.layers);
    read_annotations(object, out.annotations);
    out.unknown = object.rest();
}

/// The names of an object whose values mean nothing: `{"80/tcp": {}}`.
static void read_names(Object& object, std::string_view name, std::vector<std::string>& out) {
    Json* member = object.take(name);
    if (member == nullptr) return;
    const Place place(object.place(), name);
    if (!member->is(json::Kind::object)) fail_expected(place, "an object", *member);
    for (const auto& [key, nothing] : member->members()) {
        refuse_nul(key, Place(place, key));
        out.emplace_back(key);
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
}

/// Reads `config` and returns its unknown members.
static std::string read_execution(Json& value, const Place& place, ImageConfig& out) {
    Object object(value, place);
    object.get("User", out.user);
    read_names(object, "ExposedPorts", out.exposed_ports);
    object.get("Env", out.env);
    object.get("Entrypoint", out.entrypoint);
    object.get("Cmd", out.cmd);
    read_names(object, "Volumes", out.volumes);
    object.get("WorkingDir", out.working_dir);
    object.get_free_text("Labels", out.labels);
    object.get("StopSignal", out.stop_signal);
    return object.rest();
}

static void read(Json& value, const Place& place, ImageConfig& out) {
    Object object(value, place);
    object.get("os", out.os);
    object.get("architecture", out.architecture);
    object.get("variant", out.variant);
    object.get_free_text("created", out.created);
    object.get_free_text("author", out.author);

    const Place rootfs_place(place, "rootfs");
    Json* rootfs = object.take("rootfs");
    if (rootfs == nullptr) fail(rootfs_place, "missing");
    Object layers(*rootfs, rootfs_place);
    std::string type;
    layers.need("type", type);
    if (type != "layers") {
        fail(Place(rootfs_place, "type"), "expected layers, got " + json_quote(type.substr(0, 64)));
    }
    // Null stands for the empty list here, as engines in Go write an image without layers.
    layers.get("diff_ids", out.diff_ids);

    std::string inner;
    if (Json* config = object.take("config")) {
        inner = read_execution(*config, Place(place, "config"), out);
    }
    out.unknown = object.rest();
    if (inner.empty()) return;
    // The unknown members of `config` go one level down, below those of the whole; to_json() knows.
    out.unknown = out.unknown.empty() ? "{" : out.unknown.substr(0, out.unknown.size() - 1) + ",";
    out.unknown += "\"config\":" + inner + "}";
}

}  // namespace reader

using writer::Object;
using writer::Place;
using writer::put_always;
using writer::put_some;
using writer::put_unknown;
using writer::Text;

static void write(Text& text, const Place& place, const Platform& platform) {
    Object object(text, place);
    put_always(object, "architecture", platform.architecture);
    put_always(object, "os", platform.os);
    put_some(object, "variant", platform.variant);
    put_unknown(object, platform.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const Descriptor& descriptor) {
    Object object(text, place);
    put_always(object, "mediaType", descriptor.media_type);
    put_always(object, "digest", descriptor.digest);
    put_always(object, "size", descriptor.size);
    put_some(object, "urls", descriptor.urls);
    put_some(object, "annotations", descriptor.annotations);
    put_some(object, "platform", descriptor.platform);
    put_some(object, "artifactType", descriptor.artifact_type);
    put_unknown(object, descriptor.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const Index& index) {
    Object object(text, place);
    put_always(object, "schemaVersion", 2);
    put_some(object, "mediaType", index.media_type);
    put_always(object, "manifests", index.manifests);
    put_some(object, "annotations", index.annotations);
    put_unknown(object, index.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const Manifest& manifest) {
    Object object(text, place);
    put_always(object, "schemaVersion", 2);
    put_some(object, "mediaType", manifest.media_type);
    put_always(object, "config", manifest.config);
    put_always(object, "layers", manifest.layers);
    put_some(object, "annotations", manifest.annotations);
    put_unknown(object, manifest.unknown);
    object.close();
}

static void put_names(Object& object, std::string_view key, const std::vector<std::string>& names) {
    std::map<std::string, std::map<std::string, std::string>> set;
    for (const auto& name : names) set[name];
    put_some(object, key, set);
}

static void write(Text& text, const Place& place, const ImageConfig& config) {
    // The unknown members of `config` stand among those of the whole, one level down.
    std::string inner, others;
    if (!config.unknown.empty()) {
        const json::Document document(config.unknown);
        const Place unknown_place("unknown members");
        reader::Object members(document.root(), unknown_place);
        if (const auto* member = members.take("config")) json::append_compact(inner, *member);
        others = members.rest();
    }
    Object object(text, place);
    put_some(object, "created", config.created);
    put_some(object, "author", config.author);
    put_always(object, "architecture", config.architecture);
    put_always(object, "os", config.os);
    put_some(object, "variant", config.variant);

    Text execution_text;
    const Place execution_place(place, "config");
    Object execution(execution_text, execution_place);
    put_some(execution, "User", config.user);
    put_names(execution, "ExposedPorts", config.exposed_ports);
    put_some(execution, "Env", config.env);
    put_some(execution, "Entrypoint", config.entrypoint);
    put_some(execution, "Cmd", config.cmd);
    put_names(execution, "Volumes", config.volumes);
    put_some(execution, "WorkingDir", config.working_dir);
    put_some(execution, "Labels", config.labels);
    put_some(execution, "StopSignal", config.stop_signal);
    put_unknown(execution, inner);
    execution.close();
    if (execution_text.str() != "{}") {
        static_cast<void>(object.key("config"));
        text.add(execution_text.str());
    }

    const Place rootfs_place = object.key("rootfs");
    Object rootfs(text, rootfs_place);
    put_always(rootfs, "type", std::string("layers"));
    put_always(rootfs, "diff_ids", config.diff_ids);
    rootfs.close();
    put_unknown(object, others);
    object.close();
}

namespace {

template <class T>
T parse_value(std::string_view json) {
    const json::Document document(json);
    T value;
    reader::read(document.root(), reader::Place(), value);
    return value;
}

struct KnownType {
    std::string_view name;
    DocumentKind kind;
};
constexpr std::array known_types{
    KnownType{media_type::index, DocumentKind::index},
    KnownType{media_type::docker_list, DocumentKind::index},
    KnownType{media_type::manifest, DocumentKind::manifest},
    KnownType{media_type::docker_manifest, DocumentKind::manifest},
};

const KnownType* find_known(std::string_view type) {
    const auto* found =
        std::find_if(known_types.begin(), known_types.end(), [&](const auto& known) { return known.name == type; });
    return found == known_types.end() ? nullptr : found;
}

/// What servers say that know no better; it declares nothing.
bool is_generic(std::string_view type) {
    return type.empty() || type == "application/json" || type == "application/octet-stream" || type == "text/plain";
}

std::string_view name_of(DocumentKind kind) { return kind == DocumentKind::index ? "an index" : "a manifest"; }

}  // namespace

Index parse_index(std::string_view json) { return parse_value<Index>(json); }
Manifest parse_manifest(std::string_view json) { return parse_value<Manifest>(json); }
ImageConfig parse_image_config(std::string_view json) { return parse_value<ImageConfig>(json); }
std::string to_json(const Index& index) { return writer::text_of(index, false); }
std::string to_json(const Manifest& manifest) { return writer::text_of(manifest, false); }
std::string to_json(const ImageConfig& config) { return writer::text_of(config, false); }
std::string to_json(const Descriptor& descriptor) { return writer::text_of(descriptor, false); }

DocumentKind document_kind(std::string_view json, std::string_view declared) {
    constexpr std::size_t shown = 160;
    declared = trim(declared.substr(0, declared.find(';')));
    const auto* by_declaration = find_known(declared);
    if (by_declaration == nullptr && !is_generic(declared)) {
        throw Error(ErrorKind::invalid, "type " + json_quote(declared.substr(0, shown)) +
                                            " is neither an image index nor an image manifest");
    }
    const json::Document document(json);
    const reader::Place place;
    reader::Object object(document.root(), place);
    const bool manifests = object.has("manifests");
    const bool layers = object.has("layers");
    const bool config = object.has("config");
    if (manifests && (layers || config)) {
        reader::fail(place, std::string("holds both `manifests` and `") + (layers ? "layers" : "config") +
                                "`, so it is read differently by different programs");
    }
    std::string stated;
    object.get("mediaType", stated);
    const auto* by_statement = find_known(stated);
    if (by_statement == nullptr && !stated.empty()) {
        reader::fail(reader::Place(place, "mediaType"), json_quote(std::string_view(stated).substr(0, shown)) +
                                                            " is neither an image index nor an image manifest");
    }
    if (by_statement != nullptr && by_declaration != nullptr && by_statement != by_declaration) {
        reader::fail(reader::Place(place, "mediaType"),
                     json_quote(stated) + " is not the declared type " + json_quote(declared));
    }
    const auto* type = by_statement != nullptr ? by_statement : by_declaration;
    if (!manifests && !layers && !config) {
        if (type == nullptr) reader::fail(place, "is neither an image index nor an image manifest");
        return type->kind;
    }
    const auto kind = manifests ? DocumentKind::index : DocumentKind::manifest;
    if (type != nullptr && type->kind != kind) {
        reader::fail(place, "is " + std::string(name_of(kind)) + " by its members and " +
                                std::string(name_of(type->kind)) + " by its type");
    }
    return kind;
}

}  // namespace locald::oci
