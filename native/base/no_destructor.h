// NoDestructor: a process-wide object that is never destroyed.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_NO_DESTRUCTOR_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_NO_DESTRUCTOR_H_

namespace stc {

// Wraps a function-local static: one object per type. Never destroyed, because worker threads may
// still use it while the process exits.
template <typename T>
T& NoDestructor() {
  static T* const object = new T;
  return *object;
}

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_NO_DESTRUCTOR_H_
