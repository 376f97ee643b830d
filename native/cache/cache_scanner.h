// ScanCache: finds the records of an MSAL cache that a query asks for. The rules are those of
// CacheQuery and CacheSlice in src/backend/backend.ts. src/backend/js/js-backend.ts is the same in
// JavaScript; test/conformance checks that both give the same answers.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_CACHE_SCANNER_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_CACHE_SCANNER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/byte_source.h"
#include "json/json_text.h"

namespace stc {

// Same shape as CacheQuery in src/backend/backend.ts. Strings are UTF-16.
struct CacheQuery {
  std::vector<std::u16string> environments;
  std::u16string client_id;
  double now_sec = 0;
  std::optional<std::u16string> home_account_id;
  std::optional<std::u16string> username;
  std::optional<std::u16string> home_tenant_id;
  bool refresh_token_secrets = false;
  bool all_accounts = false;
};

struct AccountEntry {
  JsonText home_account_id;
  JsonText environment;
  std::optional<JsonText> realm;
  std::optional<JsonText> local_account_id;
  std::optional<JsonText> username;
  std::optional<JsonText> authority_type;
};

struct RefreshTokenEntry {
  JsonText home_account_id;
  JsonText environment;
  std::optional<JsonText> client_id;
  std::optional<JsonText> family_id;
  std::optional<JsonText> target;
  std::optional<double> last_modification_time;
  std::optional<JsonText> secret;
};

struct AccessTokenEntry {
  JsonText home_account_id;
  JsonText environment;
  JsonText client_id;
  std::optional<JsonText> realm;
  JsonText target;
  JsonText secret;
  std::optional<double> cached_at;
  double expires_on = 0;
  std::optional<double> refresh_on;
  std::optional<JsonText> requested_scopes;
};

struct AppMetadataEntry {
  JsonText environment;
  JsonText client_id;
  std::optional<JsonText> family_id;
};

// Same shape as CacheSlice in src/backend/backend.ts.
struct CacheSlice {
  std::string stamp;
  double modified_ms = 0;
  double size_bytes = 0;
  std::optional<JsonText> chosen_account;
  double accounts_left_out = 0;
  std::vector<AccountEntry> accounts;
  std::vector<RefreshTokenEntry> refresh_tokens;
  std::vector<AccessTokenEntry> access_tokens;
  std::vector<AppMetadataEntry> app_metadata;
};

// The same as in src/backend/backend.ts.
inline constexpr size_t kMaxListedAccounts = 200;
inline constexpr size_t kMaxRecords = 10000;
inline constexpr double kMaxLifetimeSec = 10 * 365 * 24 * 3600.0;

// Reads `source` to its end, then fetches matched records again, and does not call Verify. Returns
// kCacheCorrupt, kCacheFormat, or the error of the source. Sets `slice` only on success. Has no
// state; safe on any thread.
Status ScanCache(ByteSource* source, const CacheQuery& query, CacheSlice* slice);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_CACHE_SCANNER_H_
