#include "addon/to_js.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "addon/environment.h"

namespace stc {

namespace {

Napi::Value ToJs(Napi::Env env, const JsonText& text) {
  napi_value value = nullptr;
  const napi_status status =
      text.is_ascii()
          ? napi_create_string_latin1(env, text.ascii().data(), text.ascii().size(), &value)
          : napi_create_string_utf16(env, text.wide().data(), text.wide().size(), &value);
  if (status != napi_ok) throw Napi::Error::New(env);
  return Napi::Value(env, value);
}

Napi::Value ToJs(Napi::Env env, double number) { return Napi::Number::New(env, number); }

template <typename T>
Napi::Value ToJs(Napi::Env env, const std::optional<T>& value) {
  return value ? ToJs(env, *value) : env.Undefined();
}

// A text that consecutive entries often have in common, or none.
struct SharedString {
  explicit SharedString(const JsonText& value) : text(&value) {}
  explicit SharedString(const std::optional<JsonText>& value) : text(value ? &*value : nullptr) {}

  const JsonText* text;
};

// Builds an array of entries of one kind. Consecutive entries share the JavaScript strings of equal
// SharedString fields: less time and less heap, because most tokens of an account agree in them.
class EntryArray {
 public:
  EntryArray(Napi::Env env, const Napi::FunctionReference& maker, size_t size)
      : env_(env), maker_(maker.Value()), array_(Napi::Array::New(env, size)) {}

  // Appends the entry that the maker makes of `values`, which are in the order of the maker's
  // parameters (src/backend/native-backend.ts). The texts of SharedString values must outlive this
  // object.
  template <typename... Values>
  void Add(const Values&... values) {
    static_assert(sizeof...(values) <= kMaxColumns);
    size_t column = 0;
    // Outside of the handle scope: the next entry may use the interned strings.
    (Intern(column++, values), ...);
    const Napi::HandleScope scope(env_);
    column = 0;
    array_.Set(size_++, maker_.Call({Value(column++, values)...}));
  }

  Napi::Array array() const { return array_; }

 private:
  static constexpr size_t kMaxColumns = 10;

  struct InternedString {
    const JsonText* text = nullptr;
    napi_value value = nullptr;
  };

  // Makes the column's interned string equal to `string`.
  void Intern(size_t column, const SharedString& string) {
    InternedString& interned = interned_[column];
    if (string.text == nullptr) return;
    if (interned.text != nullptr && Equal(*interned.text, *string.text)) return;
    interned = {string.text, ToJs(env_, *string.text)};
  }

  template <typename T>
  void Intern(size_t /*column*/, const T& /*value*/) {}

  napi_value Value(size_t column, const SharedString& string) const {
    return string.text == nullptr ? env_.Undefined() : interned_[column].value;
  }

  template <typename T>
  napi_value Value(size_t /*column*/, const T& value) const {
    return ToJs(env_, value);
  }

  const Napi::Env env_;
  const Napi::Function maker_;
  Napi::Array array_;
  uint32_t size_ = 0;
  std::array<InternedString, kMaxColumns> interned_;
};

}  // namespace

Napi::Value ToJs(Napi::Env env, std::string_view text) {
  const bool is_ascii = std::all_of(text.begin(), text.end(),
                                    [](char c) { return static_cast<signed char>(c) >= 0; });
  napi_value value = nullptr;
  const napi_status status = is_ascii
                                 ? napi_create_string_latin1(env, text.data(), text.size(), &value)
                                 : napi_create_string_utf8(env, text.data(), text.size(), &value);
  if (status != napi_ok) throw Napi::Error::New(env);
  return Napi::Value(env, value);
}

Napi::Value ToJs(Napi::Env env, const CacheSlice& slice) {
  const EntryMakers& makers = EnvironmentOf(env).makers;
  EntryArray accounts(env, makers.account, slice.accounts.size());
  for (const AccountEntry& entry : slice.accounts) {
    accounts.Add(entry.home_account_id, SharedString(entry.environment), SharedString(entry.realm),
                 entry.local_account_id, entry.username, SharedString(entry.authority_type));
  }
  EntryArray refresh_tokens(env, makers.refresh_token, slice.refresh_tokens.size());
  for (const RefreshTokenEntry& entry : slice.refresh_tokens) {
    refresh_tokens.Add(SharedString(entry.home_account_id), SharedString(entry.environment),
                       SharedString(entry.client_id), SharedString(entry.family_id), entry.target,
                       entry.last_modification_time, entry.secret);
  }
  EntryArray access_tokens(env, makers.access_token, slice.access_tokens.size());
  for (const AccessTokenEntry& entry : slice.access_tokens) {
    access_tokens.Add(SharedString(entry.home_account_id), SharedString(entry.environment),
                      SharedString(entry.client_id), SharedString(entry.realm), entry.target,
                      entry.secret, entry.cached_at, entry.expires_on, entry.refresh_on,
                      entry.requested_scopes);
  }
  EntryArray app_metadata(env, makers.app_metadata, slice.app_metadata.size());
  for (const AppMetadataEntry& entry : slice.app_metadata) {
    app_metadata.Add(SharedString(entry.environment), entry.client_id, entry.family_id);
  }
  Napi::Object result = Napi::Object::New(env);
  result["stamp"] = slice.stamp;
  result["modifiedMs"] = slice.modified_ms;
  result["sizeBytes"] = slice.size_bytes;
  result["accounts"] = accounts.array();
  result["refreshTokens"] = refresh_tokens.array();
  result["accessTokens"] = access_tokens.array();
  result["appMetadata"] = app_metadata.array();
  return result;
}

Napi::Object ToJs(Napi::Env env, const Status& status) {
  Napi::Object error = Napi::Object::New(env);
  error["code"] = StatusCodeName(status.code());
  error["message"] = status.message();
  error["op"] = status.operation();
  if (!status.domain().empty()) {
    error["osDomain"] = status.domain();
    error["osCode"] = static_cast<double>(status.os_code());
  }
  return error;
}

}  // namespace stc
