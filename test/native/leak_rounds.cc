// Repeats the addon's jobs without Node, for memory checkers: scans, commits, failing reads and
// writes, locks that are taken and locks that are held by another owner.
//
// Usage: leak_rounds <cache file> <rounds>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/cancellation.h"
#include "cache/cache_scanner.h"
#include "stores/commit.h"
#include "stores/secret_store.h"

namespace stc {

namespace {

std::u16string Wide(const std::string& text) { return {text.begin(), text.end()}; }

[[noreturn]] void Fail(const char* what, const Status& status) {
  std::fprintf(stderr, "%s: %s\n", what, status.message().c_str());
  std::exit(1);
}

const SecretStore& Plaintext() {
  for (const SecretStore* store : RegisteredStores()) {
    if (std::strcmp(store->name(), "plaintext") == 0) return *store;
  }
  std::exit(2);
}

Status Scan(const std::string& path, const CallLimits& limits, CacheSlice* slice) {
  StoreLocation at;
  at.path = path;
  std::unique_ptr<ByteSource> source;
  Status status = Plaintext().Open(at, limits, &source);
  if (!status.ok()) return status;
  CacheQuery query;
  query.environments = {u"login.microsoftonline.com"};
  query.client_id = u"04b07795-8ddb-461a-bbee-02f9e1bf7b46";
  status = ScanCache(source.get(), query, slice);
  return status.ok() ? source->Verify() : status;
}

void Write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

CommitResult Commit(const std::string& path, const CallLimits& limits, int round) {
  StoreLocation at;
  at.path = path;
  CommitRequest request;
  RecordEdit edit;
  edit.section = u"RefreshToken";
  edit.action = round % 3 == 2 ? EditAction::kRemove : EditAction::kPut;
  edit.key = Wide("made-" + std::to_string(round % 5));
  edit.match.push_back({Field::kHomeAccountId, {Wide("home-" + std::to_string(round % 5))}});
  edit.set.emplace_back(u"secret", '"' + std::string(1000 + round, 'x') + '"');
  edit.fill.emplace_back(u"home_account_id", "\"home-" + std::to_string(round % 5) + '"');
  edit.fill.emplace_back(u"environment", "\"login.microsoftonline.com\"");
  request.change.edits.push_back(std::move(edit));
  request.create = true;
  LockSet locks;
  bool is_held = false;
  const std::vector<std::string> lock_paths = {path + ".lockfile"};
  if (Status status = locks.TryAcquire(lock_paths, &is_held); !status.ok() || !is_held) {
    Fail("the lock", status);
  }
  LockSet others;
  bool is_held_twice = true;
  if (Status status = others.TryAcquire(lock_paths, &is_held_twice);
      !status.ok() || is_held_twice) {
    Fail("the second lock", status);
  }
  CommitResult result;
  // Fails in rounds with a damaged cache.
  (void)Plaintext().Commit(at, request, limits, &locks, &result);
  return result;
}

void Run(const std::string& path, int rounds) {
  Cancellation cancellation;
  int written = 0;
  int scanned = 0;
  int refused = 0;
  int stamped = 0;
  for (int round = 0; round < rounds; ++round) {
    const CallLimits limits{std::chrono::steady_clock::now() + std::chrono::seconds(60),
                            &cancellation};
    if (round % 7 == 6) {
      // Truncated, with an invalid escape.
      Write(path, "{\"Account\":{\"a\":{\"home_account_id\":\"\\u00e9\\x\"");
      written += Commit(path, limits, round).outcome == CommitOutcome::kWritten;
      CacheSlice slice;
      refused += !Scan(path, limits, &slice).ok();
      std::remove(path.c_str());
      refused += !Scan(path, limits, &slice).ok();
    }
    written += Commit(path, limits, round).outcome == CommitOutcome::kWritten;
    CacheSlice slice;
    scanned += Scan(path, limits, &slice).ok();
    std::string stamp;
    StoreLocation at;
    at.path = path;
    stamped += Plaintext().Stamp(at, limits, &stamp).ok();
  }
  std::printf("%d written, %d scanned, %d stamped, %d refused\n", written, scanned, stamped,
              refused);
}

}  // namespace

}  // namespace stc

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  stc::Run(argv[1], std::atoi(argv[2]));
  return 0;
}
