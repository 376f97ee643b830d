#include "stores/libsecret_api_linux.h"

#include <dlfcn.h>

#include <string>

namespace stc {

namespace {

struct Loaded {
  Status status;
  LibsecretApi api;
};

Status Unavailable(const char* operation, const std::string& what) {
  return Status(StatusCode::kStoreUnavailable, operation, "dlopen", 0,
                what +
                    " Install libsecret (Debian, Ubuntu: apt-get install libsecret-1-0), or use an "
                    "unencrypted cache.");
}

// Finds symbols of GLib and GIO, too: libsecret is linked against them.
template <typename Function>
bool Find(void* library, const char* name, Function* function) {
  void* const symbol = dlsym(library, name);
  *function = reinterpret_cast<Function>(symbol);
  return symbol != nullptr;
}

Loaded* Load() {
  // Never freed or closed: other threads may use it until the process ends.
  auto* loaded = new Loaded();
  void* const library = dlopen("libsecret-1.so.0", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    loaded->status = Unavailable("dlopen", "libsecret-1.so.0 cannot be loaded.");
    return loaded;
  }
  LibsecretApi& api = loaded->api;
  const char* missing = nullptr;
#define STC_FIND(name) \
  if (!Find(library, #name, &api.name)) missing = #name
  STC_FIND(secret_service_search_sync);
  STC_FIND(secret_service_disconnect);
  STC_FIND(secret_item_get_locked);
  STC_FIND(secret_item_get_attributes);
  STC_FIND(secret_item_get_secret);
  STC_FIND(secret_item_get_created);
  STC_FIND(secret_item_get_modified);
  STC_FIND(secret_item_set_secret_sync);
  STC_FIND(secret_item_create_sync);
  STC_FIND(secret_service_get_sync);
  STC_FIND(secret_collection_for_alias_sync);
  STC_FIND(secret_collection_get_locked);
  STC_FIND(secret_value_new);
  STC_FIND(secret_value_get);
  STC_FIND(secret_value_unref);
  STC_FIND(g_dbus_proxy_get_object_path);
  STC_FIND(g_cancellable_new);
  STC_FIND(g_cancellable_cancel);
  STC_FIND(g_object_unref);
  STC_FIND(g_error_free);
  STC_FIND(g_quark_to_string);
  STC_FIND(g_list_free_full);
  STC_FIND(g_hash_table_new);
  STC_FIND(g_hash_table_insert);
  STC_FIND(g_hash_table_lookup);
  STC_FIND(g_hash_table_unref);
  STC_FIND(g_str_hash);
  STC_FIND(g_str_equal);
#undef STC_FIND
  if (missing != nullptr) {
    loaded->status = Unavailable(
        "dlsym", std::string("The installed libsecret is too old: it has no ") + missing + ".");
  }
  return loaded;
}

}  // namespace

Status LoadLibsecret(const LibsecretApi** api) {
  static const Loaded* const loaded = Load();
  *api = &loaded->api;
  return loaded->status;
}

}  // namespace stc
