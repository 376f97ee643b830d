// Objects that live until the process ends, and are not destroyed then.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_NO_DESTRUCTOR_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_NO_DESTRUCTOR_H_

namespace stc {

// The one object of this type. Threads of Node's pool, and those that wait for a keyring, may be at
// work while a process ends and destroys its statics.
template <typename T>
T& NoDestructor() {
  static T* const object = new T;
  return *object;
}

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_NO_DESTRUCTOR_H_
