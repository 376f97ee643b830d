// Reader threads that cannot get memory: E5.

#include "io/reader_threads.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>
#include <thread>
#include <utility>

#include "tap.h"

namespace {

// Allocations of this thread until one fails; negative: none fails.
thread_local int left = -1;

}  // namespace

void* operator new(size_t size) {
  if (left == 0) {
    left = -1;
    throw std::bad_alloc();
  }
  if (left > 0) --left;
  if (void* const memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}

#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*size*/) noexcept { std::free(memory); }

namespace stc {

namespace {

TEST(NoMemory, "E5: a job for which there is no memory is refused or runs, and throws nothing") {
  // Not destroyed: its threads wait in it.
  auto& threads = *new ReaderThreads();
  threads.AddUser();
  int posted = 0;
  int refused = 0;
  std::atomic<int> ran{0};
  // Enough jobs that the queue grows, too. Each waits, so that more threads are started.
  for (int round = 0; round < 200; ++round) {
    std::function<void()> job = [&ran] {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ++ran;
    };
    left = round % 4;
    bool has_thrown = false;
    bool is_posted = false;
    try {
      is_posted = threads.Post(std::move(job));
    } catch (const std::bad_alloc&) {
      has_thrown = true;
    }
    left = -1;
    EXPECT(!has_thrown);
    ++(is_posted ? posted : refused);
  }
  EXPECT(posted > 0);
  EXPECT(refused > 0);
  // An end for the wait, not a measure.
  for (int tries = 0; tries < 60'000 && ran < posted; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT(ran == posted);
}

}  // namespace

}  // namespace stc

int main() { return tap::RunAll(); }
