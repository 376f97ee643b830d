// The ages, in seconds, at which a lock file that nobody holds counts as left behind. The
// JavaScript backend has the same table (src/backend/js/stale-lock.ts); test/unit/lock-ages.test.ts
// holds both equal.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_LOCK_AGES_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_LOCK_AGES_H_

namespace stc {

// The file is empty. Its writer may be between creating it and writing or locking it.
inline constexpr double kEmptyAge = 2;

// The writer is dead. Leaves time for its last steps to become visible.
inline constexpr double kDeadAge = 0.25;

// No process here has the writer's number, but the writer may run on another machine or in another
// pid namespace.
inline constexpr double kDeadElsewhereAge = 5;

// The writer lives, and the existence of the file may be its lock. No library holds the lock for
// longer than it takes to write a file, but MSAL for Node can forget its lock file and live on.
inline constexpr double kLivingAge = 60;

// The file belongs to another user and cannot be read.
inline constexpr double kForeignAge = 30;

// The writer lives and holds by kernel locks or an open handle, so it no longer holds: it may be
// between releasing the lock and deleting the file by name. The JavaScript backend has no such
// rule, because it cannot see kernel locks.
inline constexpr double kReleasedAge = 0.25;

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_LOCK_AGES_H_
