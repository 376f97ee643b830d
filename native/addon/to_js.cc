#include "addon/to_js.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "addon/environment.h"
#include "addon/from_js.h"

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

// Appends entries of one kind to an array. Consecutive entries share the JavaScript strings of
// equal SharedString fields: less time and less heap, because most tokens of an account agree in
// them.
class EntryArray {
 public:
  // `begin`: the index of the first entry that Add appends.
  EntryArray(Napi::Env env, const Napi::FunctionReference& maker, Napi::Array array, size_t begin)
      : env_(env), maker_(maker.Value()), array_(array), size_(static_cast<uint32_t>(begin)) {}

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
  uint32_t size_;
  std::array<InternedString, kMaxColumns> interned_;
};

// Most entries that are converted in one turn of the event loop: less than half a millisecond.
constexpr size_t kEntriesPerTurn = 250;

constexpr napi_type_tag kRestTag = {0x5a1c40d2c3f74e0bu, 0x9d21e6b80f3a7715u};

// The entries of a slice that JavaScript has not got yet.
struct RestOfSlice {
  CacheSlice slice;
  size_t accounts = 0;
  size_t refresh_tokens = 0;
  size_t access_tokens = 0;
  size_t app_metadata = 0;

  // Appends entries to the arrays of `result`, as many as one turn of the event loop may take.
  // Returns whether no more are left.
  bool MoveSome(Napi::Env env, Napi::Object result) {
    const EntryMakers& makers = EnvironmentOf(env).makers;
    size_t budget = kEntriesPerTurn;
    const auto move = [env, &result, &budget](const char* name,
                                              const Napi::FunctionReference& maker, auto* entries,
                                              size_t* done, auto add) {
      const size_t end = std::min(entries->size(), *done + budget);
      if (end == *done) return end == entries->size();
      EntryArray array(env, maker, result.Get(name).As<Napi::Array>(), *done);
      for (size_t i = *done; i < end; ++i) add(&array, (*entries)[i]);
      // Wipes and frees them, so that the secrets are not in memory twice.
      for (size_t i = *done; i < end; ++i) (*entries)[i] = {};
      budget -= end - *done;
      *done = end;
      return end == entries->size();
    };
    return move("accounts", makers.account, &slice.accounts, &accounts,
                [](EntryArray* array, const AccountEntry& entry) {
                  array->Add(entry.home_account_id, SharedString(entry.environment),
                             SharedString(entry.realm), entry.local_account_id, entry.username,
                             SharedString(entry.authority_type));
                }) &&
           move("refreshTokens", makers.refresh_token, &slice.refresh_tokens, &refresh_tokens,
                [](EntryArray* array, const RefreshTokenEntry& entry) {
                  array->Add(SharedString(entry.home_account_id), SharedString(entry.environment),
                             SharedString(entry.client_id), SharedString(entry.family_id),
                             entry.target, entry.last_modification_time, entry.secret);
                }) &&
           move("accessTokens", makers.access_token, &slice.access_tokens, &access_tokens,
                [](EntryArray* array, const AccessTokenEntry& entry) {
                  array->Add(SharedString(entry.home_account_id), SharedString(entry.environment),
                             SharedString(entry.client_id), SharedString(entry.realm), entry.target,
                             entry.secret, entry.cached_at, entry.expires_on, entry.refresh_on,
                             entry.requested_scopes);
                }) &&
           move("appMetadata", makers.app_metadata, &slice.app_metadata, &app_metadata,
                [](EntryArray* array, const AppMetadataEntry& entry) {
                  array->Add(SharedString(entry.environment), entry.client_id, entry.family_id);
                });
  }
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

Napi::Value ToJs(Napi::Env env, CacheSlice&& slice) {
  Napi::Object result = Napi::Object::New(env);
  result["stamp"] = slice.stamp;
  result["modifiedMs"] = slice.modified_ms;
  result["sizeBytes"] = slice.size_bytes;
  if (slice.chosen_account) result["chosenAccount"] = ToJs(env, *slice.chosen_account);
  result["accountsLeftOut"] = slice.accounts_left_out;
  result["accounts"] = Napi::Array::New(env, slice.accounts.size());
  result["refreshTokens"] = Napi::Array::New(env, slice.refresh_tokens.size());
  result["accessTokens"] = Napi::Array::New(env, slice.access_tokens.size());
  result["appMetadata"] = Napi::Array::New(env, slice.app_metadata.size());
  auto rest = std::make_unique<RestOfSlice>();
  rest->slice = std::move(slice);
  if (!rest->MoveSome(env, result)) {
    RestOfSlice* const held = rest.get();
    auto handle = Napi::External<RestOfSlice>::New(
        env, held, [](Napi::Env /*env*/, RestOfSlice* unused) { delete unused; });
    static_cast<void>(rest.release());
    handle.TypeTag(&kRestTag);
    result["rest"] = handle;
  }
  return result;
}

Napi::Value TakeRest(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject()) ThrowTypeError(env, "a slice was expected");
  Napi::Object result = info[0].As<Napi::Object>();
  const Napi::Value rest = result.Get("rest");
  if (!rest.IsExternal() || !rest.As<Napi::External<RestOfSlice>>().CheckTypeTag(&kRestTag)) {
    ThrowTypeError(env, "a slice with a rest was expected");
  }
  const bool is_done = rest.As<Napi::External<RestOfSlice>>().Data()->MoveSome(env, result);
  if (is_done) result.Delete("rest");
  return Napi::Boolean::New(env, is_done);
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
