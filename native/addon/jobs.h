// Where tasks run: on the environment's thread, on ReaderThreads, on libuv's thread pool, or on a
// thread per task.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_JOBS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_JOBS_H_

#include <napi.h>

#include <memory>

#include "addon/task.h"
#include "stores/secret_store.h"

namespace stc {

enum class JobKind { kReads, kWrites };

// Runs a task that uses `store`, and settles it. Returns the task's promise. Throws Napi::Error if
// the environment is ending.
Napi::Promise Start(Napi::Env env, const SecretStore& store, JobKind kind,
                    std::shared_ptr<Task> task);

// Runs a task on libuv's thread pool, and settles it. Returns the task's promise. The end of the
// environment, and so of the process, waits for such a task: use it for whatever writes.
Napi::Promise StartInPool(Napi::Env env, std::shared_ptr<Task> task);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_JOBS_H_
