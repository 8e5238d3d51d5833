#include "backends/remote/output_track.hpp"

namespace locald::backends {

void OutputTrack::mark(const runtime::OutputPlace& place, std::uint64_t out, std::uint64_t err) {
    marks_.push_back(place);
    // Of those that all came for, the last one is enough.
    while (marks_.size() > 1 && marks_[1].out <= out && marks_[1].err <= err) marks_.pop_front();
}

std::optional<runtime::OutputPlace> OutputTrack::end(std::uint64_t out, std::uint64_t err) {
    for (; !marks_.empty(); marks_.pop_back()) {
        auto place = marks_.back();
        if (place.out > out || place.err > err) continue;  // not all of it came
        place.out = out - place.out;
        place.err = err - place.err;
        begin_ = place;
        marks_.clear();
        return begin_;
    }
    if (begin_) {
        begin_->out += out;
        begin_->err += err;
    }
    return begin_;
}

}  // namespace locald::backends
