#include "addon/from_js.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

namespace stc {

namespace {

std::u16string ToUtf16(const Napi::Value& value) {
  if (!value.IsString()) ThrowTypeError(value.Env(), "a string was expected");
  return value.As<Napi::String>().Utf16Value();
}

std::string ToUtf8(const Napi::Value& value) {
  if (!value.IsString()) ThrowTypeError(value.Env(), "a string was expected");
  return value.As<Napi::String>().Utf8Value();
}

std::optional<std::u16string> ToOptionalUtf16(const Napi::Value& value) {
  if (value.IsUndefined()) return std::nullopt;
  return ToUtf16(value);
}

std::vector<Napi::Value> ToVector(const Napi::Value& value) {
  if (!value.IsArray()) ThrowTypeError(value.Env(), "an array was expected");
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<Napi::Value> values;
  for (uint32_t i = 0; i < array.Length(); ++i) values.push_back(array.Get(i));
  return values;
}

Napi::Object ToObject(const Napi::Value& value) {
  if (!value.IsObject()) ThrowTypeError(value.Env(), "an object was expected");
  return value.As<Napi::Object>();
}

double ToNumber(const Napi::Value& value) {
  if (!value.IsNumber()) ThrowTypeError(value.Env(), "a number was expected");
  return value.As<Napi::Number>().DoubleValue();
}

Field ToField(const Napi::Value& value) {
  const Field field = FindField(ToUtf8(value));
  if (field == Field::kCount) ThrowTypeError(value.Env(), "there is no such field");
  return field;
}

EditAction ToAction(const Napi::Value& value) {
  const std::string name = ToUtf8(value);
  if (name == "put") return EditAction::kPut;
  if (name == "update") return EditAction::kUpdate;
  if (name == "add") return EditAction::kAdd;
  if (name == "remove") return EditAction::kRemove;
  ThrowTypeError(value.Env(), "there is no such action");
}

std::vector<std::u16string> ToUtf16Vector(const Napi::Value& value) {
  std::vector<std::u16string> texts;
  for (const Napi::Value& text : ToVector(value)) texts.push_back(ToUtf16(text));
  return texts;
}

// Names, and values as JSON text. Empty if the value is undefined.
std::vector<std::pair<std::u16string, std::string>> ToFields(const Napi::Value& value) {
  std::vector<std::pair<std::u16string, std::string>> fields;
  if (value.IsUndefined()) return fields;
  const Napi::Object object = ToObject(value);
  for (const Napi::Value& name : ToVector(object.GetPropertyNames())) {
    fields.emplace_back(ToUtf16(name), ToUtf8(object.Get(name)));
  }
  return fields;
}

std::optional<RecordEdit::TimeRule> ToTimeRule(const Napi::Value& value) {
  if (value.IsUndefined()) return std::nullopt;
  const Napi::Object rule = ToObject(value);
  return RecordEdit::TimeRule{ToField(rule.Get("field")), ToNumber(rule.Get("value"))};
}

RecordEdit ToEdit(const Napi::Value& value) {
  const Napi::Object object = ToObject(value);
  RecordEdit edit;
  edit.section = ToUtf16(object.Get("section"));
  edit.action = ToAction(object.Get("action"));
  edit.key = ToOptionalUtf16(object.Get("key"));
  if (!edit.key && (edit.action == EditAction::kPut || edit.action == EditAction::kAdd)) {
    ThrowTypeError(value.Env(), "key is missing");
  }
  if (!object.Get("match").IsUndefined()) {
    const Napi::Object match = ToObject(object.Get("match"));
    for (const Napi::Value& name : ToVector(match.GetPropertyNames())) {
      edit.match.push_back({ToField(name), ToUtf16Vector(match.Get(name))});
    }
  }
  edit.set = ToFields(object.Get("set"));
  edit.fill = ToFields(object.Get("fill"));
  if (!object.Get("unset").IsUndefined()) edit.unset = ToUtf16Vector(object.Get("unset"));
  edit.unless_newer = ToTimeRule(object.Get("unlessNewer"));
  edit.only_if_older = ToTimeRule(object.Get("onlyIfOlder"));
  if (!object.Get("onlyIfSecret").IsUndefined()) {
    edit.only_if_secret = ToUtf16Vector(object.Get("onlyIfSecret"));
  }
  return edit;
}

}  // namespace

void ThrowTypeError(Napi::Env env, const char* message) {
  throw Napi::TypeError::New(env, message);
}

std::string ToPath(const Napi::Value& value) {
  std::string path = ToUtf8(value);
  // The operating system would end the path at the NUL.
  if (path.find('\0') != std::string::npos) ThrowTypeError(value.Env(), "path has a NUL");
  return path;
}

std::vector<std::string> ToPaths(const Napi::Value& value) {
  std::vector<std::string> paths;
  for (const Napi::Value& path : ToVector(value)) paths.push_back(ToPath(path));
  return paths;
}

std::string_view ToBytes(const Napi::Value& value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array ||
      // Another thread could change shared memory after it was checked.
      !value.As<Napi::TypedArray>().ArrayBuffer().IsArrayBuffer()) {
    ThrowTypeError(value.Env(), "a Uint8Array was expected, of memory that is not shared");
  }
  const Napi::Uint8Array bytes = value.As<Napi::Uint8Array>();
  return {reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength()};
}

CacheQuery ToQuery(const Napi::Value& value) {
  const Napi::Object object = ToObject(value);
  CacheQuery query;
  query.environments = ToUtf16Vector(object.Get("environments"));
  query.client_id = ToUtf16(object.Get("clientId"));
  query.now_sec = ToNumber(object.Get("nowSec"));
  query.home_account_id = ToOptionalUtf16(object.Get("homeAccountId"));
  query.username = ToOptionalUtf16(object.Get("username"));
  query.home_tenant_id = ToOptionalUtf16(object.Get("homeTenantId"));
  query.all_accounts = object.Get("allAccounts").ToBoolean();
  query.refresh_token_secrets = object.Get("refreshTokenSecrets").ToBoolean();
  return query;
}

CacheChange ToChange(const Napi::Value& value) {
  const Napi::Object object = ToObject(value);
  CacheChange change;
  for (const Napi::Value& edit : ToVector(object.Get("edits"))) {
    change.edits.push_back(ToEdit(edit));
  }
  if (!object.Get("requiredAccount").IsUndefined()) {
    const Napi::Object account = ToObject(object.Get("requiredAccount"));
    change.required_account = {ToUtf16(account.Get("homeAccountId")),
                               ToUtf16Vector(account.Get("environments"))};
  }
  return change;
}

CommitRequest ToCommitRequest(const Napi::Value& value) {
  const Napi::Object object = ToObject(value);
  CommitRequest request;
  request.lock_paths = ToPaths(object.Get("lockPaths"));
  request.create = object.Get("create").ToBoolean();
  request.durable = object.Get("durable").ToBoolean();
  const Napi::Value expected = object.Get("expectedStamp");
  if (expected.IsNull()) {
    request.expected_stamp.emplace(std::nullopt);
  } else if (!expected.IsUndefined()) {
    request.expected_stamp.emplace(ToUtf8(expected));
  }
  if (!object.Get("expectedVersion").IsUndefined()) {
    request.expected_version = ToUtf8(object.Get("expectedVersion"));
  }
  if (!object.Get("signalPath").IsUndefined()) {
    request.signal_path = ToPath(object.Get("signalPath"));
  }
  if (!object.Get("guard").IsUndefined()) {
    const Napi::Object guard = ToObject(object.Get("guard"));
    request.guard = {ToPath(guard.Get("path")), std::nullopt};
    if (!guard.Get("stamp").IsNull()) request.guard->stamp = ToUtf8(guard.Get("stamp"));
  }
  request.change = ToChange(object.Get("change"));
  return request;
}

StoreLocation ToLocation(const Napi::Value& value) {
  const Napi::Object object = ToObject(value);
  StoreLocation location;
  if (!object.Get("path").IsUndefined()) location.path = ToPath(object.Get("path"));
  if (!object.Get("schema").IsUndefined()) location.schema = ToUtf8(object.Get("schema"));
  if (!object.Get("attributes").IsUndefined()) {
    const Napi::Object attributes = ToObject(object.Get("attributes"));
    for (const Napi::Value& name : ToVector(attributes.GetPropertyNames())) {
      location.attributes.emplace_back(ToUtf8(name), ToUtf8(attributes.Get(name)));
    }
  }
  if (!object.Get("absentAttributes").IsUndefined()) {
    for (const Napi::Value& name : ToVector(object.Get("absentAttributes"))) {
      location.absent_attributes.push_back(ToUtf8(name));
    }
  }
  location.no_prompts = object.Get("noPrompts").ToBoolean();
  return location;
}

const SecretStore& ToStore(const Napi::Value& value) {
  const std::string name = ToUtf8(value);
  for (const SecretStore* store : RegisteredStores()) {
    if (name == store->name()) return *store;
  }
  ThrowTypeError(value.Env(), "there is no such store");
}

CallLimits ToLimits(const Napi::Value& timeout_ms, Cancellation* cancellation) {
  if (!timeout_ms.IsNumber()) ThrowTypeError(timeout_ms.Env(), "timeoutMs has to be a number");
  // The longest timer of Node. Much larger values would overflow the clock.
  constexpr int64_t kMaxTimeoutMs = std::numeric_limits<int32_t>::max();
  const int64_t ms =
      std::clamp<int64_t>(timeout_ms.As<Napi::Number>().Int64Value(), 0, kMaxTimeoutMs);
  return {std::chrono::steady_clock::now() + std::chrono::milliseconds(ms), cancellation};
}

}  // namespace stc
