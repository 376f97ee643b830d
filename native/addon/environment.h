// The addon's state in one Node environment: the main thread or a worker.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_ENVIRONMENT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_ENVIRONMENT_H_

#include <napi.h>

#include <memory>

namespace stc {

class ReaderJobs;

// JavaScript functions that make an entry from its fields. One call with all fields is several
// times faster than setting the properties of an object one by one (measured: bench P4).
struct EntryMakers {
  Napi::FunctionReference account;
  Napi::FunctionReference refresh_token;
  Napi::FunctionReference access_token;
  Napi::FunctionReference app_metadata;
};

struct Environment {
  EntryMakers makers;
  // Null before the first job that reads a file.
  std::shared_ptr<ReaderJobs> reader_jobs;
};

// Throws a TypeError if SetEntryMakers was not called before in this environment.
Environment& EnvironmentOf(Napi::Env env);

// setEntryMakers(account, refreshToken, accessToken, appMetadata): creates the state. Must be
// called before a job is started.
Napi::Value SetEntryMakers(const Napi::CallbackInfo& info);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_ENVIRONMENT_H_
