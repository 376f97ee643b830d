#include "addon/jobs.h"

#include <cstddef>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "addon/environment.h"
#include "base/keep_loaded.h"
#include "base/status.h"
#include "io/reader_threads.h"

namespace stc {

namespace {

// Shown by async_hooks and in diagnostic reports of Node.
constexpr char kResourceName[] = "azure-shared-token-cache";

// `error`: errno, or 0 if it is not known.
Status ThreadStartFailure(int error = 0) {
  return Status(StatusCode::kIo, "pthread_create", "errno", error,
                "No thread could be started. Raise the limit of processes.");
}

// Runs a task on libuv's thread pool. Frees itself after settling the task.
class PoolJob : public Napi::AsyncWorker {
 public:
  PoolJob(Napi::Env env, std::shared_ptr<Task> task)
      : Napi::AsyncWorker(env, kResourceName), task_(std::move(task)) {}

  void Execute() override { task_->Execute(); }
  void OnOK() override { task_->Settle(Env()); }
  // Called only if the environment refuses the work: failures of Execute are in the task.
  void OnError(const Napi::Error& /*error*/) override { task_->Settle(Env()); }

 private:
  std::shared_ptr<Task> task_;
};

// Runs a task that may stall on a new thread. In libuv's pool it would occupy one of four threads,
// and the end of the environment would wait for it. The job does not keep the event loop alive;
// code that awaits the promise must.
class ThreadJob {
 public:
  static void Start(Napi::Env env, std::shared_ptr<Task> task) {
    auto job = std::make_shared<ThreadJob>();
    job->task_ = std::move(task);
    // The function's finalizer frees it.
    auto* held = new std::shared_ptr<ThreadJob>(job);
    const Napi::String name = Napi::String::New(env, kResourceName);
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
      job->task_->Fail(ThreadStartFailure(error.code().value()));
      job->Finish();
    }
  }

 private:
  void Execute() {
    task_->Execute();
    Finish();
  }

  // Lets the environment's thread settle the task.
  void Finish() {
    const std::lock_guard<std::mutex> lock(mutex_);
    // After finalization the function no longer exists; the environment has ended.
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

}  // namespace

// Runs tasks that read files on ReaderThreads and settles them on the environment's thread. They
// keep the environment's event loop alive. The end of the environment does not wait for them.
class ReaderJobs : public std::enable_shared_from_this<ReaderJobs> {
 public:
  static void Start(Napi::Env env, const std::shared_ptr<Task>& task) {
    std::shared_ptr<ReaderJobs>& jobs = EnvironmentOf(env).reader_jobs;
    if (jobs == nullptr) jobs = Open(env);
    jobs->Add(env, task);
  }

 private:
  static std::shared_ptr<ReaderJobs> Open(Napi::Env env) {
    auto jobs = std::make_shared<ReaderJobs>();
    // The function's finalizer frees it.
    auto held = std::make_unique<std::shared_ptr<ReaderJobs>>(jobs);
    const Napi::String name = Napi::String::New(env, kResourceName);
    if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, held.get(), Finalize,
                                        held.get(), Call, &jobs->function_) != napi_ok) {
      throw Napi::Error::New(env);
    }
    static_cast<void>(held.release());
    napi_unref_threadsafe_function(env, jobs->function_);
    ReaderThreads::Shared().AddUser();
    return jobs;
  }

  void Add(napi_env env, const std::shared_ptr<Task>& task) {
    // Allocated here, because a failure to allocate could not be reported from the other thread.
    auto held = std::make_unique<std::shared_ptr<Task>>(task);
    const auto execute = [self = shared_from_this(), held = held.get()] {
      (*held)->Execute();
      self->Finish(held);
    };
    if (!ReaderThreads::Shared().Post(execute)) {
      task->Fail(ThreadStartFailure());
      Finish(held.get());
    }
    static_cast<void>(held.release());
    if (pending_++ == 0) napi_ref_threadsafe_function(env, function_);
  }

  // Lets the environment's thread settle the task. Takes ownership of `held`.
  void Finish(std::shared_ptr<Task>* held) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      // After finalization the function no longer exists; the environment has ended.
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
    // A copy, because settling may run JavaScript that ends the environment.
    const std::shared_ptr<ReaderJobs> self = *static_cast<std::shared_ptr<ReaderJobs>*>(context);
    if (--self->pending_ == 0) napi_unref_threadsafe_function(env, self->function_);
    (*task)->Settle(Napi::Env(env));
  }

  static void Finalize(napi_env /*env*/, void* data, void* /*hint*/) {
    const std::unique_ptr<std::shared_ptr<ReaderJobs>> held(
        static_cast<std::shared_ptr<ReaderJobs>*>(data));
    const std::lock_guard<std::mutex> lock((*held)->mutex_);
    (*held)->is_finalized_ = true;
    ReaderThreads::Shared().RemoveUser();
  }

  // Used on the environment's thread only.
  size_t pending_ = 0;
  napi_threadsafe_function function_ = nullptr;
  std::mutex mutex_;
  bool is_finalized_ = false;
};

Napi::Promise Start(Napi::Env env, const SecretStore& store, JobKind kind,
                    std::shared_ptr<Task> task) {
  const Napi::Promise promise = task->Promise();
  if (task->ExecuteNow()) {
    task->Settle(env);
  } else if (store.may_stall()) {
    ThreadJob::Start(env, std::move(task));
  } else if (kind == JobKind::kReads) {
    ReaderJobs::Start(env, task);
  } else {
    return StartInPool(env, std::move(task));
  }
  return promise;
}

Napi::Promise StartInPool(Napi::Env env, std::shared_ptr<Task> task) {
  const Napi::Promise promise = task->Promise();
  (new PoolJob(env, std::move(task)))->Queue();
  return promise;
}

}  // namespace stc
