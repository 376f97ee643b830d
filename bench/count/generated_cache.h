// GeneratedCache: generates a cache in MSAL's format from a seed. The bytes are the same on every
// machine, so that instruction counts can be compared.

#ifndef AZURE_SHARED_TOKEN_CACHE_BENCH_COUNT_GENERATED_CACHE_H_
#define AZURE_SHARED_TOKEN_CACHE_BENCH_COUNT_GENERATED_CACHE_H_

#include <string>
#include <vector>

namespace stc {

// kNode: one line, names as UTF-8. kPython: indented, names with escapes.
enum class CacheStyle { kNode, kPython };

struct GeneratedAccount {
  std::string home_account_id;
  std::string tenant_id;
  // In the form of `target`.
  std::vector<std::string> targets;
};

struct GeneratedCache {
  std::string text;
  std::vector<GeneratedAccount> accounts;
};

// Every second account has a non-ASCII name.
GeneratedCache GenerateCache(int accounts, int tokens_per_account, CacheStyle style);

extern const char kClientId[];
extern const char kEnvironment[];

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_BENCH_COUNT_GENERATED_CACHE_H_
