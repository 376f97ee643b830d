// Shared by the test programs for Windows: a temporary directory, files in it, and child processes.
// A child is the same program, which gets its task by arguments and answers in lines.

#ifndef AZURE_SHARED_TOKEN_CACHE_TEST_NATIVE_WINDOWS_FIXTURE_H_
#define AZURE_SHARED_TOKEN_CACHE_TEST_NATIVE_WINDOWS_FIXTURE_H_

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "base/wide_path.h"
#include "base/windows_api.h"

namespace fixture {

inline std::wstring Wide(const std::string& path) {
  std::wstring wide;
  if (!stc::WidenPath(path, &wide).ok()) std::abort();
  return wide;
}

inline bool Exists(const std::string& path) {
  return GetFileAttributesW(Wide(path).c_str()) != INVALID_FILE_ATTRIBUTES;
}

inline std::vector<std::string> List(const std::string& directory) {
  std::vector<std::string> names;
  WIN32_FIND_DATAW found;
  const HANDLE search = FindFirstFileW((Wide(directory) + L"\\*").c_str(), &found);
  if (search == INVALID_HANDLE_VALUE) return names;
  do {
    const std::string name = stc::Narrow(found.cFileName);
    if (name != "." && name != "..") names.push_back(name);
  } while (FindNextFileW(search, &found));
  FindClose(search);
  return names;
}

// An empty directory. The destructor deletes it with its content.
class Directory {
 public:
  Directory() {
    static int counter = 0;
    wchar_t temp[MAX_PATH];
    GetTempPathW(MAX_PATH, temp);
    path_ = stc::Narrow(temp) + "stc-" + std::to_string(GetCurrentProcessId()) + "-" +
            std::to_string(GetTickCount64()) + "-" + std::to_string(++counter);
    if (!CreateDirectoryW(Wide(path_).c_str(), nullptr)) std::abort();
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() { Remove(path_); }

  const std::string& path() const { return path_; }
  std::string At(const std::string& name) const { return path_ + "\\" + name; }

 private:
  static void Remove(const std::string& directory) {
    for (const std::string& name : List(directory)) {
      const std::string path = directory + "\\" + name;
      const std::wstring wide = Wide(path);
      SetFileAttributesW(wide.c_str(), FILE_ATTRIBUTE_NORMAL);
      if (!DeleteFileW(wide.c_str())) Remove(path);
    }
    RemoveDirectoryW(Wide(directory).c_str());
  }

  std::string path_;
};

// Opens as CreateFileW does, with `access`, `share` and `disposition`.
inline stc::UniqueHandle Open(const std::string& path, DWORD access, DWORD share, DWORD disposition,
                              DWORD flags = FILE_ATTRIBUTE_NORMAL) {
  return stc::UniqueHandle(
      CreateFileW(Wide(path).c_str(), access, share, nullptr, disposition, flags, nullptr));
}

inline std::string Read(const std::string& path) {
  const stc::UniqueHandle file = Open(path, GENERIC_READ, stc::kShareAll, OPEN_EXISTING);
  std::string text;
  char buffer[65536];
  DWORD size = 0;
  while (file.is_open() && ReadFile(file.get(), buffer, sizeof buffer, &size, nullptr) &&
         size > 0) {
    text.append(buffer, size);
  }
  return text;
}

inline void WriteText(HANDLE file, const std::string& text) {
  DWORD written = 0;
  WriteFile(file, text.data(), static_cast<DWORD>(text.size()), &written, nullptr);
}

// Writes a file whose modification time is `age_sec` ago.
inline void Leave(const std::string& path, const std::string& text, double age_sec = 0) {
  const stc::UniqueHandle file = Open(path, GENERIC_WRITE, stc::kShareAll, CREATE_ALWAYS);
  WriteText(file.get(), text);
  const FILETIME time =
      stc::FromTicks(stc::WallClockTicks() - static_cast<int64_t>(age_sec * stc::kTicksPerSecond));
  SetFileTime(file.get(), nullptr, nullptr, &time);
}

inline int64_t ModifiedAt(const std::string& path) {
  WIN32_FILE_ATTRIBUTE_DATA data = {};
  GetFileAttributesExW(Wide(path).c_str(), GetFileExInfoStandard, &data);
  return stc::Ticks(data.ftLastWriteTime);
}

// This program as a child process. The destructor ends it.
class Child {
 public:
  explicit Child(const std::vector<std::string>& arguments) {
    SECURITY_ATTRIBUTES inheritable = {sizeof inheritable, nullptr, TRUE};
    HANDLE its_input = nullptr;
    HANDLE our_input = nullptr;
    HANDLE our_output = nullptr;
    HANDLE its_output = nullptr;
    CreatePipe(&its_input, &our_input, &inheritable, 0);
    CreatePipe(&our_output, &its_output, &inheritable, 0);
    SetHandleInformation(our_input, HANDLE_FLAG_INHERIT, 0);
    SetHandleInformation(our_output, HANDLE_FLAG_INHERIT, 0);
    input_ = stc::UniqueHandle(our_input);
    output_ = stc::UniqueHandle(our_output);

    wchar_t program[MAX_PATH];
    GetModuleFileNameW(nullptr, program, MAX_PATH);
    std::wstring command = L"\"" + std::wstring(program) + L"\"";
    for (const std::string& argument : arguments) {
      command += L" \"" + WideText(argument) + L"\"";
    }
    STARTUPINFOW start = {};
    start.cb = sizeof start;
    start.dwFlags = STARTF_USESTDHANDLES;
    start.hStdInput = its_input;
    start.hStdOutput = its_output;
    start.hStdError = its_output;
    PROCESS_INFORMATION info = {};
    if (CreateProcessW(program, command.data(), nullptr, nullptr, TRUE, 0, nullptr, nullptr, &start,
                       &info)) {
      process_ = stc::UniqueHandle(info.hProcess);
      pid_ = info.dwProcessId;
      CloseHandle(info.hThread);
    }
    CloseHandle(its_input);
    CloseHandle(its_output);
  }
  Child(Child&&) = default;
  ~Child() {
    if (process_.is_open()) Kill();
  }

  DWORD pid() const { return pid_; }

  // Returns its next line, or its incomplete output if it has ended.
  std::string Line() {
    std::string line;
    char c = 0;
    DWORD size = 0;
    while (ReadFile(output_.get(), &c, 1, &size, nullptr) && size == 1 && c != '\n') {
      if (c != '\r') line += c;
    }
    return line;
  }

  // Tells it to end and waits for that. Returns its exit code.
  DWORD Finish() {
    input_.Close();
    WaitForSingleObject(process_.get(), INFINITE);
    DWORD code = 0;
    GetExitCodeProcess(process_.get(), &code);
    process_.Close();
    return code;
  }

  // Ends it at once.
  void Kill() {
    TerminateProcess(process_.get(), 1);
    WaitForSingleObject(process_.get(), INFINITE);
    process_.Close();
  }

 private:
  static std::wstring WideText(const std::string& text) {
    const int size = static_cast<int>(text.size());
    std::wstring wide(
        static_cast<size_t>(MultiByteToWideChar(CP_UTF8, 0, text.data(), size, nullptr, 0)), L'\0');
    MultiByteToWideChar(CP_UTF8, 0, text.data(), size, wide.data(), static_cast<int>(wide.size()));
    return wide;
  }

  stc::UniqueHandle process_;
  stc::UniqueHandle input_;
  stc::UniqueHandle output_;
  DWORD pid_ = 0;
};

// In the child: sends a line to the parent, and waits until the parent is done.
inline void Say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

inline void WaitForParent() {
  while (std::getchar() != EOF) {
  }
}

// Returns the program's arguments as UTF-8, without its name.
inline std::vector<std::string> Arguments(int count, wchar_t** values) {
  std::vector<std::string> arguments;
  for (int index = 1; index < count; ++index) arguments.push_back(stc::Narrow(values[index]));
  return arguments;
}

}  // namespace fixture

#endif  // AZURE_SHARED_TOKEN_CACHE_TEST_NATIVE_WINDOWS_FIXTURE_H_
