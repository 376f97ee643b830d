#include "addon/lock_tasks.h"

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "addon/from_js.h"
#include "addon/jobs.h"
#include "addon/task.h"
#include "base/status.h"
#include "stores/commit.h"

namespace stc {

namespace {

struct HeldLocks {
  // Several jobs may use the same locks on different threads.
  std::mutex mutex;
  LockSet locks;
};

// Distinguishes our handles from externals of other addons.
constexpr napi_type_tag kLockTag = {0x5d3c5f0e1ab84c67, 0x9f27c9f7d0c4e1a3};

// Makes the handle that JavaScript holds. The locks are released when it is collected, or when the
// environment ends.
Napi::Value ToHandle(Napi::Env env, std::shared_ptr<HeldLocks> held) {
  // Owned here until the external exists: an environment that is ending refuses to make it.
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

// tryLock(paths, isOwn): a handle, or null if another process holds one of the locks.
class TryLockTask : public Task {
 public:
  explicit TryLockTask(const Napi::CallbackInfo& info)
      : Task(info.Env()),
        paths_(ToPaths(info[0])),
        use_(info[1].ToBoolean() ? LockUse::kOwn : LockUse::kShared),
        held_(std::make_shared<HeldLocks>()) {}

 protected:
  Status Run() override { return held_->locks.TryAcquire(paths_, &is_held_, use_); }
  Napi::Value Result(Napi::Env env) override {
    return is_held_ ? ToHandle(env, held_) : env.Null();
  }

 private:
  const std::vector<std::string> paths_;
  const LockUse use_;
  const std::shared_ptr<HeldLocks> held_;
  bool is_held_ = false;
};

enum class LockCall { kCheck, kTouch, kRelease };

// checkLock(handle), touchLock(handle), releaseLock(handle).
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
Napi::Value StartTask(const Napi::CallbackInfo& info) {
  return StartInPool(info.Env(), std::make_shared<SomeTask>(info));
}

}  // namespace

Napi::Value StartTryLock(const Napi::CallbackInfo& info) { return StartTask<TryLockTask>(info); }

Napi::Value StartCheckLock(const Napi::CallbackInfo& info) {
  return StartTask<LockCallTask<LockCall::kCheck>>(info);
}

Napi::Value StartTouchLock(const Napi::CallbackInfo& info) {
  return StartTask<LockCallTask<LockCall::kTouch>>(info);
}

Napi::Value StartReleaseLock(const Napi::CallbackInfo& info) {
  return StartTask<LockCallTask<LockCall::kRelease>>(info);
}

}  // namespace stc
