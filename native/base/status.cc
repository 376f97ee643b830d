#include "base/status.h"

namespace stc {

const char* StatusCodeName(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return "STC_OK";
    case StatusCode::kNotFound:
      return "STC_CACHE_NOT_FOUND";
    case StatusCode::kCacheCorrupt:
      return "STC_CACHE_CORRUPT";
    case StatusCode::kCacheFormat:
      return "STC_CACHE_FORMAT";
    case StatusCode::kCacheChanged:
      return "STC_CACHE_CHANGED";
    case StatusCode::kStoreUnavailable:
      return "STC_STORE_UNAVAILABLE";
    case StatusCode::kStoreLocked:
      return "STC_STORE_LOCKED";
    case StatusCode::kStoreDenied:
      return "STC_STORE_DENIED";
    case StatusCode::kStoreTimeout:
      return "STC_STORE_TIMEOUT";
    case StatusCode::kIo:
      return "STC_IO";
  }
  return "STC_IO";
}

}  // namespace stc
