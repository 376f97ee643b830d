// Caches in keyring items of the Secret Service (gnome-keyring, KeePassXC, KWallet), through
// libsecret. Nothing here makes the service ask the user: locked items stay locked, existing items
// are written in place, and new items are created only in a default collection that exists and is
// unlocked.

#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <utility>

#include "io/memory_source.h"
#include "json/base64.h"
#include "stores/item_commit.h"
#include "stores/libsecret_api_linux.h"
#include "stores/libsecret_call_linux.h"
#include "stores/libsecret_status_linux.h"
#include "stores/secret_store.h"

namespace stc {

namespace {

// Attribute in which libsecret stores the schema name of an item.
constexpr char kSchemaAttribute[] = "xdg:schema";

// Checks whether calls can succeed before libsecret is loaded, because loading it takes
// milliseconds. Also, if a display exists but no bus, GDBus would start a bus, which a token cache
// should not cause.
bool HasSessionBus() {
  const char* const address = std::getenv("DBUS_SESSION_BUS_ADDRESS");
  if (address != nullptr && *address != '\0') return true;
  const char* const directory = std::getenv("XDG_RUNTIME_DIR");
  if (directory == nullptr || *directory == '\0') return false;
  struct stat info;
  return stat((std::string(directory) + "/bus").c_str(), &info) == 0;
}

// Owns the items that a search found.
class Items {
 public:
  explicit Items(const LibsecretApi& api) : api_(api) {}
  Items(const Items&) = delete;
  Items& operator=(const Items&) = delete;
  ~Items() { Reset(nullptr); }

  void Reset(GList* list) {
    if (list_ != nullptr) api_.g_list_free_full(list_, api_.g_object_unref);
    list_ = list;
  }
  const GList* first() const { return list_; }

 private:
  const LibsecretApi& api_;
  GList* list_ = nullptr;
};

enum class Match { kNo, kYes, kUnknown };

// Whether an item that the service found by its attributes is the one of `at`.
Match MatchOf(const LibsecretApi& api, SecretItem* item, const StoreLocation& at) {
  GHashTable* const attributes = api.secret_item_get_attributes(item);
  if (attributes == nullptr) return Match::kUnknown;
  const auto has = [&](const std::string& name) {
    return api.g_hash_table_lookup(attributes, name.c_str()) != nullptr;
  };
  const auto* const schema =
      static_cast<const char*>(api.g_hash_table_lookup(attributes, kSchemaAttribute));
  Match match = schema != nullptr && at.schema == schema ? Match::kYes : Match::kNo;
  for (const std::string& name : at.absent_attributes) {
    if (has(name)) match = Match::kNo;
  }
  // Observed with gnome-keyring 42: before its first unlock, it finds items by hashed attributes,
  // but returns no attributes and another schema name.
  const bool is_hidden = !at.attributes.empty() && !has(at.attributes.front().first);
  api.g_hash_table_unref(attributes);
  return is_hidden && api.secret_item_get_locked(item) != 0 ? Match::kUnknown : match;
}

std::string StampOf(const LibsecretApi& api, SecretItem* item) {
  const char* const path = api.g_dbus_proxy_get_object_path(item);
  return std::string(path == nullptr ? "" : path) + ":" +
         std::to_string(api.secret_item_get_created(item)) + ":" +
         std::to_string(api.secret_item_get_modified(item));
}

class LibsecretStore : public SecretStore {
 public:
  const char* name() const override { return "libsecret"; }
  bool may_stall() const override { return true; }

  Status Open(const StoreLocation& at, const CallLimits& limits,
              std::unique_ptr<ByteSource>* source) const override {
    const LibsecretApi* api = nullptr;
    Status status = Prepare(&api);
    if (!status.ok()) return status;
    Items items(*api);
    SecretItem* item = nullptr;
    status = Find(*api, at, limits, kSecretSearchLoadSecrets, &items, &item);
    if (!status.ok()) return status;
    SecureBytes secret;
    status = SecretOf(*api, item, &secret);
    if (!status.ok()) return status;
    *source = std::make_unique<MemorySource>(
        Decode(secret.view()), StampOf(*api, item),
        static_cast<double>(api->secret_item_get_modified(item)) * 1e3);
    return Status::Ok();
  }

  Status Probe() const override {
    if (HasSessionBus()) return Status::Ok();
    // The error that GDBus itself returns in this case.
    return LibsecretUnavailable(
        "getenv", kIoDomain, 0,
        "There is no session bus (DBUS_SESSION_BUS_ADDRESS is not set), and so no keyring. "
        "Run inside dbus-run-session, or use an unencrypted cache.");
  }

  Status Stamp(const StoreLocation& at, const CallLimits& limits,
               std::string* stamp) const override {
    const LibsecretApi* api = nullptr;
    Status status = Prepare(&api);
    if (!status.ok()) return status;
    Items items(*api);
    SecretItem* item = nullptr;
    status = Find(*api, at, limits, 0, &items, &item);
    if (status.ok()) *stamp = StampOf(*api, item);
    return status;
  }

  Status Commit(const StoreLocation& at, const CommitRequest& request, const CallLimits& limits,
                LockSet* locks, CommitResult* result) const override;

 private:
  class Item;

  Status Prepare(const LibsecretApi** api) const {
    Status status = Probe();
    return status.ok() ? LoadLibsecret(api) : status;
  }

  // Of the items that match, finds the one that was modified last.
  static Status Find(const LibsecretApi& api, const StoreLocation& at, const CallLimits& limits,
                     int flags, Items* items, SecretItem** item) {
    const auto start = std::chrono::steady_clock::now();
    Status status = Search(api, at, limits, flags, items);
    if (HasStoppedInCall(status, std::chrono::steady_clock::now() - start)) {
      status = Search(api, at, limits, flags, items);
    }
    if (IsServiceGone(status)) {
      // libsecret stays connected to a service that has died. Reconnect: a new service may have
      // started.
      api.secret_service_disconnect();
      const Status again = Search(api, at, limits, flags, items);
      // A service that ended during the first call is the cause why there is none now.
      if (!(HasGoneInCall(status) && IsServiceGone(again))) status = again;
    }
    if (!status.ok()) return status;
    bool is_locked = false;
    *item = nullptr;
    for (const GList* link = items->first(); link != nullptr; link = link->next) {
      auto* const candidate = static_cast<SecretItem*>(link->data);
      const Match match = MatchOf(api, candidate, at);
      if (match == Match::kNo) continue;
      if (api.secret_item_get_locked(candidate) != 0) {
        is_locked = true;
      } else if (match == Match::kYes &&
                 (*item == nullptr ||
                  api.secret_item_get_modified(candidate) > api.secret_item_get_modified(*item))) {
        *item = candidate;
      }
    }
    if (*item != nullptr) return Status::Ok();
    if (is_locked) {
      return LibsecretLocked("secret_item_get_locked", "", 0);
    }
    return Status::NotFound();
  }

  // Finds all items with the attributes, regardless of their schema. Includes locked items, which a
  // lookup call would silently skip.
  static Status Search(const LibsecretApi& api, const StoreLocation& at, const CallLimits& limits,
                       int flags, Items* items) {
    GHashTable* const attributes = api.g_hash_table_new(api.g_str_hash, api.g_str_equal);
    for (const auto& [name, value] : at.attributes) {
      // The table only borrows the strings. libsecret copies what it sends.
      api.g_hash_table_insert(attributes, const_cast<char*>(name.c_str()),
                              const_cast<char*>(value.c_str()));
    }
    Status status = CallKeyringService(
        api, limits, "secret_service_search_sync", [&](GCancellable* cancellable, GError** error) {
          items->Reset(api.secret_service_search_sync(
              nullptr, nullptr, attributes, kSecretSearchAll | flags, cancellable, error));
        });
    api.g_hash_table_unref(attributes);
    if (!status.ok()) items->Reset(nullptr);
    return status;
  }

  static Status SecretOf(const LibsecretApi& api, SecretItem* item, SecureBytes* secret) {
    SecretValue* const value = api.secret_item_get_secret(item);
    if (value == nullptr) {
      return Status(
          StatusCode::kIo, "secret_item_get_secret", "", 0,
          "The keyring does not return the secret of the item. Unlock the keyring, or sign "
          "in again.");
    }
    size_t size = 0;
    const char* const data = api.secret_value_get(value, &size);
    *secret = SecureBytes::CopyOf({data, size});
    api.secret_value_unref(value);
    return Status::Ok();
  }

  // MSAL for .NET and Java store the cache as base64, MSAL for Python and Node as plain text.
  static SecureBytes Decode(std::string_view secret) {
    const size_t first = secret.find_first_not_of(" \t\r\n");
    SecureBytes bytes;
    if (first != std::string_view::npos && secret[first] != '{' && DecodeBase64(secret, &bytes)) {
      return bytes;
    }
    return SecureBytes::CopyOf(secret);
  }
};

// The item that CommitItem writes. The request's location must name an item with plain text, not
// one of MSAL for .NET or Java, which hold base64.
class LibsecretStore::Item : public KeyringItem {
 public:
  Item(const LibsecretApi& api, const StoreLocation& at, const CallLimits& limits)
      : api_(api), at_(at), limits_(limits), items_(api) {}

  Status Load(SecureBytes* text, std::string* stamp) override {
    Status status = Find(api_, at_, limits_, kSecretSearchLoadSecrets, &items_, &item_);
    if (status.ok()) status = SecretOf(api_, item_, text);
    if (status.ok()) *stamp = StampOf(api_, item_);
    return status;
  }

  // Whether the last call was to write.
  bool is_writing() const { return is_writing_; }

  Status Replace(const SecureBytes& text) override {
    is_writing_ = true;
    return WithValue(text, [this](SecretValue* value) {
      return CallKeyringService(api_, limits_, "secret_item_set_secret_sync",
                                [&](GCancellable* cancellable, GError** error) {
                                  api_.secret_item_set_secret_sync(item_, value, cancellable,
                                                                   error);
                                });
    });
  }

  Status Create(const SecureBytes& text) override {
    is_writing_ = true;
    return WithValue(text, [this](SecretValue* value) { return CreateAnywhere(value); });
  }

  Status Stamp(std::string* stamp) override {
    Status status = Find(api_, at_, limits_, 0, &items_, &item_);
    if (status.ok()) *stamp = StampOf(api_, item_);
    return status;
  }

 private:
  template <typename Function>
  Status WithValue(const SecureBytes& text, Function function) {
    // libsecret copies the value to non-swappable memory and wipes that later.
    SecretValue* const value =
        api_.secret_value_new(text.data(), static_cast<ptrdiff_t>(text.size()), "text/plain");
    Status status = function(value);
    api_.secret_value_unref(value);
    return status;
  }

  Status CreateAnywhere(SecretValue* value) {
    SecretCollection* collection = nullptr;
    constexpr char kOperation[] = "secret_collection_for_alias_sync";
    Status status = CallKeyringService(
        api_, limits_, kOperation, [&](GCancellable* cancellable, GError** error) {
          // Does not accept null for the default service, although its documentation says so.
          SecretService* const service = api_.secret_service_get_sync(0, cancellable, error);
          if (service == nullptr) return;
          collection =
              api_.secret_collection_for_alias_sync(service, "default", 0, cancellable, error);
          api_.g_object_unref(service);
        });
    if (!status.ok()) {
      // If the deadline passes right after the answer, there is an error and a collection.
      if (collection != nullptr) api_.g_object_unref(collection);
      return status;
    }
    if (collection == nullptr) {
      return LibsecretUnavailable(kOperation, kSecretDomain, 0,
                                  "The keyring has no default collection. Create one, for instance "
                                  "by logging in at the desktop.");
    }
    if (api_.secret_collection_get_locked(collection) != 0) {
      status = LibsecretLocked("secret_collection_get_locked", "", 0);
    } else {
      status = CreateIn(collection, value);
    }
    api_.g_object_unref(collection);
    return status;
  }

  Status CreateIn(SecretCollection* collection, SecretValue* value) {
    GHashTable* const attributes = api_.g_hash_table_new(api_.g_str_hash, api_.g_str_equal);
    const auto insert = [&](const char* name, const std::string& text) {
      // The table only borrows the strings. libsecret copies what it sends.
      api_.g_hash_table_insert(attributes, const_cast<char*>(name),
                               const_cast<char*>(text.c_str()));
    };
    for (const auto& [name, text] : at_.attributes) insert(name.c_str(), text);
    // With the schema, only an item with the same attributes and schema is replaced.
    insert(kSchemaAttribute, at_.schema);
    SecretItem* item = nullptr;
    Status status = CallKeyringService(
        api_, limits_, "secret_item_create_sync", [&](GCancellable* cancellable, GError** error) {
          item = api_.secret_item_create_sync(collection, nullptr, attributes, kLabel, value,
                                              kSecretItemCreateReplace, cancellable, error);
        });
    api_.g_hash_table_unref(attributes);
    if (item != nullptr) api_.g_object_unref(item);
    return status;
  }

  // Label of the items that MSAL extensions for Python and .NET create. Source: their sources.
  static constexpr char kLabel[] = "MSALCache";

  const LibsecretApi& api_;
  const StoreLocation& at_;
  const CallLimits& limits_;
  Items items_;
  SecretItem* item_ = nullptr;
  bool is_writing_ = false;
};

Status LibsecretStore::Commit(const StoreLocation& at, const CommitRequest& request,
                              const CallLimits& limits, LockSet* locks,
                              CommitResult* result) const {
  const LibsecretApi* api = nullptr;
  Status status = Prepare(&api);
  if (!status.ok()) return status;
  Item item(*api, at, limits);
  status = CommitItem(request, &item, locks, result);
  if (!item.is_writing() || !HasGoneInCall(status)) return status;
  // The service ended during the write. The item's proxy belongs to the old one, and what was
  // written is unknown: try again from the start, with all checks.
  api->secret_service_disconnect();
  Item again(*api, at, limits);
  const Status retried = CommitItem(request, &again, locks, result);
  return IsServiceGone(retried) ? status : retried;
}

REGISTER_STORE(LibsecretStore, 0);

}  // namespace

}  // namespace stc
