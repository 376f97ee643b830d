// The functions of libsecret, GLib and GIO that the store uses. They are loaded at run time: the
// addon must also load without libsecret, and building it must not require its headers.
//
// Source: libsecret 0.20 (secret-service.h, secret-item.h, secret-paths.h, secret-value.h), GLib
// 2.74; their binary interfaces are stable.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_LIBSECRET_API_LINUX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_LIBSECRET_API_LINUX_H_

#include <cstddef>
#include <cstdint>

#include "base/status.h"

namespace stc {

struct GError {
  uint32_t domain;
  int code;
  char* message;
};

struct GList {
  void* data;
  GList* next;
  GList* previous;
};

struct GHashTable;
struct GCancellable;
struct SecretCollection;
struct SecretService;
struct SecretItem;
struct SecretValue;

// SecretSearchFlags
inline constexpr int kSecretSearchAll = 1 << 1;
inline constexpr int kSecretSearchLoadSecrets = 1 << 3;
// SecretItemCreateFlags
inline constexpr int kSecretItemCreateReplace = 1 << 1;

struct LibsecretApi {
  GList* (*secret_service_search_sync)(void* service, const void* schema, GHashTable* attributes,
                                       int flags, GCancellable* cancellable, GError** error);
  void (*secret_service_disconnect)();
  int (*secret_item_get_locked)(SecretItem* item);
  GHashTable* (*secret_item_get_attributes)(SecretItem* item);
  SecretValue* (*secret_item_get_secret)(SecretItem* item);
  uint64_t (*secret_item_get_created)(SecretItem* item);
  uint64_t (*secret_item_get_modified)(SecretItem* item);
  int (*secret_item_set_secret_sync)(SecretItem* item, SecretValue* value,
                                     GCancellable* cancellable, GError** error);
  SecretItem* (*secret_item_create_sync)(SecretCollection* collection, const void* schema,
                                         GHashTable* attributes, const char* label,
                                         SecretValue* value, int flags, GCancellable* cancellable,
                                         GError** error);
  SecretService* (*secret_service_get_sync)(int flags, GCancellable* cancellable, GError** error);
  SecretCollection* (*secret_collection_for_alias_sync)(SecretService* service, const char* alias,
                                                        int flags, GCancellable* cancellable,
                                                        GError** error);
  int (*secret_collection_get_locked)(SecretCollection* collection);
  SecretValue* (*secret_value_new)(const char* secret, ptrdiff_t length, const char* content_type);
  const char* (*secret_value_get)(SecretValue* value, size_t* length);
  void (*secret_value_unref)(void* value);

  const char* (*g_dbus_proxy_get_object_path)(void* proxy);
  GCancellable* (*g_cancellable_new)();
  void (*g_cancellable_cancel)(GCancellable* cancellable);

  void (*g_object_unref)(void* object);
  void (*g_error_free)(GError* error);
  const char* (*g_quark_to_string)(uint32_t quark);
  void (*g_list_free_full)(GList* list, void (*free)(void*));
  GHashTable* (*g_hash_table_new)(unsigned (*hash)(const void*),
                                  int (*equal)(const void*, const void*));
  int (*g_hash_table_insert)(GHashTable* table, void* key, void* value);
  void* (*g_hash_table_lookup)(GHashTable* table, const void* key);
  void (*g_hash_table_unref)(GHashTable* table);
  unsigned (*g_str_hash)(const void* text);
  int (*g_str_equal)(const void* a, const void* b);
};

// Loads libsecret once per process. Thread-safe. `*api` is never freed. Returns kStoreUnavailable
// with domain "dlopen" if libsecret is missing or too old.
Status LoadLibsecret(const LibsecretApi** api);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_LIBSECRET_API_LINUX_H_
