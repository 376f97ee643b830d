#include "addon/task.h"

#include <exception>
#include <string>
#include <utility>

#include "addon/to_js.h"

namespace stc {

namespace {

// The core throws nothing itself, so this is a failure of the standard library: most likely
// std::bad_alloc.
Status ExceptionStatus(const std::exception& error) {
  return Status(StatusCode::kIo, "run", "c++", 0, std::string("failed: ") + error.what());
}

Status ResultTooLarge() {
  return Status(StatusCode::kCacheCorrupt, "result", "", 0,
                "has a value that is larger than JavaScript can hold, which no token cache has. "
                "Move it away.");
}

}  // namespace

void Task::Execute() {
  try {
    status_ = Run();
  } catch (const std::exception& error) {
    status_ = ExceptionStatus(error);
  }
}

bool Task::ExecuteNow() {
  try {
    return RunNow(&status_);
  } catch (const std::exception& error) {
    status_ = ExceptionStatus(error);
    return true;
  }
}

void Task::Fail(Status status) { status_ = std::move(status); }

void Task::Settle(Napi::Env env) {
  try {
    const Napi::HandleScope scope(env);
    const bool has_answer = status_.ok() || status_.code() == StatusCode::kNotFound;
    const std::optional<Napi::Value> value = has_answer ? Answer(env) : std::nullopt;
    if (value) {
      deferred_.Resolve(*value);
    } else {
      deferred_.Reject(ToJs(env, has_answer ? ResultTooLarge() : status_));
    }
  } catch (const Napi::Error&) {
    // The worker is being terminated, so nobody waits for the promise. Do not touch it again: the
    // failed call may have freed the deferred.
  }
}

// Returns nothing if the value cannot be made: one of its strings is longer than V8 allows, or the
// environment is ending.
std::optional<Napi::Value> Task::Answer(Napi::Env env) {
  try {
    return status_.ok() ? Result(env) : env.Null();
  } catch (const Napi::Error&) {
    return std::nullopt;
  }
}

}  // namespace stc
