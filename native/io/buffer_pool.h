// BufferPool: keeps a few buffers for reading caches, so that a reading need not allocate one.
// Memory that is freed after each reading goes back to the operating system and costs page faults
// at the next one (measured: bench P4).

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_BUFFER_POOL_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_BUFFER_POOL_H_

#include <cstddef>

#include "base/secure_bytes.h"

namespace stc {

// Thread-safe.
class BufferPool {
 public:
  // Large enough to make system calls rare, small enough to stay in the second-level cache of the
  // processor. Larger buffers are slower up to caches of some MB and no faster beyond (measured:
  // bench P4).
  static constexpr size_t kBufferSize = size_t{64} * 1024;

  // Returns a buffer of kBufferSize bytes, whose content is undefined.
  static SecureBytes Take();

  // Wipes `buffer` and keeps it for Take. Frees it if the pool is full or it was resized.
  static void Return(SecureBytes buffer);
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_BUFFER_POOL_H_
