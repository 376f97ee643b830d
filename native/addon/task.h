// Task: work that the addon does off the main thread, and the promise that reports its outcome.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_TASK_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_TASK_H_

#include <napi.h>

#include <optional>

#include "base/cancellation.h"
#include "base/status.h"

namespace stc {

// Created and settled on the environment's thread. Executed and destroyed on any thread.
class Task {
 public:
  explicit Task(Napi::Env env) : deferred_(Napi::Promise::Deferred::New(env)) {}
  virtual ~Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  Napi::Promise Promise() const { return deferred_.Promise(); }
  // Tells Run that the environment is ending.
  Cancellation* cancellation() { return &cancellation_; }

  // Does the work, on any thread.
  void Execute();

  // Does the work on the environment's thread if it takes microseconds and cannot block. Returns
  // false if it might block; the task is unchanged then.
  bool ExecuteNow();

  // Records a failure instead of executing.
  void Fail(Status status);

  // Settles the promise, on the environment's thread. kNotFound resolves with null; any other
  // failure rejects with ToJs(Status).
  void Settle(Napi::Env env);

 protected:
  // The work. Must not use Node-API.
  virtual Status Run() = 0;
  // As Run, if that takes microseconds and cannot block. Returns false otherwise.
  virtual bool RunNow(Status* /*status*/) { return false; }
  // The value that the promise resolves with, after Run succeeded.
  virtual Napi::Value Result(Napi::Env env) = 0;

 private:
  std::optional<Napi::Value> Answer(Napi::Env env);

  Napi::Promise::Deferred deferred_;
  Cancellation cancellation_;
  Status status_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_TASK_H_
