// Known folders of Windows, independent of environment variables.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_KNOWN_FOLDER_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_KNOWN_FOLDER_H_

#include <string>

#include "base/status.h"

namespace stc {

// Finds the folder for local application data of the user (UTF-8). It need not exist. The first
// call loads system libraries.
Status FindLocalAppData(std::string* path);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_KNOWN_FOLDER_H_
