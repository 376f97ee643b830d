#include "io/buffer_pool.h"

#include <mutex>
#include <utility>
#include <vector>

#include "base/no_destructor.h"

namespace stc {

namespace {

// Two for each of the threads that read.
constexpr size_t kMaxSpares = 8;

struct Spares {
  Spares() { windows.reserve(kMaxSpares); }
  std::mutex mutex;
  std::vector<SecureBytes> windows;
};

}  // namespace

SecureBytes TakeWindow() {
  auto& spares = NeverDestroyed<Spares>();
  {
    const std::lock_guard<std::mutex> lock(spares.mutex);
    if (!spares.windows.empty()) {
      SecureBytes window = std::move(spares.windows.back());
      spares.windows.pop_back();
      return window;
    }
  }
  return SecureBytes(kWindowSize);
}

void GiveBackWindow(SecureBytes window) {
  if (window.size() != kWindowSize) return;
  Wipe(window.data(), window.size());
  auto& spares = NeverDestroyed<Spares>();
  const std::lock_guard<std::mutex> lock(spares.mutex);
  if (spares.windows.size() < kMaxSpares) spares.windows.push_back(std::move(window));
}

}  // namespace stc
