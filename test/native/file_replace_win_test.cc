// Tests replacing a file on Windows while other programs read it, each with the access and share
// mode of its library.
//
// Without arguments, the program runs the tests and prints TAP. With arguments, it is a child
// process of a test.

#include "io/file_replace.h"
#include "io/own_permissions_win.h"
#include "tap.h"
#include "windows_fixture.h"

using fixture::Child;
using fixture::Directory;
using fixture::Exists;
using fixture::Leave;
using fixture::List;
using fixture::Open;
using fixture::Read;
using stc::PlacedFile;
using stc::ReplaceConditions;
using stc::ReplaceFileContent;
using stc::ReplaceMode;
using stc::ReplaceOutcome;
using stc::Status;
using stc::StatusCode;
using stc::UniqueHandle;

namespace {

// Share modes of readers. Source: File.ReadAllBytes of .NET; the C runtime's open, which Python
// uses; os.Open of Go; libuv's fs__open.
constexpr DWORD kDotnetShare = FILE_SHARE_READ;
constexpr DWORD kPythonShare = FILE_SHARE_READ | FILE_SHARE_WRITE;

bool Replace(const std::string& path, const std::vector<std::string_view>& pieces,
             ReplaceMode mode = ReplaceMode::kRename) {
  ReplaceOutcome outcome = ReplaceOutcome::kBusy;
  PlacedFile placed;
  const Status status = ReplaceFileContent(path, pieces, mode, {}, &outcome, &placed);
  EXPECT_WITH(status.ok(), status.message());
  if (outcome != ReplaceOutcome::kReplaced) return false;
  stc::FileState seen;
  const UniqueHandle file = Open(path, FILE_READ_ATTRIBUTES, stc::kShareAll, OPEN_EXISTING);
  EXPECT(!placed.is_written_over && StateOf(file.get(), &seen));
  EXPECT_WITH(StampOf(placed.state) == StampOf(seen), StampOf(placed.state));
  return true;
}

Status FailureOf(const std::string& path, ReplaceMode mode = ReplaceMode::kRename) {
  ReplaceOutcome outcome = ReplaceOutcome::kReplaced;
  PlacedFile placed;
  const Status status = ReplaceFileContent(path, {"new"}, mode, {}, &outcome, &placed);
  EXPECT(outcome == ReplaceOutcome::kBusy);
  return status;
}

}  // namespace

TEST(Replaces, "creates, replaces and empties a file, and leaves nothing beside it") {
  const Directory directory;
  const std::string path = directory.At("msal.cache");
  for (const ReplaceMode mode : {ReplaceMode::kRename, ReplaceMode::kInPlace}) {
    DeleteFileW(fixture::Wide(path).c_str());
    if (mode == ReplaceMode::kInPlace) Leave(path, "of before");
    EXPECT(Replace(path, {"first"}, mode) && Read(path) == "first");
    EXPECT(Replace(path, {"one", "", " and ", "two"}, mode) && Read(path) == "one and two");
    EXPECT(Replace(path, {"x"}, mode) && Read(path) == "x");
    EXPECT(Replace(path, {std::string_view("\0\x01", 2)}, mode));
    EXPECT(Read(path) == std::string("\0\x01", 2));
    EXPECT(Replace(path, {}, mode) && Read(path).empty() && Exists(path));
    EXPECT(Replace(path, {"", ""}, mode) && Read(path).empty() && Exists(path));
    const std::string large(40 << 20, 'y');
    EXPECT(Replace(path, {large, "z"}, mode));
    EXPECT(Read(path) == large + "z");
    EXPECT(List(directory.path()).size() == 1);
  }
}

TEST(Stamps,
     "the new time stamp is in whole milliseconds, not before now and later than the old one") {
  const Directory directory;
  const std::string path = directory.At("msal.cache");
  for (const ReplaceMode mode : {ReplaceMode::kRename, ReplaceMode::kInPlace}) {
    int64_t previous = 0;
    Leave(path, "old", 10);
    for (int round = 0; round < 20; ++round) {
      EXPECT(Replace(path, {"x"}, mode));
      const int64_t after = stc::WallClockTicks();
      const int64_t modified = fixture::ModifiedAt(path);
      EXPECT(modified > after - stc::kTicksPerSecond && modified < after + stc::kTicksPerSecond);
      EXPECT(modified >= previous + stc::kTicksPerMillisecond);
      EXPECT(modified % stc::kTicksPerMillisecond == 0);
      previous = modified;
    }
    Leave(path, "from the future", -3600);
    previous = fixture::ModifiedAt(path);
    EXPECT(Replace(path, {"x"}, mode));
    // Wine stores time stamps with a lower resolution than Windows.
    EXPECT(fixture::ModifiedAt(path) >= previous + stc::kTicksPerMillisecond);
    EXPECT(fixture::ModifiedAt(path) < previous + stc::kTicksPerSecond);
    DeleteFileW(fixture::Wide(path).c_str());
  }
}

TEST(Busy, "a reader that does not share deletion blocks the replacement: the caller has to wait") {
  const Directory directory;
  const std::string path = directory.At("msal.cache");
  for (const DWORD share : {kDotnetShare, kPythonShare}) {
    Leave(path, "old", 10);
    const int64_t modified = fixture::ModifiedAt(path);
    UniqueHandle reader = Open(path, GENERIC_READ, share, OPEN_EXISTING);
    EXPECT(!Replace(path, {"new"}));
    EXPECT(Read(path) == "old" && fixture::ModifiedAt(path) == modified);
    EXPECT(List(directory.path()).size() == 1);
    // Python and Go share the file for writing, .NET does not.
    EXPECT(Replace(path, {"newer"}, ReplaceMode::kInPlace) == (share == kPythonShare));
    EXPECT(Read(path) == (share == kPythonShare ? "newer" : "old"));
    reader.Close();
    EXPECT(Replace(path, {"new"}) && Read(path) == "new");
    EXPECT(List(directory.path()).size() == 1);
  }
}

TEST(Sharing, "a reader that shares everything keeps the old content, or is waited for") {
  const Directory directory;
  const std::string path = directory.At("msal.cache");
  Leave(path, "old");
  const UniqueHandle reader = Open(path, GENERIC_READ, stc::kShareAll, OPEN_EXISTING);
  // Windows replaces the file, Wine does not.
  const bool is_replaced = Replace(path, {"new"});
  EXPECT(Read(path) == (is_replaced ? "new" : "old"));
  char text[8] = {};
  DWORD size = 0;
  EXPECT(ReadFile(reader.get(), text, sizeof text, &size, nullptr) &&
         std::string(text, size) == "old");
  EXPECT(List(directory.path()).size() == 1);
}

TEST(Conditions, "must_be_new replaces no file, and may_replace can refuse at the last moment") {
  const Directory directory;
  const std::string path = directory.At("msal.cache");
  ReplaceOutcome outcome = ReplaceOutcome::kBusy;
  PlacedFile placed;
  ReplaceConditions is_new;
  is_new.must_be_new = true;
  for (const ReplaceMode mode : {ReplaceMode::kRename, ReplaceMode::kInPlace}) {
    EXPECT(ReplaceFileContent(path, {"first"}, mode, is_new, &outcome, &placed).ok());
    EXPECT(outcome == ReplaceOutcome::kReplaced && Read(path) == "first");
    EXPECT(ReplaceFileContent(path, {"second"}, mode, is_new, &outcome, &placed).ok());
    EXPECT(outcome == ReplaceOutcome::kRefused && Read(path) == "first");

    int asked = 0;
    ReplaceConditions forbidden;
    forbidden.may_replace = [&] {
      ++asked;
      EXPECT(Read(path) == "first");
      return false;
    };
    EXPECT(ReplaceFileContent(path, {"third"}, mode, forbidden, &outcome, &placed).ok());
    EXPECT(outcome == ReplaceOutcome::kRefused && Read(path) == "first" && asked == 1);
    EXPECT(List(directory.path()).size() == 1);

    ReplaceConditions late;
    late.may_replace = [&] {
      Leave(path, "of somebody else");
      return true;
    };
    DeleteFileW(fixture::Wide(path).c_str());
    late.must_be_new = true;
    EXPECT(ReplaceFileContent(path, {"fourth"}, mode, late, &outcome, &placed).ok());
    EXPECT(outcome == ReplaceOutcome::kRefused && Read(path) == "of somebody else");
    EXPECT(List(directory.path()).size() == 1);
    DeleteFileW(fixture::Wide(path).c_str());
  }
}

TEST(Vanished, "writing in place does not create a file that is gone") {
  const Directory directory;
  for (const std::string& path :
       {directory.At("msal.cache"), directory.At("missing\\msal.cache")}) {
    ReplaceOutcome outcome = ReplaceOutcome::kBusy;
    PlacedFile placed;
    ReplaceConditions conditions;
    conditions.may_replace = [] {
      EXPECT(false);
      return true;
    };
    const Status status =
        ReplaceFileContent(path, {"new"}, ReplaceMode::kInPlace, conditions, &outcome, &placed);
    EXPECT_WITH(status.ok(), status.message());
    EXPECT(outcome == ReplaceOutcome::kRefused && !Exists(path));
  }
  EXPECT(List(directory.path()).empty());
}

TEST(Swept, "a temporary file that is deleted before the rename does no harm") {
  const Directory directory;
  const std::string path = directory.At("msal.cache");
  Leave(path, "old");
  ReplaceOutcome outcome = ReplaceOutcome::kBusy;
  PlacedFile placed;
  ReplaceConditions swept;
  swept.may_replace = [&] {
    for (const std::string& name : List(directory.path())) {
      if (name != "msal.cache") DeleteFileW(fixture::Wide(directory.At(name)).c_str());
    }
    return true;
  };
  EXPECT(ReplaceFileContent(path, {"new"}, ReplaceMode::kRename, swept, &outcome, &placed).ok());
  // Wine renames a file that is being deleted, Windows does not.
  EXPECT(Read(path) == (outcome == ReplaceOutcome::kReplaced ? "new" : "old"));
}

TEST(Failures, "a file that cannot be replaced stays as it is") {
  const Directory directory;
  Status status = FailureOf(directory.At("missing\\msal.cache"));
  EXPECT_WITH(status.code() == StatusCode::kIo && status.os_code() == ERROR_PATH_NOT_FOUND,
              status.message());
  for (const ReplaceMode mode : {ReplaceMode::kRename, ReplaceMode::kInPlace}) {
    CreateDirectoryW(fixture::Wide(directory.At("folder")).c_str(), nullptr);
    Leave(directory.At("folder\\inside"), "x");
    status = FailureOf(directory.At("folder"), mode);
    EXPECT_WITH(status.code() == StatusCode::kIo, status.message());
    EXPECT(Read(directory.At("folder\\inside")) == "x");
    EXPECT(FailureOf("", mode).code() == StatusCode::kIo);
    EXPECT(FailureOf(directory.At("\xFF"), mode).code() == StatusCode::kIo);
    EXPECT(List(directory.path()).size() == 1);
  }
}

TEST(Permissions, "a new file keeps the old one's own permissions and inherits the others again") {
  SID everybody = {SID_REVISION, 1, SECURITY_WORLD_SID_AUTHORITY, {SECURITY_WORLD_RID}};
  SID system = {SID_REVISION, 1, SECURITY_NT_AUTHORITY, {SECURITY_LOCAL_SYSTEM_RID}};
  alignas(DWORD) char buffer[256];
  auto* const list = reinterpret_cast<ACL*>(buffer);
  SECURITY_DESCRIPTOR descriptor;
  const auto describe = [&] {
    return InitializeSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION) &&
           SetSecurityDescriptorDacl(&descriptor, TRUE, list, FALSE);
  };
  EXPECT(InitializeAcl(list, sizeof buffer, ACL_REVISION) && describe());
  EXPECT(!stc::OwnPermissions(&descriptor).exist());
  EXPECT(AddAccessAllowedAceEx(list, ACL_REVISION, INHERITED_ACE, GENERIC_ALL, &everybody));
  EXPECT(!stc::OwnPermissions(&descriptor).exist());
  EXPECT(!stc::OwnPermissions().exist() && stc::OwnPermissions().list() == nullptr);

  EXPECT(InitializeAcl(list, sizeof buffer, ACL_REVISION));
  EXPECT(AddAccessDeniedAceEx(list, ACL_REVISION, 0, GENERIC_WRITE, &everybody));
  EXPECT(AddAccessAllowedAceEx(list, ACL_REVISION, 0, GENERIC_READ, &system));
  EXPECT(AddAccessAllowedAceEx(list, ACL_REVISION, INHERITED_ACE, GENERIC_ALL, &everybody));
  const stc::OwnPermissions given(&descriptor);
  EXPECT(given.exist() && !given.is_protected() && given.list()->AceCount == 2);
  void* entry = nullptr;
  EXPECT(GetAce(given.list(), 0, &entry));
  EXPECT(static_cast<ACE_HEADER*>(entry)->AceType == ACCESS_DENIED_ACE_TYPE);
  EXPECT(GetAce(given.list(), 1, &entry));
  EXPECT(static_cast<ACCESS_ALLOWED_ACE*>(entry)->Mask == GENERIC_READ);
  EXPECT(EqualSid(&static_cast<ACCESS_ALLOWED_ACE*>(entry)->SidStart, &system));

  EXPECT(SetSecurityDescriptorControl(&descriptor, SE_DACL_PROTECTED, SE_DACL_PROTECTED));
  const stc::OwnPermissions alone(&descriptor);
  EXPECT(alone.exist() && alone.is_protected() && alone.list()->AceCount == 3);
  EXPECT(InitializeAcl(list, sizeof buffer, ACL_REVISION));
  const stc::OwnPermissions none(&descriptor);
  EXPECT(none.exist() && none.is_protected() && none.list()->AceCount == 0);
}

TEST(Paths, "long paths and non-ASCII names") {
  const Directory directory;
  std::string path = directory.path();
  for (int level = 0; level < 5; ++level) {
    path += "\\" + std::string(60, 'd') + "\xC3\xA4\xF0\x9F\x94\x92";
    EXPECT(CreateDirectoryW(fixture::Wide(path).c_str(), nullptr));
  }
  const std::string file = path + "\\msal.cache";
  EXPECT(Replace(file, {"a"}) && Replace(file, {"b"}) && Read(file) == "b");
  EXPECT(Replace(file, {"c"}, ReplaceMode::kInPlace) && Read(file) == "c");
  EXPECT(List(path).size() == 1);
}

TEST(Readers, "readers see either the old or the new content, complete") {
  const Directory directory;
  const std::string path = directory.At("msal.cache");
  const std::string contents[] = {std::string(70'000, 'a'), std::string(50'000, 'b')};
  Leave(path, contents[0]);
  Child reader({"read", path});
  EXPECT(reader.Line() == "reading");
  int replaced = 0;
  for (int round = 0; round < 300; ++round) {
    if (Replace(path, {contents[round % 2]})) ++replaced;
  }
  EXPECT(reader.Finish() == 0);
  EXPECT_WITH(replaced > 0, std::to_string(replaced));
  EXPECT(List(directory.path()).size() == 1);
}

TEST(Killed, "a killed writer leaves either the old or the new content, complete") {
  const Directory directory;
  const std::string path = directory.At("msal.cache");
  for (int round = 0; round < 20; ++round) {
    Leave(path, std::string(70'000, 'a'));
    Child writer({"write", path});
    EXPECT(writer.Line() == "writing");
    Sleep(static_cast<DWORD>(round));
    writer.Kill();
    const std::string text = Read(path);
    EXPECT_WITH(text == std::string(70'000, 'a') || text == std::string(50'000, 'b'),
                std::to_string(text.size()));
  }
}

namespace {

// Reads in a loop, as Node opens files, until the parent is done. Returns 1 if it ever reads a
// partial content.
int ReadAllTheTime(const std::string& path) {
  fixture::Say("reading");
  const UniqueHandle parent(CreateThread(
      nullptr, 0,
      [](void*) -> DWORD {
        fixture::WaitForParent();
        return 0;
      },
      nullptr, 0, nullptr));
  int seen = 0;
  while (WaitForSingleObject(parent.get(), 0) != WAIT_OBJECT_0) {
    const UniqueHandle file = Open(path, GENERIC_READ, stc::kShareAll, OPEN_EXISTING);
    if (!file.is_open()) continue;
    std::string text(100'000, '\0');
    DWORD size = 0;
    if (!ReadFile(file.get(), text.data(), static_cast<DWORD>(text.size()), &size, nullptr))
      return 1;
    text.resize(size);
    if (text != std::string(70'000, 'a') && text != std::string(50'000, 'b')) return 1;
    ++seen;
  }
  return seen > 0 ? 0 : 1;
}

int WriteAllTheTime(const std::string& path) {
  fixture::Say("writing");
  for (int round = 1;; ++round) {
    const std::string text = round % 2 == 0 ? std::string(70'000, 'a') : std::string(50'000, 'b');
    ReplaceOutcome outcome = ReplaceOutcome::kBusy;
    PlacedFile placed;
    if (!ReplaceFileContent(path, {text}, ReplaceMode::kRename, {}, &outcome, &placed).ok()) {
      return 1;
    }
  }
}

}  // namespace

int wmain(int count, wchar_t** values) {
  const std::vector<std::string> arguments = fixture::Arguments(count, values);
  if (arguments.empty()) return tap::RunAll();
  return arguments[0] == "read" ? ReadAllTheTime(arguments[1]) : WriteAllTheTime(arguments[1]);
}
