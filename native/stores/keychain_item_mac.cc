#include "stores/keychain_item_mac.h"

#include <cstdio>
#include <ctime>

#include "stores/keychain_api_mac.h"
#include "stores/keychain_status_mac.h"

#if defined(__clang__)
// keychain_api_mac.h explains why these functions are used.
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
#endif

namespace stc {

namespace {

// Owns a reference to an item.
class ItemRef {
 public:
  ItemRef() = default;
  ItemRef(const ItemRef&) = delete;
  ItemRef& operator=(const ItemRef&) = delete;
  ~ItemRef() {
    if (ref_ != nullptr) CFRelease(ref_);
  }

  SecKeychainItemRef get() const { return ref_; }

  // Searches the keychains of the user's search list in order, and takes the first match.
  Status Find(const KeychainItemName& name) {
    constexpr char kOperation[] = "SecKeychainFindGenericPassword";
    Status status = KeychainStatus(
        kOperation, SecKeychainFindGenericPassword(
                        nullptr, static_cast<UInt32>(name.service.size()), name.service.data(),
                        static_cast<UInt32>(name.account.size()), name.account.data(), nullptr,
                        nullptr, &ref_));
    if (status.ok() && ref_ == nullptr) {
      return Status(StatusCode::kIo, kOperation, kKeychainDomain, 0,
                    "The keychain returned no item.");
    }
    return status;
  }

 private:
  SecKeychainItemRef ref_ = nullptr;
};

// Dates of an item and optionally its value. The destructor wipes and frees them.
class Content {
 public:
  Content() = default;
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;
  ~Content() {
    if (data_ != nullptr) Wipe(data_, size_);
    if (is_there_) SecKeychainItemFreeContent(&list_, data_);
  }

  Status Copy(SecKeychainItemRef item, bool with_value) {
    const OSStatus code = SecKeychainItemCopyContent(
        item, nullptr, &list_, with_value ? &size_ : nullptr, with_value ? &data_ : nullptr);
    is_there_ = code == errSecSuccess;
    // After a failure, there is nothing to free.
    if (!is_there_) data_ = nullptr;
    // The item was deleted after it was found.
    if (code == errSecInvalidItemRef) return Status::NotFound();
    return KeychainStatus("SecKeychainItemCopyContent", code);
  }

  SecureBytes Value() const {
    if (data_ == nullptr) return {};
    return SecureBytes::CopyOf({static_cast<const char*>(data_), size_});
  }

  std::string Stamp() const { return DateOf(dates_[0]) + ":" + DateOf(dates_[1]); }

  // Unix time in milliseconds, with a resolution of 1 s. 0 if the keychain does not return it.
  double ModifiedMs() const {
    std::tm date = {};
    if (std::sscanf(DateOf(dates_[1]).c_str(), "%4d%2d%2d%2d%2d%2dZ", &date.tm_year, &date.tm_mon,
                    &date.tm_mday, &date.tm_hour, &date.tm_min, &date.tm_sec) != 6) {
      return 0;
    }
    date.tm_year -= 1900;
    date.tm_mon -= 1;
    return static_cast<double>(timegm(&date)) * 1e3;
  }

 private:
  // For example 20260131235959Z. Keeps only letters and digits, because stamps are joined with
  // other text.
  static std::string DateOf(const SecKeychainAttribute& attribute) {
    std::string text;
    if (attribute.data == nullptr) return text;
    for (const char c : std::string(static_cast<const char*>(attribute.data), attribute.length)) {
      if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')) text.push_back(c);
    }
    return text;
  }

  SecKeychainAttribute dates_[2] = {{kSecCreationDateItemAttr, 0, nullptr},
                                    {kSecModDateItemAttr, 0, nullptr}};
  SecKeychainAttributeList list_ = {2, dates_};
  UInt32 size_ = 0;
  void* data_ = nullptr;
  bool is_there_ = false;
};

}  // namespace

Status ReadKeychainItem(const KeychainItemName& name, bool with_value, KeychainReading* reading) {
  ItemRef item;
  Status status = item.Find(name);
  if (!status.ok()) return status;
  Content content;
  status = content.Copy(item.get(), with_value);
  if (!status.ok()) return status;
  reading->stamp = content.Stamp();
  reading->modified_ms = content.ModifiedMs();
  reading->text = content.Value();
  return status;
}

Status ReplaceKeychainItem(const KeychainItemName& name, const std::string& stamp,
                           const SecureBytes& text, const std::function<bool()>& may_write) {
  ItemRef item;
  Status status = item.Find(name);
  if (!status.ok()) return status;
  {
    Content content;
    status = content.Copy(item.get(), false);
    if (!status.ok()) return status;
    // Another program has written it since Load.
    if (content.Stamp() != stamp) return Status::NotFound();
  }
  if (!may_write()) return Status::NotFound();
  const OSStatus code = SecKeychainItemModifyAttributesAndData(
      item.get(), nullptr, static_cast<UInt32>(text.size()), text.data());
  // Another program deleted or wrote it after it was found.
  if (code == errSecInvalidItemRef || code == errSecRecordModified) return Status::NotFound();
  return KeychainStatus("SecKeychainItemModifyAttributesAndData", code);
}

Status AddKeychainItem(const KeychainItemName& name, const SecureBytes& text,
                       const std::function<bool()>& may_write) {
  if (!may_write()) return Status::NotFound();
  const OSStatus code = SecKeychainAddGenericPassword(
      nullptr, static_cast<UInt32>(name.service.size()), name.service.data(),
      static_cast<UInt32>(name.account.size()), name.account.data(),
      static_cast<UInt32>(text.size()), text.data(), nullptr);
  // Another program has created the item first.
  return code == errSecDuplicateItem ? Status::NotFound()
                                     : KeychainStatus("SecKeychainAddGenericPassword", code);
}

}  // namespace stc
