#include "addon/cache_tasks.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "addon/environment.h"
#include "addon/from_js.h"
#include "addon/jobs.h"
#include "addon/task.h"
#include "addon/to_js.h"
#include "base/secure_bytes.h"
#include "base/status.h"
#include "cache/cache_scanner.h"
#include "io/byte_source.h"
#include "io/memory_source.h"
#include "stores/commit.h"
#include "stores/secret_store.h"

namespace stc {

namespace {

// A task on one cache. Its first two arguments are the store and the location; `timeout_index` is
// the position of the time-out.
class CacheTask : public Task {
 public:
  CacheTask(const Napi::CallbackInfo& info, size_t timeout_index)
      : Task(info.Env()),
        store_(ToStore(info[0])),
        location_(ToLocation(info[1])),
        limits_(ToLimits(info[timeout_index], cancellation())) {}

  const SecretStore& store() const { return store_; }
  const StoreLocation& location() const { return location_; }
  const CallLimits& limits() const { return limits_; }

 private:
  const SecretStore& store_;
  const StoreLocation location_;
  const CallLimits limits_;
};

// query(store, location, query, timeoutMs): the records that a query asks for.
class QueryTask : public CacheTask {
 public:
  explicit QueryTask(const Napi::CallbackInfo& info)
      : CacheTask(info, 3), query_(ToQuery(info[2])) {}

 protected:
  Status Run() override {
    std::unique_ptr<ByteSource> source;
    Status status = store().Open(location(), limits(), &source);
    return status.ok() ? Scan(source.get()) : status;
  }

  bool RunNow(Status* status) override {
    std::unique_ptr<ByteSource> source;
    if (!store().OpenNow(location(), status, &source)) return false;
    if (status->ok()) *status = Scan(source.get());
    return true;
  }

  Napi::Value Result(Napi::Env env) override { return ToJs(env, std::move(slice_)); }

 private:
  Status Scan(ByteSource* source) {
    slice_.stamp = source->stamp();
    slice_.modified_ms = source->modified_ms();
    Status status = ScanCache(source, query_, &slice_);
    // A write during the scan explains any other failure.
    const Status verified = source->Verify();
    return verified.ok() ? status : verified;
  }

  const CacheQuery query_;
  CacheSlice slice_;
};

// stamp(store, location, timeoutMs): the cache's stamp (SecretStore::Stamp).
class StampTask : public CacheTask {
 public:
  explicit StampTask(const Napi::CallbackInfo& info) : CacheTask(info, 2) {}

 protected:
  Status Run() override { return store().Stamp(location(), limits(), &stamp_); }
  bool RunNow(Status* status) override { return store().StampNow(location(), status, &stamp_); }
  Napi::Value Result(Napi::Env env) override { return Napi::String::New(env, stamp_); }

 private:
  std::string stamp_;
};

// read(store, location, timeoutMs): the whole cache as text.
class ReadTask : public CacheTask {
 public:
  explicit ReadTask(const Napi::CallbackInfo& info) : CacheTask(info, 2) {}

 protected:
  Status Run() override {
    std::unique_ptr<ByteSource> source;
    Status status = store().Open(location(), limits(), &source);
    if (!status.ok()) return status;
    stamp_ = source->stamp();
    modified_ms_ = source->modified_ms();
    status = ReadAll(source.get(), &text_);
    const Status verified = source->Verify();
    if (!verified.ok()) return verified;
    if (!status.ok()) return status;
    if (store().may_stall()) version_ = VersionOf(text_.view());
    // Return well-formed JSON only: JSON.parse would quote a malformed cache, and so its secrets,
    // in its error message.
    MemorySource checked(text_.view());
    CacheSlice nothing;
    return ScanCache(&checked, {}, &nothing);
  }

  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    result["text"] = ToJs(env, text_.view());
    result["stamp"] = stamp_;
    result["modifiedMs"] = modified_ms_;
    if (!version_.empty()) result["version"] = version_;
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

  SecureBytes text_;
  std::string stamp_;
  // Of a keyring item.
  std::string version_;
  double modified_ms_ = 0;
};

// commit(store, location, request, timeoutMs): takes the locks and writes a change.
class CommitTask : public CacheTask {
 public:
  explicit CommitTask(const Napi::CallbackInfo& info)
      : CacheTask(info, 3), request_(ToCommitRequest(info[2])) {}

 protected:
  Status Run() override {
    LockSet locks;
    bool is_held = false;
    Status status = locks.TryAcquire(request_.lock_paths, &is_held);
    if (!status.ok() || !is_held) return status;
    return store().Commit(location(), request_, limits(), &locks, &result_);
  }

  Napi::Value Result(Napi::Env env) override {
    static constexpr const char* kNames[] = {"locked", "busy",       "changed",   "guarded",
                                             "absent", "no-account", "unchanged", "written"};
    Napi::Object result = Napi::Object::New(env);
    result["outcome"] = kNames[static_cast<size_t>(result_.outcome)];
    const bool is_written = result_.outcome == CommitOutcome::kWritten;
    if (is_written || result_.outcome == CommitOutcome::kUnchanged) {
      result["stamp"] = result_.stamp;
      if (!result_.version.empty()) result["version"] = result_.version;
    }
    if (is_written) {
      result["baseStamp"] =
          result_.base_stamp ? Napi::String::New(env, *result_.base_stamp) : env.Null();
      result["lockLost"] = Napi::Boolean::New(env, result_.lock_lost);
    }
    return result;
  }

 private:
  const CommitRequest request_;
  CommitResult result_;
};

template <typename SomeTask>
Napi::Value StartTask(const Napi::CallbackInfo& info, JobKind kind) {
  // Throws if results could not be converted later.
  EnvironmentOf(info.Env());
  auto task = std::make_shared<SomeTask>(info);
  const SecretStore& store = task->store();
  return Start(info.Env(), store, kind, std::move(task));
}

}  // namespace

Napi::Value StartQuery(const Napi::CallbackInfo& info) {
  return StartTask<QueryTask>(info, JobKind::kReads);
}

Napi::Value StartStamp(const Napi::CallbackInfo& info) {
  return StartTask<StampTask>(info, JobKind::kReads);
}

Napi::Value StartRead(const Napi::CallbackInfo& info) {
  return StartTask<ReadTask>(info, JobKind::kReads);
}

Napi::Value StartCommit(const Napi::CallbackInfo& info) {
  return StartTask<CommitTask>(info, JobKind::kWrites);
}

}  // namespace stc
