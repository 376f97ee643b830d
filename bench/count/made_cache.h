// MadeCache: generates a cache in MSAL's format from a seed. The bytes are the same on every
// machine, so that instruction counts can be compared.

#ifndef AZURE_SHARED_TOKEN_CACHE_BENCH_COUNT_MADE_CACHE_H_
#define AZURE_SHARED_TOKEN_CACHE_BENCH_COUNT_MADE_CACHE_H_

#include <string>
#include <vector>

namespace stc {

// kNode: one line, names as UTF-8. kPython: indented, names with escapes.
enum class CacheStyle { kNode, kPython };

struct MadeAccount {
  std::string home_account_id;
  std::string tenant_id;
  // In the form of `target`.
  std::vector<std::string> targets;
};

struct MadeCache {
  std::string text;
  std::vector<MadeAccount> accounts;
};

// Every second account has a non-ASCII name.
MadeCache MakeCache(int accounts, int tokens_per_account, CacheStyle style);

extern const char kMadeClientId[];
extern const char kMadeEnvironment[];

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_BENCH_COUNT_MADE_CACHE_H_
