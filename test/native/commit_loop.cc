// A writer for tests that kill it: commits to one cache without pause. Uses the addon's code
// without Node, which would need more time to start than the writer lives.
//
// Usage: commit_loop <cache file> <first number>
// Each commit writes the same number to two records at opposite ends of the file, with padding
// whose length depends on the number. Different numbers or a wrong length show a torn write.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "stores/commit.h"
#include "stores/file_commit_posix.h"

namespace {

std::u16string Wide(const std::string& text) { return {text.begin(), text.end()}; }

stc::RecordEdit Put(const char* section, const std::string& number, const std::string& padding) {
  stc::RecordEdit edit;
  edit.section = Wide(section);
  edit.action = stc::EditAction::kPut;
  edit.key = u"pair";
  edit.set.emplace_back(u"number", number);
  edit.set.emplace_back(u"padding", '"' + padding + '"');
  return edit;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string path = argv[1];
  const std::string directory = path.substr(0, path.rfind('/') + 1);
  const std::vector<std::string> lock_paths = {path + ".lockfile", directory + ".lockfile"};
  for (long number = std::atol(argv[2]);; ++number) {
    stc::CommitRequest request;
    const std::string padding(static_cast<size_t>(number * 7919 % 20000), 'x');
    request.change.edits.push_back(Put("First", std::to_string(number), padding));
    request.change.edits.push_back(Put("Last", std::to_string(number), padding));
    request.create = true;
    stc::LockSet locks;
    bool is_held = false;
    stc::CommitResult result;
    stc::Status status = locks.TryAcquire(lock_paths, &is_held);
    if (status.ok() && is_held) {
      status = stc::CommitFile(path, request, &locks, &result);
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (!status.ok()) {
      std::fprintf(stderr, "%s\n", status.message().c_str());
      return 1;
    }
    if (result.outcome == stc::CommitOutcome::kWritten) {
      std::printf("%ld\n", number);
      std::fflush(stdout);
    }
  }
}
