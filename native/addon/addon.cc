// The addon as JavaScript sees it, and the one file that knows Node: arguments become plain C++
// values, jobs run off the main thread, results and Statuses become JS values. Shape: NativeAddon
// in src/backend/native-backend.ts.

#include <napi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <iterator>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/cancellation.h"
#include "cache/cache_editor.h"
#include "cache/cache_scanner.h"
#include "stores/commit.h"
#if defined(__linux__)
#include "stores/kernel_key.h"
#endif
#if defined(_WIN32)
#include "io/known_folder.h"
#endif
#include "base/keep_loaded.h"
#include "base/status.h"
#include "io/memory_source.h"
#include "io/reader_threads.h"
#include "stores/secret_store.h"

namespace stc {

namespace {

// src/backend/native-backend.ts refuses any other number.
constexpr int kApiVersion = 1;

// ---- C++ values to JS ----

Napi::Value ToJs(Napi::Env env, const JsonText& text) {
  napi_value value = nullptr;
  const napi_status status =
      text.is_ascii()
          ? napi_create_string_latin1(env, text.ascii().data(), text.ascii().size(), &value)
          : napi_create_string_utf16(env, text.wide().data(), text.wide().size(), &value);
  if (status != napi_ok) throw Napi::Error::New(env);
  return Napi::Value(env, value);
}

// `text` is well-formed UTF-8.
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

Napi::Value ToJs(Napi::Env env, double number) { return Napi::Number::New(env, number); }

template <typename Value>
Napi::Value ToJs(Napi::Env env, const std::optional<Value>& value) {
  return value ? ToJs(env, *value) : env.Undefined();
}

class Readings;

// What belongs to one environment.
struct Environment {
  // The JS functions that make entries of their fields. One call with all fields takes a fifth of
  // the time that setting them one by one on an object does.
  Napi::FunctionReference account;
  Napi::FunctionReference refresh_token;
  Napi::FunctionReference access_token;
  Napi::FunctionReference app_metadata;
  // None before the first reading.
  std::shared_ptr<Readings> readings;
};

// A text that many entries have in common, or none.
struct Common {
  explicit Common(const JsonText& value) : text(&value) {}
  explicit Common(const std::optional<JsonText>& value) : text(value ? &*value : nullptr) {}

  const JsonText* text;
};

// Makes one entry after the other, each of its fields in the order in which the maker in
// src/backend/native-backend.ts takes them. Entries that follow each other share the strings that they have in
// common, as most of an account's tokens do: 6 % less time for 50 tokens out of 1.5 MB, and a heap
// that holds one for all.
class EntryArray {
 public:
  EntryArray(Napi::Env env, const Napi::FunctionReference& maker, size_t size)
      : env_(env), maker_(maker.Value()), array_(Napi::Array::New(env, size)) {}

  // What is `Common` has to outlive the array's making.
  template <typename... Values>
  void Add(const Values&... values) {
    static_assert(sizeof...(values) <= kMaxColumns);
    size_t column = 0;
    // Outside of the scope, since they may be of use to the next entry.
    (Prepare(column++, values), ...);
    const Napi::HandleScope scope(env_);
    column = 0;
    array_.Set(size_++, maker_.Call({Made(column++, values)...}));
  }

  Napi::Array array() const { return array_; }

 private:
  static constexpr size_t kMaxColumns = 9;

  struct Last {
    const JsonText* text = nullptr;
    napi_value value = nullptr;
  };

  void Prepare(size_t column, const Common& value) {
    Last& last = common_[column];
    if (value.text == nullptr || (last.text != nullptr && Equal(*last.text, *value.text))) return;
    last = {value.text, ToJs(env_, *value.text)};
  }

  template <typename Value>
  void Prepare(size_t /*column*/, const Value& /*value*/) {}

  napi_value Made(size_t column, const Common& value) const {
    return value.text == nullptr ? env_.Undefined() : common_[column].value;
  }

  template <typename Value>
  napi_value Made(size_t /*column*/, const Value& value) const {
    return ToJs(env_, value);
  }

  const Napi::Env env_;
  const Napi::Function maker_;
  Napi::Array array_;
  uint32_t size_ = 0;
  std::array<Last, kMaxColumns> common_;
};

Napi::Value ToJs(Napi::Env env, const CacheSlice& slice) {
  const Environment& makers = *env.GetInstanceData<Environment>();
  EntryArray accounts(env, makers.account, slice.accounts.size());
  for (const AccountEntry& entry : slice.accounts) {
    accounts.Add(entry.home_account_id, Common(entry.environment), Common(entry.realm),
                 entry.local_account_id, entry.username, Common(entry.authority_type));
  }
  EntryArray refresh_tokens(env, makers.refresh_token, slice.refresh_tokens.size());
  for (const RefreshTokenEntry& entry : slice.refresh_tokens) {
    refresh_tokens.Add(Common(entry.home_account_id), Common(entry.environment),
                       Common(entry.client_id), Common(entry.family_id), entry.target,
                       entry.last_modification_time, entry.secret);
  }
  EntryArray access_tokens(env, makers.access_token, slice.access_tokens.size());
  for (const AccessTokenEntry& entry : slice.access_tokens) {
    access_tokens.Add(Common(entry.home_account_id), Common(entry.environment),
                      Common(entry.client_id), Common(entry.realm), entry.target, entry.secret,
                      entry.cached_at, entry.expires_on, entry.refresh_on);
  }
  EntryArray app_metadata(env, makers.app_metadata, slice.app_metadata.size());
  for (const AppMetadataEntry& entry : slice.app_metadata) {
    app_metadata.Add(Common(entry.environment), entry.client_id, entry.family_id);
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

// src/backend/native-backend.ts makes a StoreError of it, with a JS stack.
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

// ---- JS arguments to C++ values; a wrong one throws a TypeError ----

[[noreturn]] void ThrowTypeError(Napi::Env env, const char* message) {
  throw Napi::TypeError::New(env, message);
}

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

std::string ToPath(const Napi::Value& value) {
  std::string path = ToUtf8(value);
  // The operating system would take the part before it for the whole path.
  if (path.find('\0') != std::string::npos) ThrowTypeError(value.Env(), "path has a NUL");
  return path;
}

std::vector<std::string> ToPaths(const Napi::Value& value) {
  std::vector<std::string> paths;
  for (const Napi::Value& path : ToVector(value)) paths.push_back(ToPath(path));
  return paths;
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

// Names and JSON text of values; none if it is undefined.
std::vector<std::pair<std::u16string, std::string>> ToFields(const Napi::Value& value) {
  std::vector<std::pair<std::u16string, std::string>> fields;
  if (value.IsUndefined()) return fields;
  const Napi::Object object = ToObject(value);
  for (const Napi::Value& name : ToVector(object.GetPropertyNames())) {
    fields.emplace_back(ToUtf16(name), ToUtf8(object.Get(name)));
  }
  return fields;
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
  if (!object.Get("unlessNewer").IsUndefined()) {
    const Napi::Object rule = ToObject(object.Get("unlessNewer"));
    edit.unless_newer = {ToField(rule.Get("field")), ToNumber(rule.Get("value"))};
  }
  return edit;
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

// All but the change.
CommitRequest ToCommitRequest(const Napi::Value& value) {
  const Napi::Object object = ToObject(value);
  CommitRequest request;
  request.lock_paths = ToPaths(object.Get("lockPaths"));
  request.create = object.Get("create").ToBoolean();
  const Napi::Value expected = object.Get("expectedStamp");
  if (expected.IsNull()) {
    request.expected_stamp.emplace(std::nullopt);
  } else if (!expected.IsUndefined()) {
    request.expected_stamp.emplace(ToUtf8(expected));
  }
  if (!object.Get("signalPath").IsUndefined()) {
    request.signal_path = ToPath(object.Get("signalPath"));
  }
  return request;
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
  return query;
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
  // As long as a timer of Node can be. What is far beyond would overflow the clock.
  constexpr int64_t kMaxTimeoutMs = std::numeric_limits<int32_t>::max();
  const int64_t ms =
      std::clamp<int64_t>(timeout_ms.As<Napi::Number>().Int64Value(), 0, kMaxTimeoutMs);
  return {std::chrono::steady_clock::now() + std::chrono::milliseconds(ms), cancellation};
}

// Without it there is nothing to make a result of, and nobody to bring it.
void CheckEnvironment(Napi::Env env) {
  if (env.GetInstanceData<Environment>() == nullptr) {
    ThrowTypeError(env, "setEntryMakers has to be called first");
  }
}

// ---- Jobs ----

// Work off the main thread and the promise of its outcome.
class Task {
 public:
  explicit Task(Napi::Env env) : deferred_(Napi::Promise::Deferred::New(env)) {}
  virtual ~Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  Napi::Promise Promise() const { return deferred_.Promise(); }
  Cancellation* cancellation() { return &cancellation_; }

  // On any thread.
  void Execute() {
    try {
      status_ = Run();
    } catch (const std::exception& error) {
      status_ = Thrown(error);
    }
  }

  // On the thread of the environment, instead of Execute: false if it would have to wait there.
  bool ExecuteNow() {
    try {
      return RunNow(&status_);
    } catch (const std::exception& error) {
      status_ = Thrown(error);
      return true;
    }
  }

  // Instead of Execute.
  void Fail(Status status) { status_ = std::move(status); }

  // On the thread of the environment.
  void Settle(Napi::Env env) {
    try {
      const Napi::HandleScope scope(env);
      const bool has_answer = status_.ok() || status_.code() == StatusCode::kNotFound;
      const std::optional<Napi::Value> value = has_answer ? Answer(env) : std::nullopt;
      if (value) {
        deferred_.Resolve(*value);
      } else {
        deferred_.Reject(ToJs(env, has_answer ? Unusable() : status_));
      }
    } catch (const Napi::Error&) {
      // A worker that is being terminated: nobody is left to be told. The promise is not touched
      // once more, because what settles it may be gone.
    }
  }

 protected:
  virtual Status Run() = 0;
  // As Run, if that takes microseconds and waits for nothing; else returns false.
  virtual bool RunNow(Status* /*status*/) { return false; }
  virtual Napi::Value Result(Napi::Env env) = 0;

 private:
  // Memory ran out, most likely: the core throws nothing of its own.
  static Status Thrown(const std::exception& error) {
    return Status(StatusCode::kIo, "run", "c++", 0, std::string("failed: ") + error.what());
  }

  // None if it cannot be made: it has a string that is longer than V8's may be, or the environment
  // is ending.
  std::optional<Napi::Value> Answer(Napi::Env env) {
    try {
      return status_.ok() ? Result(env) : env.Null();
    } catch (const Napi::Error&) {
      return std::nullopt;
    }
  }

  static Status Unusable() {
    return Status(StatusCode::kCacheCorrupt, "result", "", 0,
                  "has a value that is larger than JavaScript can hold, which no token cache has. "
                  "Move it away.");
  }

  Napi::Promise::Deferred deferred_;
  Cancellation cancellation_;
  Status status_;
};

// `error`: errno, where it is known.
Status NoThread(int error = 0) {
  return Status(StatusCode::kIo, "pthread_create", "errno", error,
                "No thread could be started. Raise the limit of processes.");
}

// Runs a task on libuv's thread pool. For what writes: the end of the environment, and so of the
// process, waits for it.
class PoolJob : public Napi::AsyncWorker {
 public:
  PoolJob(Napi::Env env, std::shared_ptr<Task> task)
      : Napi::AsyncWorker(env, "azure-shared-token-cache"), task_(std::move(task)) {}

  void Execute() override { task_->Execute(); }
  void OnOK() override { task_->Settle(Env()); }
  // Never reached but when the environment refuses the work: Execute reports through the task.
  void OnError(const Napi::Error& /*error*/) override { task_->Settle(Env()); }

 private:
  std::shared_ptr<Task> task_;
};

// Runs a task that may stall on a thread of its own: it would take one of libuv's four from
// everybody else, and the end of the environment would wait for it. It does not keep the event loop
// alive; whoever waits for the promise has to.
class ThreadJob {
 public:
  static void Start(Napi::Env env, std::shared_ptr<Task> task) {
    auto job = std::make_shared<ThreadJob>();
    job->task_ = std::move(task);
    // Owned by the function, and freed by its finalizer.
    auto* held = new std::shared_ptr<ThreadJob>(job);
    const Napi::String name = Napi::String::New(env, "azure-shared-token-cache");
    if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, held, Finalize, held,
                                        Call, &job->function_) != napi_ok) {
      delete held;
      throw Napi::Error::New(env);
    }
    napi_unref_threadsafe_function(env, job->function_);
    KeepLoaded();
    try {
      std::thread([job] { job->Execute(); }).detach();
    } catch (const std::system_error& error) {
      job->task_->Fail(NoThread(error.code().value()));
      job->Finish();
    }
  }

 private:
  void Execute() {
    task_->Execute();
    Finish();
  }

  // Has the task settled on the thread of the environment.
  void Finish() {
    const std::lock_guard<std::mutex> lock(mutex_);
    // Once finalized, the function is gone, and with it the environment.
    if (is_finalized_) return;
    napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
    napi_release_threadsafe_function(function_, napi_tsfn_release);
  }

  static void Call(napi_env env, napi_value /*callback*/, void* context, void* /*data*/) {
    if (env == nullptr) return;
    (*static_cast<std::shared_ptr<ThreadJob>*>(context))->task_->Settle(Napi::Env(env));
  }

  static void Finalize(napi_env /*env*/, void* data, void* /*hint*/) {
    auto* held = static_cast<std::shared_ptr<ThreadJob>*>(data);
    {
      const std::lock_guard<std::mutex> lock((*held)->mutex_);
      (*held)->is_finalized_ = true;
    }
    (*held)->task_->cancellation()->Cancel();
    delete held;
  }

  std::shared_ptr<Task> task_;
  std::mutex mutex_;
  bool is_finalized_ = false;
  napi_threadsafe_function function_ = nullptr;
};

// Runs tasks that read files, on ReaderThreads, and settles them on the thread of the environment.
// They hold its event loop. When it ends, nobody waits for them.
class Readings : public std::enable_shared_from_this<Readings> {
 public:
  static void Start(Napi::Env env, const std::shared_ptr<Task>& task) {
    std::shared_ptr<Readings>& readings = env.GetInstanceData<Environment>()->readings;
    if (readings == nullptr) readings = Open(env);
    readings->Add(env, task);
  }

 private:
  static std::shared_ptr<Readings> Open(Napi::Env env) {
    auto readings = std::make_shared<Readings>();
    // Owned by the function, and freed by its finalizer.
    auto held = std::make_unique<std::shared_ptr<Readings>>(readings);
    const Napi::String name = Napi::String::New(env, "azure-shared-token-cache");
    if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, held.get(), Finalize,
                                        held.get(), Call, &readings->function_) != napi_ok) {
      throw Napi::Error::New(env);
    }
    static_cast<void>(held.release());
    napi_unref_threadsafe_function(env, readings->function_);
    ReaderThreads::Shared().AddUser();
    return readings;
  }

  void Add(napi_env env, const std::shared_ptr<Task>& task) {
    // Made here, because out there nobody could be told that memory ran out.
    auto held = std::make_unique<std::shared_ptr<Task>>(task);
    const auto execute = [self = shared_from_this(), held = held.get()] {
      (*held)->Execute();
      self->Finish(held);
    };
    if (!ReaderThreads::Shared().Post(execute)) {
      task->Fail(NoThread());
      Finish(held.get());
    }
    static_cast<void>(held.release());
    if (pending_++ == 0) napi_ref_threadsafe_function(env, function_);
  }

  // Has the task settled on the thread of the environment. Takes over `held`.
  void Finish(std::shared_ptr<Task>* held) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      // Once finalized, the function is gone, and with it the environment.
      if (!is_finalized_ &&
          napi_call_threadsafe_function(function_, held, napi_tsfn_nonblocking) == napi_ok) {
        return;
      }
    }
    delete held;
  }

  static void Call(napi_env env, napi_value /*callback*/, void* context, void* data) {
    const std::unique_ptr<std::shared_ptr<Task>> task(static_cast<std::shared_ptr<Task>*>(data));
    if (env == nullptr) return;
    // A copy: settling may run what ends the environment.
    const std::shared_ptr<Readings> self = *static_cast<std::shared_ptr<Readings>*>(context);
    if (--self->pending_ == 0) napi_unref_threadsafe_function(env, self->function_);
    (*task)->Settle(Napi::Env(env));
  }

  static void Finalize(napi_env /*env*/, void* data, void* /*hint*/) {
    const std::unique_ptr<std::shared_ptr<Readings>> held(
        static_cast<std::shared_ptr<Readings>*>(data));
    const std::lock_guard<std::mutex> lock((*held)->mutex_);
    (*held)->is_finalized_ = true;
    ReaderThreads::Shared().RemoveUser();
  }

  // On the thread of the environment alone.
  size_t pending_ = 0;
  napi_threadsafe_function function_ = nullptr;
  std::mutex mutex_;
  bool is_finalized_ = false;
};

enum class Kind { kReads, kWrites };

Napi::Promise Start(Napi::Env env, const SecretStore& store, Kind kind,
                    std::shared_ptr<Task> task) {
  const Napi::Promise promise = task->Promise();
  if (task->ExecuteNow()) {
    task->Settle(env);
  } else if (store.may_stall()) {
    ThreadJob::Start(env, std::move(task));
  } else if (kind == Kind::kReads) {
    Readings::Start(env, task);
  } else {
    // Frees itself when it is done.
    (new PoolJob(env, std::move(task)))->Queue();
  }
  return promise;
}

// ---- The functions ----

class QueryTask : public Task {
 public:
  explicit QueryTask(const Napi::CallbackInfo& info)
      : Task(info.Env()),
        store_(ToStore(info[0])),
        location_(ToLocation(info[1])),
        query_(ToQuery(info[2])),
        limits_(ToLimits(info[3], cancellation())) {}

  const SecretStore& store() const { return store_; }

 protected:
  Status Run() override {
    std::unique_ptr<ByteSource> source;
    Status status = store_.Open(location_, limits_, &source);
    return status.ok() ? Scan(source.get()) : status;
  }

  bool RunNow(Status* status) override {
    std::unique_ptr<ByteSource> source;
    if (!store_.OpenNow(location_, status, &source)) return false;
    if (status->ok()) *status = Scan(source.get());
    return true;
  }

  Napi::Value Result(Napi::Env env) override { return ToJs(env, slice_); }

 private:
  Status Scan(ByteSource* source) {
    slice_.stamp = source->stamp();
    slice_.modified_ms = source->modified_ms();
    Status status = ScanCache(source, query_, &slice_);
    // What was written meanwhile explains whatever else went wrong.
    const Status verified = source->Verify();
    return verified.ok() ? status : verified;
  }

  const SecretStore& store_;
  const StoreLocation location_;
  const CacheQuery query_;
  const CallLimits limits_;
  CacheSlice slice_;
};

class StampTask : public Task {
 public:
  explicit StampTask(const Napi::CallbackInfo& info)
      : Task(info.Env()),
        store_(ToStore(info[0])),
        location_(ToLocation(info[1])),
        limits_(ToLimits(info[2], cancellation())) {}

  const SecretStore& store() const { return store_; }

 protected:
  Status Run() override { return store_.Stamp(location_, limits_, &stamp_); }
  bool RunNow(Status* status) override { return store_.StampNow(location_, status, &stamp_); }
  Napi::Value Result(Napi::Env env) override { return Napi::String::New(env, stamp_); }

 private:
  const SecretStore& store_;
  const StoreLocation location_;
  const CallLimits limits_;
  std::string stamp_;
};

// The whole of a cache, as text.
class ReadTask : public Task {
 public:
  explicit ReadTask(const Napi::CallbackInfo& info)
      : Task(info.Env()),
        store_(ToStore(info[0])),
        location_(ToLocation(info[1])),
        limits_(ToLimits(info[2], cancellation())) {}

  const SecretStore& store() const { return store_; }

 protected:
  Status Run() override {
    std::unique_ptr<ByteSource> source;
    Status status = store_.Open(location_, limits_, &source);
    if (!status.ok()) return status;
    stamp_ = source->stamp();
    modified_ms_ = source->modified_ms();
    status = ReadAll(source.get(), &text_);
    const Status verified = source->Verify();
    if (!verified.ok()) return verified;
    if (!status.ok()) return status;
    // Only what is well formed is handed out: the error of a parser would quote it.
    MemorySource checked(text_.view());
    CacheSlice nothing;
    return ScanCache(&checked, {}, &nothing);
  }

  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    result["text"] = ToJs(env, text_.view());
    result["stamp"] = stamp_;
    result["modifiedMs"] = modified_ms_;
    return result;
  }

 private:
  static Status ReadAll(ByteSource* source, SecureBytes* text) {
    bool is_whole = false;
    const std::string_view whole = source->Whole(&is_whole);
    if (is_whole) {
      *text = SecureBytes(whole.size());
      if (!whole.empty()) std::memcpy(text->data(), whole.data(), whole.size());
      return Status::Ok();
    }
    size_t done = 0;
    for (;;) {
      if (done == text->size()) text->Resize(std::max<size_t>(size_t{64} * 1024, done * 2));
      size_t size = 0;
      Status status = source->Read(text->data() + done, text->size() - done, &size);
      if (!status.ok()) return status;
      if (size == 0) break;
      done += size;
    }
    text->Resize(done);
    return Status::Ok();
  }

  const SecretStore& store_;
  const StoreLocation location_;
  const CallLimits limits_;
  SecureBytes text_;
  std::string stamp_;
  double modified_ms_ = 0;
};

class CommitTask : public Task {
 public:
  explicit CommitTask(const Napi::CallbackInfo& info)
      : Task(info.Env()),
        store_(ToStore(info[0])),
        location_(ToLocation(info[1])),
        request_(ToCommitRequest(info[2])),
        limits_(ToLimits(info[3], cancellation())) {}

  const SecretStore& store() const { return store_; }

  // On the thread of the environment, after the start: while the change of a grant is converted,
  // which takes 50 us, the other thread wakes up and takes the locks. So the write-back of 23 KB
  // takes 400 us, and 430 if one follows the other.
  void ReadChange(const Napi::Value& request) {
    try {
      Deliver(ToChange(ToObject(request).Get("change")));
    } catch (...) {
      // The caller gets that, and no promise.
      Deliver(std::nullopt);
      throw;
    }
  }

 protected:
  Status Run() override {
    LockSet locks;
    bool is_held = false;
    Status status = locks.TryAcquire(request_.lock_paths, &is_held);
    if (!status.ok() || !is_held || !AwaitChange()) return status;
    return store_.Commit(location_, request_, limits_, &locks, &result_);
  }

  Napi::Value Result(Napi::Env env) override {
    static constexpr const char* kNames[] = {"locked",     "changed",   "absent",
                                             "no-account", "unchanged", "written"};
    Napi::Object result = Napi::Object::New(env);
    result["outcome"] = kNames[static_cast<size_t>(result_.outcome)];
    if (result_.outcome == CommitOutcome::kUnchanged) result["stamp"] = result_.stamp;
    if (result_.outcome == CommitOutcome::kWritten) {
      result["baseStamp"] =
          result_.base_stamp ? Napi::String::New(env, *result_.base_stamp) : env.Null();
      result["stamp"] = result_.stamp;
      result["lockLost"] = Napi::Boolean::New(env, result_.lock_lost);
    }
    return result;
  }

 private:
  // None if it could not be read.
  void Deliver(std::optional<CacheChange> change) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      has_change_ = change.has_value();
      if (has_change_) request_.change = std::move(*change);
      is_delivered_ = true;
    }
    delivered_.notify_one();
  }

  bool AwaitChange() {
    std::unique_lock<std::mutex> lock(mutex_);
    delivered_.wait(lock, [this] { return is_delivered_; });
    return has_change_;
  }

  const SecretStore& store_;
  const StoreLocation location_;
  // Its change is there once it is delivered.
  CommitRequest request_;
  const CallLimits limits_;
  CommitResult result_;
  std::mutex mutex_;
  std::condition_variable delivered_;
  bool is_delivered_ = false;
  bool has_change_ = false;
};

Napi::Value StartCommit(const Napi::CallbackInfo& info) {
  CheckEnvironment(info.Env());
  auto task = std::make_shared<CommitTask>(info);
  const Napi::Promise promise = Start(info.Env(), task->store(), Kind::kWrites, task);
  task->ReadChange(info[2]);
  return promise;
}

template <typename SomeTask>
Napi::Value StartTask(const Napi::CallbackInfo& info) {
  CheckEnvironment(info.Env());
  auto task = std::make_shared<SomeTask>(info);
  const SecretStore& store = task->store();
  return Start(info.Env(), store, Kind::kReads, std::move(task));
}

// ---- Locks that JavaScript holds ----

struct HeldLocks {
  // Jobs on several threads may be about the same locks.
  std::mutex mutex;
  LockSet locks;
};

// Tells our handles from other addons' externals.
constexpr napi_type_tag kLockTag = {0x5d3c5f0e1ab84c67, 0x9f27c9f7d0c4e1a3};

// What JavaScript holds: the locks are released when it is collected, or its environment ends.
Napi::Value ToHandle(Napi::Env env, std::shared_ptr<HeldLocks> held) {
  // In an environment that is ending, there is no handle any more to own them.
  auto owned = std::make_unique<std::shared_ptr<HeldLocks>>(std::move(held));
  auto handle = Napi::External<std::shared_ptr<HeldLocks>>::New(
      env, owned.get(), [](Napi::Env /*env*/, std::shared_ptr<HeldLocks>* data) { delete data; });
  owned.release();
  if (napi_type_tag_object(env, handle, &kLockTag) != napi_ok) throw Napi::Error::New(env);
  return handle;
}

std::shared_ptr<HeldLocks> ToHeldLocks(const Napi::Value& value) {
  bool is_ours = false;
  if (!value.IsExternal() ||
      napi_check_object_type_tag(value.Env(), value, &kLockTag, &is_ours) != napi_ok || !is_ours) {
    ThrowTypeError(value.Env(), "a lock was expected");
  }
  return *value.As<Napi::External<std::shared_ptr<HeldLocks>>>().Data();
}

class TryLockTask : public Task {
 public:
  explicit TryLockTask(const Napi::CallbackInfo& info)
      : Task(info.Env()), paths_(ToPaths(info[0])), held_(std::make_shared<HeldLocks>()) {}

 protected:
  Status Run() override { return held_->locks.TryAcquire(paths_, &is_held_); }
  Napi::Value Result(Napi::Env env) override {
    return is_held_ ? ToHandle(env, held_) : env.Null();
  }

 private:
  const std::vector<std::string> paths_;
  const std::shared_ptr<HeldLocks> held_;
  bool is_held_ = false;
};

enum class LockCall { kCheck, kTouch, kRelease };

template <LockCall kCall>
class LockCallTask : public Task {
 public:
  explicit LockCallTask(const Napi::CallbackInfo& info)
      : Task(info.Env()), held_(ToHeldLocks(info[0])) {}

 protected:
  Status Run() override {
    const std::lock_guard<std::mutex> lock(held_->mutex);
    switch (kCall) {
      case LockCall::kCheck:
        is_ours_ = held_->locks.Check();
        break;
      case LockCall::kTouch:
        return held_->locks.Touch();
      case LockCall::kRelease:
        held_->locks.Release();
        break;
    }
    return Status::Ok();
  }
  Napi::Value Result(Napi::Env env) override {
    if (kCall == LockCall::kCheck) return Napi::Boolean::New(env, is_ours_);
    return env.Undefined();
  }

 private:
  const std::shared_ptr<HeldLocks> held_;
  bool is_ours_ = false;
};

template <typename SomeTask>
Napi::Value StartPoolTask(const Napi::CallbackInfo& info) {
  auto task = std::make_shared<SomeTask>(info);
  const Napi::Promise promise = task->Promise();
  (new PoolJob(info.Env(), std::move(task)))->Queue();
  return promise;
}

// ---- The functions that answer at once ----

// Bytes that belong to JavaScript, for the length of one call.
std::string_view ToBytes(const Napi::Value& value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array ||
      // Shared memory: another thread may write what was found to be well formed.
      !value.As<Napi::TypedArray>().ArrayBuffer().IsArrayBuffer()) {
    ThrowTypeError(value.Env(), "a Uint8Array was expected, of memory that is not shared");
  }
  const Napi::Uint8Array bytes = value.As<Napi::Uint8Array>();
  return {reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength()};
}

// Returns the slice, or the object of an error, for src/backend/native-backend.ts to throw.
Napi::Value ScanBytes(const Napi::CallbackInfo& info) {
  CheckEnvironment(info.Env());
  // First, because it may run getters, and those may take the bytes away.
  const CacheQuery query = ToQuery(info[1]);
  MemorySource source(ToBytes(info[0]));
  CacheSlice slice;
  const Status status = ScanCache(&source, query, &slice);
  if (!status.ok()) return ToJs(info.Env(), status);
  return ToJs(info.Env(), slice);
}

// As ScanBytes.
Napi::Value EditBytes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const CacheChange change = ToChange(info[1]);
  const std::string_view bytes = ToBytes(info[0]);
  MemorySource source(bytes);
  EditPlan plan;
  const Status status = PlanEdits(&source, change, &plan);
  if (!status.ok()) return ToJs(env, status);
  static constexpr const char* kNames[] = {"no-account", "unchanged", "changed"};
  Napi::Object result = Napi::Object::New(env);
  result["outcome"] = kNames[static_cast<size_t>(plan.outcome)];
  if (plan.outcome == EditOutcome::kChanged) {
    Napi::Uint8Array changed = Napi::Uint8Array::New(env, static_cast<size_t>(plan.size));
    const SecureBytes assembled = plan.Assemble(bytes);
    std::memcpy(changed.Data(), assembled.data(), assembled.size());
    result["bytes"] = changed;
  }
  return result;
}

// Returns the object of an error, for src/backend/native-backend.ts to throw, or undefined.
Napi::Value Probe(const Napi::CallbackInfo& info) {
  const Status status = ToStore(info[0]).Probe();
  if (!status.ok()) return ToJs(info.Env(), status);
  return info.Env().Undefined();
}

Napi::Value SetEntryMakers(const Napi::CallbackInfo& info) {
  auto makers = std::make_unique<Environment>();
  Napi::FunctionReference* const references[] = {&makers->account, &makers->refresh_token,
                                                 &makers->access_token, &makers->app_metadata};
  for (size_t i = 0; i < std::size(references); ++i) {
    if (!info[i].IsFunction()) ThrowTypeError(info.Env(), "a function was expected");
    *references[i] = Napi::Persistent(info[i].As<Napi::Function>());
  }
  // Freed with the environment.
  info.Env().SetInstanceData(makers.release());
  return info.Env().Undefined();
}

#if defined(__linux__)
// A system call of microseconds: no job.
Napi::Value ReadKey(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  SecureBytes payload;
  const Status status = ReadKernelKey(ToPath(info[0]), &payload);
  if (status.code() == StatusCode::kNotFound) return env.Null();
  if (!status.ok()) return ToJs(env, status);
  // One that the caller wipes.
  Napi::Uint8Array bytes = Napi::Uint8Array::New(env, payload.size());
  if (payload.size() > 0) std::memcpy(bytes.Data(), payload.data(), payload.size());
  return bytes;
}
#endif

#if defined(_WIN32)
Napi::Value LocalAppData(const Napi::CallbackInfo& info) {
  std::string path;
  const Status status = FindLocalAppData(&path);
  if (!status.ok()) return ToJs(info.Env(), status);
  return Napi::String::New(info.Env(), path);
}
#endif

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports["apiVersion"] = kApiVersion;
  Napi::Array stores = Napi::Array::New(env);
  for (const SecretStore* store : RegisteredStores()) {
    stores.Set(stores.Length(), Napi::String::New(env, store->name()));
  }
  exports["stores"] = stores;
  exports["setEntryMakers"] = Napi::Function::New<SetEntryMakers>(env, "setEntryMakers");
  exports["probe"] = Napi::Function::New<Probe>(env, "probe");
  exports["query"] = Napi::Function::New<StartTask<QueryTask>>(env, "query");
  exports["stamp"] = Napi::Function::New<StartTask<StampTask>>(env, "stamp");
  exports["scan"] = Napi::Function::New<ScanBytes>(env, "scan");
  exports["read"] = Napi::Function::New<StartTask<ReadTask>>(env, "read");
  exports["commit"] = Napi::Function::New<StartCommit>(env, "commit");
  exports["edit"] = Napi::Function::New<EditBytes>(env, "edit");
  exports["tryLock"] = Napi::Function::New<StartPoolTask<TryLockTask>>(env, "tryLock");
  exports["checkLock"] =
      Napi::Function::New<StartPoolTask<LockCallTask<LockCall::kCheck>>>(env, "checkLock");
  exports["touchLock"] =
      Napi::Function::New<StartPoolTask<LockCallTask<LockCall::kTouch>>>(env, "touchLock");
  exports["releaseLock"] =
      Napi::Function::New<StartPoolTask<LockCallTask<LockCall::kRelease>>>(env, "releaseLock");
#if defined(__linux__)
  exports["readKey"] = Napi::Function::New<ReadKey>(env, "readKey");
#endif
#if defined(_WIN32)
  exports["localAppData"] = Napi::Function::New<LocalAppData>(env, "localAppData");
#endif
  return exports;
}

}  // namespace

}  // namespace stc

static Napi::Object InitAddon(Napi::Env env, Napi::Object exports) {
  return stc::Init(env, exports);
}

NODE_API_MODULE(azure_shared_token_cache, InitAddon)
