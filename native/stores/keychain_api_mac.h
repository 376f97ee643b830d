// The part of CoreFoundation and Security that the Keychain store uses. Where Apple's headers are
// not at hand, these declarations do: the addon is also compiled on machines that are no Mac, and
// its tests link it against a stand-in.
//
// Source: Apple's documentation of CoreFoundation (CFBase, CFString, CFData, CFDate, CFDictionary)
// and Security (Keychain Services, SecItem, SecBase); the binary interface is stable.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KEYCHAIN_API_MAC_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KEYCHAIN_API_MAC_H_

#if defined(__APPLE__) && __has_include(<Security/Security.h>)

#include <CoreFoundation/CoreFoundation.h>
#include <Security/Security.h>

#else

#include <cstdint>

extern "C" {

typedef const void* CFTypeRef;
typedef const struct __CFAllocator* CFAllocatorRef;
typedef const struct __CFString* CFStringRef;
typedef const struct __CFData* CFDataRef;
typedef const struct __CFDate* CFDateRef;
typedef const struct __CFBoolean* CFBooleanRef;
typedef const struct __CFDictionary* CFDictionaryRef;
typedef long CFIndex;  // NOLINT: its type
typedef unsigned char Boolean;
typedef double CFAbsoluteTime;
typedef int32_t OSStatus;

// Opaque here: only their addresses are used.
typedef struct CFDictionaryKeyCallBacks CFDictionaryKeyCallBacks;
typedef struct CFDictionaryValueCallBacks CFDictionaryValueCallBacks;
extern const CFDictionaryKeyCallBacks kCFTypeDictionaryKeyCallBacks;
extern const CFDictionaryValueCallBacks kCFTypeDictionaryValueCallBacks;

extern const CFAllocatorRef kCFAllocatorNull;
extern const CFBooleanRef kCFBooleanTrue;

void CFRelease(CFTypeRef object);
CFStringRef CFStringCreateWithBytes(CFAllocatorRef allocator, const uint8_t* bytes, CFIndex size,
                                    uint32_t encoding, Boolean is_external);
CFDataRef CFDataCreateWithBytesNoCopy(CFAllocatorRef allocator, const uint8_t* bytes, CFIndex size,
                                      CFAllocatorRef deallocator);
CFIndex CFDataGetLength(CFDataRef data);
const uint8_t* CFDataGetBytePtr(CFDataRef data);
CFAbsoluteTime CFDateGetAbsoluteTime(CFDateRef date);
CFDictionaryRef CFDictionaryCreate(CFAllocatorRef allocator, const void** keys, const void** values,
                                   CFIndex size, const CFDictionaryKeyCallBacks* key_callbacks,
                                   const CFDictionaryValueCallBacks* value_callbacks);
const void* CFDictionaryGetValue(CFDictionaryRef dictionary, const void* key);

extern const CFStringRef kSecClass;
extern const CFStringRef kSecClassGenericPassword;
extern const CFStringRef kSecAttrService;
extern const CFStringRef kSecAttrAccount;
extern const CFStringRef kSecAttrCreationDate;
extern const CFStringRef kSecAttrModificationDate;
extern const CFStringRef kSecMatchLimit;
extern const CFStringRef kSecMatchLimitOne;
extern const CFStringRef kSecReturnAttributes;
extern const CFStringRef kSecReturnData;
extern const CFStringRef kSecValueData;

OSStatus SecItemCopyMatching(CFDictionaryRef query, CFTypeRef* result);
OSStatus SecItemUpdate(CFDictionaryRef query, CFDictionaryRef changes);
OSStatus SecItemAdd(CFDictionaryRef attributes, CFTypeRef* result);
OSStatus SecKeychainGetUserInteractionAllowed(Boolean* is_allowed);
OSStatus SecKeychainSetUserInteractionAllowed(Boolean is_allowed);

}  // extern "C"

inline constexpr uint32_t kCFStringEncodingUTF8 = 0x08000100;
inline constexpr CFAbsoluteTime kCFAbsoluteTimeIntervalSince1970 = 978307200.0;

inline constexpr OSStatus errSecSuccess = 0;
inline constexpr OSStatus errSecUserCanceled = -128;
inline constexpr OSStatus errSecMissingEntitlement = -34018;
inline constexpr OSStatus errSecNotAvailable = -25291;
inline constexpr OSStatus errSecReadOnly = -25292;
inline constexpr OSStatus errSecAuthFailed = -25293;
inline constexpr OSStatus errSecNoSuchKeychain = -25294;
inline constexpr OSStatus errSecDuplicateItem = -25299;
inline constexpr OSStatus errSecItemNotFound = -25300;
inline constexpr OSStatus errSecNoDefaultKeychain = -25307;
inline constexpr OSStatus errSecInteractionNotAllowed = -25308;
inline constexpr OSStatus errSecNoAccessForItem = -25243;
inline constexpr OSStatus errSecInteractionRequired = -25315;

#endif

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KEYCHAIN_API_MAC_H_
