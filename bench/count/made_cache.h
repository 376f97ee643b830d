// MadeCache: a cache as MSAL writes it, from a seed: the same bytes on every machine, so that the
// instructions which it takes to read them can be compared.

#ifndef AZURE_SHARED_TOKEN_CACHE_BENCH_COUNT_MADE_CACHE_H_
#define AZURE_SHARED_TOKEN_CACHE_BENCH_COUNT_MADE_CACHE_H_

#include <string>
#include <vector>

namespace stc {

// kNode: one line, names as UTF-8. kPython: indented, names as escapes.
enum class CacheStyle { kNode, kPython };

struct MadeAccount {
  std::string home_account_id;
  std::string tenant_id;
  // As `target` has them.
  std::vector<std::string> targets;
};

struct MadeCache {
  std::string text;
  std::vector<MadeAccount> accounts;
};

// Every other account has a name that is not ASCII.
MadeCache MakeCache(int accounts, int tokens_per_account, CacheStyle style);

extern const char kMadeClientId[];
extern const char kMadeEnvironment[];

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_BENCH_COUNT_MADE_CACHE_H_
