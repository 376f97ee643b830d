// Status: the outcome of every fallible native operation. The core never throws; only addon.cc
// turns a Status into a JS error. Value type, safe to copy between threads.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STATUS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STATUS_H_

#include <cstdint>
#include <string>
#include <utility>

namespace stc {

enum class StatusCode {
  kOk,
  // We looked, and nothing was ever written there. addon.cc turns it into null.
  kNotFound,
  // The bytes are not a well-formed JSON object.
  kCacheCorrupt,
  // The bytes are a format of another platform or library (DPAPI blob, JWE).
  kCacheFormat,
  // The store was written while we read it. Reading again is the cure.
  kCacheChanged,
  // The mechanism itself is missing: no library, no bus, no service.
  kStoreUnavailable,
  // The store is there and wants to be unlocked by the user.
  kStoreLocked,
  // The operating system refused access.
  kStoreDenied,
  // The store did not answer before the deadline.
  kStoreTimeout,
  // Any other failure of the operating system.
  kIo,
};

// The JS error code of a StatusCode, such as "STC_IO". Never null.
const char* StatusCodeName(StatusCode code);

class Status {
 public:
  Status() = default;  // kOk

  // `operation` names what failed ("open", "secret_service_search_sync"). `domain` and `os_code`
  // are the operating system's own ("errno", 13; "g-io-error-quark", 0), or "" and 0. `message` is
  // one line for a person: what happened and the cure. It never holds a token, a part of the cache
  // or a user name.
  Status(StatusCode code, std::string operation, std::string domain, int64_t os_code,
         std::string message)
      : code_(code),
        os_code_(os_code),
        operation_(std::move(operation)),
        domain_(std::move(domain)),
        message_(std::move(message)) {}

  static Status Ok() { return Status(); }
  static Status NotFound() { return Status(StatusCode::kNotFound, "", "", 0, ""); }

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  int64_t os_code() const { return os_code_; }
  const std::string& operation() const { return operation_; }
  const std::string& domain() const { return domain_; }
  const std::string& message() const { return message_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  int64_t os_code_ = 0;
  std::string operation_;
  std::string domain_;
  std::string message_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STATUS_H_
