#include <filesystem>

#include "cli/archive_kind.hpp"
#include "cli/commands/commands.hpp"
#include "cli/image_result.hpp"
#include "core/oci/reference.hpp"

namespace locald::cli {

namespace {

/// A path that is there needs no prefix: a directory is a layout, a file an archive of one of the two kinds.
oci::ImageName parse_source(const std::string& text) {
    std::error_code error;
    const auto type = std::filesystem::status(text, error).type();
    oci::ImageName name;
    name.path = text;
    name.text = text;
    if (type == std::filesystem::file_type::directory) {
        name.kind = oci::ImageKind::oci_layout;
        return name;
    }
    if (type == std::filesystem::file_type::regular) {
        name.kind = archive_kind(text);
        return name;
    }
    return oci::parse_image_name(text);
}

class ImageImport final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.flag("--json", json_, "Print what was imported as a JSON object instead of its id");
    }

    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto source = parse_source(operands.at(0));
        const std::string name_as = operands.size() > 1 ? operands.at(1) : "";
        const auto runtime = runtime::make_runtime(globals.choice());
        return bring_image(globals, json_, [&](const ProgressSink& progress, const CancelToken& cancel) {
            return runtime->images().import(source, name_as, progress, cancel);
        });
    }

private:
    bool json_ = false;
};

}  // namespace

std::unique_ptr<CommandBody> make_image_import() { return make_body<ImageImport>(); }

}  // namespace locald::cli
