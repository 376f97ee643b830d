#include "io/file_state_win.h"

namespace stc {

namespace {

// The Unix epoch in ticks of FILETIME. Source: Windows SDK documentation, "Converting a time_t
// value to a FILETIME".
constexpr int64_t kUnixEpoch = 116'444'736'000'000'000;

int64_t UnixNanoseconds(int64_t ticks) { return (ticks - kUnixEpoch) * 100; }

}  // namespace

bool StateOf(HANDLE file, FileState* state) {
  BY_HANDLE_FILE_INFORMATION info;
  if (!GetFileInformationByHandle(file, &info)) return false;
  state->volume = info.dwVolumeSerialNumber;
  state->index = (uint64_t{info.nFileIndexHigh} << 32) | info.nFileIndexLow;
  state->size = static_cast<int64_t>((uint64_t{info.nFileSizeHigh} << 32) | info.nFileSizeLow);
  state->modified = Ticks(info.ftLastWriteTime);
  state->attributes = info.dwFileAttributes;
  FILE_BASIC_INFO basic;
  if (GetFileInformationByHandleEx(file, FileBasicInfo, &basic, sizeof basic)) {
    state->changed = basic.ChangeTime.QuadPart;
  }
  return true;
}

bool IsSameFile(const FileState& a, const FileState& b) {
  return a.volume == b.volume && a.index == b.index;
}

bool IsSameContent(const FileState& a, const FileState& b) {
  return a.size == b.size && a.modified == b.modified;
}

std::string StampOf(const FileState& state) {
  return std::to_string(state.index) + ":" + std::to_string(state.size) + ":" +
         std::to_string(UnixNanoseconds(state.modified)) + ":" +
         std::to_string(UnixNanoseconds(state.changed));
}

double UnixMilliseconds(int64_t ticks) { return static_cast<double>(UnixNanoseconds(ticks)) / 1e6; }

}  // namespace stc
