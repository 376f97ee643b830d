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
  const auto find = [&](const char* name, auto* function) {
    if (!Find(library, name, function)) missing = name;
  };
  find("secret_service_search_sync", &api.secret_service_search_sync);
  find("secret_service_disconnect", &api.secret_service_disconnect);
  find("secret_item_get_locked", &api.secret_item_get_locked);
  find("secret_item_get_attributes", &api.secret_item_get_attributes);
  find("secret_item_get_secret", &api.secret_item_get_secret);
  find("secret_item_get_created", &api.secret_item_get_created);
  find("secret_item_get_modified", &api.secret_item_get_modified);
  find("secret_item_set_secret_sync", &api.secret_item_set_secret_sync);
  find("secret_item_create_sync", &api.secret_item_create_sync);
  find("secret_service_get_sync", &api.secret_service_get_sync);
  find("secret_collection_for_alias_sync", &api.secret_collection_for_alias_sync);
  find("secret_collection_get_locked", &api.secret_collection_get_locked);
  find("secret_value_new", &api.secret_value_new);
  find("secret_value_get", &api.secret_value_get);
  find("secret_value_unref", &api.secret_value_unref);
  find("g_dbus_proxy_get_object_path", &api.g_dbus_proxy_get_object_path);
  find("g_cancellable_new", &api.g_cancellable_new);
  find("g_cancellable_cancel", &api.g_cancellable_cancel);
  find("g_object_unref", &api.g_object_unref);
  find("g_error_free", &api.g_error_free);
  find("g_quark_to_string", &api.g_quark_to_string);
  find("g_list_free_full", &api.g_list_free_full);
  find("g_hash_table_new", &api.g_hash_table_new);
  find("g_hash_table_insert", &api.g_hash_table_insert);
  find("g_hash_table_lookup", &api.g_hash_table_lookup);
  find("g_hash_table_unref", &api.g_hash_table_unref);
  find("g_str_hash", &api.g_str_hash);
  find("g_str_equal", &api.g_str_equal);
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
