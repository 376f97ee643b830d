// UniqueFd: owns a file descriptor and closes it. Movable, not thread-safe.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_UNIQUE_FD_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace stc {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { Close(); }

  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  bool is_open() const { return fd_ >= 0; }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_UNIQUE_FD_H_
