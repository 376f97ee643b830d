// Status: the outcome of every native operation that can fail. The code below addon/ does not
// throw; addon/ turns a Status into a JavaScript error. A value type, safe to copy between threads.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_STATUS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_STATUS_H_

#include <cstdint>
#include <string>
#include <utility>

namespace stc {

enum class StatusCode {
  kOk,
  // The store works, and there is no cache. addon/ turns it into null.
  kNotFound,
  // The bytes are not a well-formed JSON object.
  kCacheCorrupt,
  // The bytes are in a format of another platform or library (DPAPI blob, JWE).
  kCacheFormat,
  // The store was written while we read it. Read it again.
  kCacheChanged,
  // The store does not exist on this machine: no library, no bus or no service.
  kStoreUnavailable,
  // The user has to unlock the store.
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

  // `operation` names the call that failed ("open", "secret_service_search_sync"). `domain` and
  // `os_code` are the error of the operating system or library ("errno", 13; "g-io-error-quark",
  // 0), or "" and 0. `message` is one line for people: what happened and what to do. It never
  // contains a token, a part of the cache or a user name.
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

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_STATUS_H_
