#include "addon/environment.h"

#include <cstddef>
#include <iterator>

#include "addon/from_js.h"

namespace stc {

Environment& EnvironmentOf(Napi::Env env) {
  auto* const environment = env.GetInstanceData<Environment>();
  if (environment == nullptr) ThrowTypeError(env, "setEntryMakers has to be called first");
  return *environment;
}

Napi::Value SetEntryMakers(const Napi::CallbackInfo& info) {
  auto environment = std::make_unique<Environment>();
  EntryMakers& makers = environment->makers;
  Napi::FunctionReference* const references[] = {&makers.account, &makers.refresh_token,
                                                 &makers.access_token, &makers.app_metadata};
  for (size_t i = 0; i < std::size(references); ++i) {
    if (!info[i].IsFunction()) ThrowTypeError(info.Env(), "a function was expected");
    *references[i] = Napi::Persistent(info[i].As<Napi::Function>());
  }
  // Node frees it when the environment ends.
  info.Env().SetInstanceData(environment.release());
  return info.Env().Undefined();
}

}  // namespace stc
