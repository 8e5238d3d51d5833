#include <ctime>

#include "cli/commands/commands.hpp"
#include "cli/image_json.hpp"
#include "cli/output.hpp"

namespace locald::cli {

namespace {

class ImageLs final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.flag("-q,--ids", ids_, "Print ids only");
        flags.flag("--no-trunc", full_, "Do not shorten ids");
        flags.flag("--json", json_, "Print a JSON array");
    }

    int run(const Globals& globals, std::vector<std::string>) override {
        const auto runtime = runtime::make_runtime(globals.choice());
        const auto images = runtime->images().list();
        if (json_) {
            print(images_json(images));
        } else if (ids_) {
            std::string lines;
            for (const auto& image : images) lines += shown_id(image) + "\n";
            print(lines);
        } else {
            const std::int64_t now = std::time(nullptr);
            Table table({"NAME", "IMAGE ID", "PLATFORM", "CREATED", "SIZE"});
            for (const auto& image : images) {
                table.add({image.name, shown_id(image), image.platform, human_age(image.created, now),
                           human_size(image.size)});
            }
            print(table.str());
        }
        return 0;
    }

private:
    std::string shown_id(const runtime::ImageSummary& image) const { return full_ ? image.id : short_id(image.id); }

    bool ids_ = false, full_ = false, json_ = false;
};

}  // namespace

std::unique_ptr<CommandBody> make_image_ls() { return make_body<ImageLs>(); }

}  // namespace locald::cli
