#include "core/base/progress.hpp"

#include "core/base/error.hpp"

namespace locald {

void CancelToken::check() const {
    if (cancelled()) throw Error(ErrorKind::cancelled, "cancelled by the caller");
}

}  // namespace locald
