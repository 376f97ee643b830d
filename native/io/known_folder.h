// Folders that Windows knows by an id, whatever the environment says.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_KNOWN_FOLDER_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_KNOWN_FOLDER_H_

#include <string>

#include "base/status.h"

namespace stc {

// The user's local application data, UTF-8, whether or not it exists. May load a library of the
// system, once.
Status FindLocalAppData(std::string* path);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_KNOWN_FOLDER_H_
