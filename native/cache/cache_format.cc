#include "cache/cache_format.h"

namespace stc {

bool IsJwe(std::string_view text) {
  // The base64url of `{"`. Source: RFC 7516, 7.1.
  return text.substr(0, 3) == "eyJ";
}

Status SniffCache(JsonReader* reader, bool* is_empty) {
  // The start of every DPAPI blob: version 1, then the GUID of the provider. Source: MSAL
  // extensions.
  static constexpr char kDpapi[] = {'\x01', 0, 0, 0, '\xD0', '\x8C', '\x9D', '\xDF'};
  if (!reader->Prefetch(sizeof(kDpapi))) return reader->status();
  const std::string_view ahead = reader->ahead();
  if (ahead.substr(0, sizeof(kDpapi)) == std::string_view(kDpapi, sizeof(kDpapi))) {
    return Status(
        StatusCode::kCacheFormat, "sniff", "", 0,
        "encrypted with DPAPI on Windows, and readable only there. Sign in on this machine.");
  }
  if (IsJwe(ahead)) {
    return Status(
        StatusCode::kCacheFormat, "sniff", "", 0,
        "encrypted as a JWE, as the Azure SDK for Go does, and not readable here. Sign in "
        "with another tool.");
  }
  int next = -1;
  if (!reader->Peek(&next)) return reader->status();
  *is_empty = next == -1;
  return Status::Ok();
}

}  // namespace stc
