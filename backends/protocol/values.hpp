#pragma once

// The values of the facade as JSON and back. Both sides are of one build, so a member that is missing or unknown is an
// error and not a default.

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/credentials.hpp"
#include "core/base/error.hpp"
#include "core/base/progress.hpp"
#include "core/bundle/bundle.hpp"
#include "core/bundle/options.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::protocol {

using Json = nlohmann::json;

/// Each `read_` throws Error(corrupt) that names the member.
Json write_options(const bundle::RunOptions& options);
bundle::RunOptions read_options(const Json& json);
Json write_source(const bundle::Source& source);
bundle::Source read_source(const Json& json);
Json write_probe(const runtime::ProbeReport& report);
runtime::ProbeReport read_probe(const Json& json);
/// Of an image in files; a registry's crosses by its text.
Json write_image_name(const oci::ImageName& name);
oci::ImageName read_image_name(const Json& json);
Json write_image(const runtime::ImageSummary& image);
runtime::ImageSummary read_image(const Json& json);
Json write_images(const std::vector<runtime::ImageSummary>& images);
std::vector<runtime::ImageSummary> read_images(const Json& json);
/// Secrets cross in base64: JSON can say no byte that is not UTF-8, and its errors quote what they choke on.
Json write_credentials(const Credentials& credentials);
Credentials read_credentials(const Json& json);
Json write_bundle(const bundle::ContainerBundle& bundle);
bundle::ContainerBundle read_bundle(const Json& json);
/// What is below zero crosses as zero, and what is above 49 days as that.
Json write_milliseconds(std::chrono::milliseconds time);
std::chrono::milliseconds read_milliseconds(const Json& json);
Json write_progress(const Progress& progress);
Progress read_progress(const Json& json);
Json write_error(const Error& error);
/// What the other side says is shown to people: control characters become `?`.
Error read_error(const Json& json);
std::string without_escapes(std::string_view text);

/// One line of JSON. @throws Error(invalid) when a text in it is not UTF-8, which JSON cannot say
std::string dump(const Json& json);
/// @throws Error(corrupt)
Json parse(std::string_view text);

}  // namespace locald::protocol
