// Window: a buffer of fixed size through which a cache is read, one of a few that are used again
// and again. Freed after each reading, it would be given back to the system with what else the
// reading freed, and cost page faults the next time: 17 % of the time at 1.5 MB (500 against 413
// us, glibc 2.36 with its default M_TRIM_THRESHOLD of 128 KB and one that is larger).

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_WINDOW_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_WINDOW_H_

#include <cstddef>

#include "base/secure_bytes.h"

namespace stc {

// Enough to make system calls rare, little enough to stay in the second-level cache. Measured at
// 64, 128, 256 and 512 KB, file to result: 175, 231, 343 and 564 us at 1.5 MB, for larger ones are
// fresh memory each time; no difference at 30 MB.
inline constexpr size_t kWindowSize = size_t{64} * 1024;

// Thread-safe.
SecureBytes TakeWindow();

// Wipes `window`, and keeps it for later unless there are enough, or it was resized.
void GiveBackWindow(SecureBytes window);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_WINDOW_H_
