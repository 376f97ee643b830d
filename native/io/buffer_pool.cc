#include "io/buffer_pool.h"

#include <mutex>
#include <utility>
#include <vector>

#include "base/no_destructor.h"

namespace stc {

namespace {

// Two for each thread that reads.
constexpr size_t kMaxBuffers = 8;

struct Pool {
  Pool() { buffers.reserve(kMaxBuffers); }
  std::mutex mutex;
  std::vector<SecureBytes> buffers;
};

}  // namespace

SecureBytes BufferPool::Take() {
  auto& pool = NoDestructor<Pool>();
  {
    const std::lock_guard<std::mutex> lock(pool.mutex);
    if (!pool.buffers.empty()) {
      SecureBytes buffer = std::move(pool.buffers.back());
      pool.buffers.pop_back();
      return buffer;
    }
  }
  return SecureBytes(kBufferSize);
}

void BufferPool::Return(SecureBytes buffer) {
  if (buffer.size() != kBufferSize) return;
  Wipe(buffer.data(), buffer.size());
  auto& pool = NoDestructor<Pool>();
  const std::lock_guard<std::mutex> lock(pool.mutex);
  if (pool.buffers.size() < kMaxBuffers) pool.buffers.push_back(std::move(buffer));
}

}  // namespace stc
