// The functions of Security and CoreFoundation that the Keychain store uses. If Apple's headers are
// missing, they are declared here: the addon is also compiled on other systems, and its tests link
// it against a stand-in.
//
// These older functions of Keychain Services are deprecated, but used on purpose. They access only
// file-based keychains, and the function that modifies an item does nothing else. SecItemUpdate, in
// contrast, recreates an item that fails its integrity check and deletes the old one. MSAL for
// .NET, Python and Node use the older functions, too.
//
// Source: Apple's documentation of Keychain Services (SecKeychain, SecKeychainItem, SecBase); the
// binary interface is stable. For SecItemUpdate: libsecurity_keychain, SecItem.cpp, as published.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KEYCHAIN_API_MAC_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KEYCHAIN_API_MAC_H_

#if defined(__APPLE__) && __has_include(<Security/Security.h>)

#include <CoreFoundation/CoreFoundation.h>
#include <Security/Security.h>

#else

#include <cstdint>

extern "C" {

typedef const void* CFTypeRef;
typedef unsigned char Boolean;
typedef uint32_t UInt32;
typedef int32_t OSStatus;
typedef UInt32 SecItemClass;
typedef UInt32 SecKeychainAttrType;
typedef struct OpaqueSecKeychainRef* SecKeychainRef;
typedef struct OpaqueSecKeychainItemRef* SecKeychainItemRef;

typedef struct SecKeychainAttribute {
  SecKeychainAttrType tag;
  UInt32 length;
  void* data;
} SecKeychainAttribute;

typedef struct SecKeychainAttributeList {
  UInt32 count;
  SecKeychainAttribute* attr;
} SecKeychainAttributeList;

void CFRelease(CFTypeRef object);

OSStatus SecKeychainFindGenericPassword(CFTypeRef keychains, UInt32 service_size,
                                        const char* service, UInt32 account_size,
                                        const char* account, UInt32* size, void** data,
                                        SecKeychainItemRef* item);
OSStatus SecKeychainAddGenericPassword(SecKeychainRef keychain, UInt32 service_size,
                                       const char* service, UInt32 account_size,
                                       const char* account, UInt32 size, const void* data,
                                       SecKeychainItemRef* item);
OSStatus SecKeychainItemCopyContent(SecKeychainItemRef item, SecItemClass* item_class,
                                    SecKeychainAttributeList* attributes, UInt32* size,
                                    void** data);
OSStatus SecKeychainItemFreeContent(SecKeychainAttributeList* attributes, void* data);
OSStatus SecKeychainItemModifyAttributesAndData(SecKeychainItemRef item,
                                                const SecKeychainAttributeList* attributes,
                                                UInt32 size, const void* data);
OSStatus SecKeychainGetUserInteractionAllowed(Boolean* is_allowed);
OSStatus SecKeychainSetUserInteractionAllowed(Boolean is_allowed);

}  // extern "C"

inline constexpr SecKeychainAttrType kSecCreationDateItemAttr = 0x63646174;  // cdat
inline constexpr SecKeychainAttrType kSecModDateItemAttr = 0x6D646174;       // mdat

inline constexpr OSStatus errSecSuccess = 0;
inline constexpr OSStatus errSecAllocate = -108;
inline constexpr OSStatus errSecUserCanceled = -128;
inline constexpr OSStatus errSecNoAccessForItem = -25243;
inline constexpr OSStatus errSecNotAvailable = -25291;
inline constexpr OSStatus errSecReadOnly = -25292;
inline constexpr OSStatus errSecAuthFailed = -25293;
inline constexpr OSStatus errSecNoSuchKeychain = -25294;
inline constexpr OSStatus errSecInvalidKeychain = -25295;
inline constexpr OSStatus errSecDuplicateItem = -25299;
inline constexpr OSStatus errSecItemNotFound = -25300;
inline constexpr OSStatus errSecDataTooLarge = -25302;
inline constexpr OSStatus errSecInvalidItemRef = -25304;
inline constexpr OSStatus errSecNoDefaultKeychain = -25307;
inline constexpr OSStatus errSecInteractionNotAllowed = -25308;
inline constexpr OSStatus errSecInteractionRequired = -25315;
inline constexpr OSStatus errSecInDarkWake = -25320;
inline constexpr OSStatus errSecRecordModified = -67638;

#endif

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KEYCHAIN_API_MAC_H_
