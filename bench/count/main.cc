// Runs the addon's kernels under callgrind, which counts the instructions of each. Unlike times,
// the counts do not depend on the load of the machine. scripts/quality/bench-count.mjs compiles
// this program and reads the counts.

#include <valgrind/callgrind.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "cache/cache_editor.h"
#include "cache/cache_scanner.h"
#include "cache/record_index.h"
#include "generated_cache.h"
#include "io/memory_source.h"
#include "json/text_hash.h"

// Makes std::random_device constant. text_hash.cc takes its secret from it, and the secret decides
// how many steps a search in the index takes: the counts must be the same in each run.
namespace std {

void random_device::_M_init(const string& /*token*/) {}
void random_device::_M_fini() {}
random_device::result_type random_device::_M_getval() { return 0x9E3779B9u; }

}  // namespace std

namespace stc {

namespace {

std::u16string Wide(std::string_view ascii) { return {ascii.begin(), ascii.end()}; }

[[noreturn]] void Fail(const char* kernel) {
  std::fprintf(stderr, "%s did not do its work\n", kernel);
  std::exit(1);
}

// Counts `kernel` and dumps the count under this name.
template <typename Kernel>
void Count(const char* name, Kernel kernel) {
  // Runs once before counting, to leave out work that is done once per process, such as drawing
  // secrets and resolving symbols.
  const bool is_warm = kernel();
  CALLGRIND_ZERO_STATS;
  CALLGRIND_TOGGLE_COLLECT;
  const bool is_done = kernel();
  CALLGRIND_TOGGLE_COLLECT;
  CALLGRIND_DUMP_STATS_AT(name);
  if (!is_warm || !is_done) Fail(name);
}

void CountScan(const char* name, const GeneratedCache& cache) {
  const GeneratedAccount& account = cache.accounts[cache.accounts.size() / 2];
  CacheQuery query;
  query.environments = {Wide(kEnvironment)};
  query.client_id = Wide(kClientId);
  query.now_sec = 1800000000;
  query.home_account_id = Wide(account.home_account_id);
  Count(name, [&] {
    MemorySource source(cache.text);
    CacheSlice slice;
    return ScanCache(&source, query, &slice).ok() &&
           slice.refresh_tokens.size() == cache.accounts.size() &&
           slice.access_tokens.size() == account.targets.size();
  });
}

RecordEdit Put(const char* section, const GeneratedAccount& account) {
  RecordEdit edit;
  edit.section = Wide(section);
  edit.action = EditAction::kPut;
  edit.match.push_back({Field::kHomeAccountId, {Wide(account.home_account_id)}});
  edit.match.push_back({Field::kEnvironment, {Wide(kEnvironment)}});
  edit.match.push_back({Field::kClientId, {Wide(kClientId)}});
  return edit;
}

// Splices in an access token and a refresh token, as a token response brings them.
void CountSplice(const char* name, const GeneratedCache& cache) {
  const GeneratedAccount& account = cache.accounts[cache.accounts.size() / 2];
  CacheChange change;
  RecordEdit access = Put("AccessToken", account);
  access.match.push_back({Field::kTarget, {Wide(account.targets.back())}});
  access.set.emplace_back(Wide("secret"), '"' + std::string(2000, 'x') + '"');
  access.set.emplace_back(Wide("expires_on"), "\"1800009999\"");
  RecordEdit refresh = Put("RefreshToken", account);
  refresh.set.emplace_back(Wide("secret"), '"' + std::string(1200, 'y') + '"');
  change.edits.push_back(std::move(access));
  change.edits.push_back(std::move(refresh));
  change.required_account =
      CacheChange::Account{Wide(account.home_account_id), {Wide(kEnvironment)}};
  Count(name, [&] {
    MemorySource source(cache.text);
    EditPlan plan;
    return PlanEdits(&source, change, &plan).ok() && plan.outcome == EditOutcome::kChanged &&
           plan.Assemble(cache.text).size() == plan.size;
  });
}

void CountIndex(const char* name, const GeneratedCache& cache) {
  const std::string_view text = cache.text;
  constexpr size_t kKeySize = 275;
  Count(name, [&] {
    RecordIndex index;
    uint32_t count = 0;
    for (size_t at = 0; at + kKeySize <= text.size(); at += 31) {
      index.Put(HashAscii(text.substr(at, kKeySize)), count++);
    }
    uint32_t found = 0;
    for (size_t at = 0; at + kKeySize <= text.size(); at += 31) {
      found += index.Find(HashAscii(text.substr(at, kKeySize))) != RecordIndex::kNone;
    }
    return found == count && count > 40'000;
  });
}

void CountAll() {
  const GeneratedCache small = GenerateCache(1, 6, CacheStyle::kNode);
  const GeneratedCache large = GenerateCache(10, 46, CacheStyle::kNode);
  const GeneratedCache python = GenerateCache(10, 46, CacheStyle::kPython);
  CountScan("scan 20 KB", small);
  CountScan("scan 1.4 MB", large);
  CountScan("scan 1.4 MB of Python", python);
  CountSplice("splice 20 KB", small);
  CountSplice("splice 1.4 MB", large);
  CountIndex("index", large);
}

}  // namespace

}  // namespace stc

int main() {
  stc::CountAll();
  return 0;
}
