// Tests the Keychain store against a stand-in for Apple's frameworks, see keychain_stand_in.h. It
// does not show what macOS itself does: its questions, its access lists, which keychain it
// searches.

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "keychain_stand_in.h"
#include "stores/secret_store.h"
#include "tap.h"

namespace {

using stand_in::TheKeychain;
using stc::Cancellation;
using stc::CommitOutcome;
using stc::StatusCode;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr char kCache[] = R"({"Account":{"a":{"home_account_id":"u.t"}},"Other":{"kept":[1]}})";
// Longer than any step takes, even on a busy machine.
constexpr milliseconds kLong{60000};

// Name of the item. Each test uses another one, because the store remembers refusals per item.
std::pair<std::string, std::string> the_name;

const stc::SecretStore& Store() {
  for (const stc::SecretStore* store : stc::RegisteredStores()) {
    if (std::string(store->name()) == "keychain") return *store;
  }
  std::abort();
}

stc::StoreLocation At() {
  stc::StoreLocation at;
  at.attributes = {{"service", the_name.first}, {"account", the_name.second}};
  return at;
}

struct Limits {
  explicit Limits(milliseconds timeout = kLong)
      : limits{steady_clock::now() + timeout, &cancellation} {}
  Cancellation cancellation;
  stc::CallLimits limits;
};

template <typename Condition>
void WaitFor(Condition condition) {
  const auto end = steady_clock::now() + kLong;
  while (!condition() && steady_clock::now() < end) std::this_thread::sleep_for(milliseconds(1));
}

// Sets up the stand-in for a test, and checks for leaks and mistakes at the end.
class Scene {
 public:
  explicit Scene(bool has_item = true) : mistakes_(stand_in::Mistakes()) {
    static int number = 0;
    the_name = {"Microsoft.Developer.IdentityService", "MSALCache" + std::to_string(++number)};
    stand_in::Reset();
    if (has_item) stand_in::Put(the_name, kCache);
  }
  ~Scene() {
    stand_in::Reset();
    // Calls that passed their deadline may still be running.
    WaitFor([] { return stand_in::LiveObjects() == 0; });
    EXPECT_WITH(stand_in::LiveObjects() == 0, std::to_string(stand_in::LiveObjects()));
    EXPECT_WITH(stand_in::Mistakes() == mistakes_, std::to_string(stand_in::Mistakes()));
  }

 private:
  const int mistakes_;
};

stand_in::Item& TheItem() { return TheKeychain().items[the_name]; }

stc::Status Open(std::string* text, std::string* stamp = nullptr, milliseconds timeout = kLong,
                 const stc::StoreLocation& at = At()) {
  Limits limits(timeout);
  std::unique_ptr<stc::ByteSource> source;
  stc::Status status = Store().Open(at, limits.limits, &source);
  if (status.ok()) {
    bool is_whole = false;
    *text = source->Whole(&is_whole);
    EXPECT(is_whole);
    if (stamp != nullptr) *stamp = source->stamp();
  }
  return status;
}

stc::Status StampOf(std::string* stamp) {
  Limits limits;
  return Store().Stamp(At(), limits.limits, stamp);
}

stc::CommitRequest Request(bool create = false) {
  stc::CommitRequest request;
  request.create = create;
  stc::RecordEdit edit;
  edit.section = u"AccessToken";
  edit.action = stc::EditAction::kPut;
  edit.key = u"k";
  edit.set = {{u"secret", "\"FAKE-new\""}};
  request.change.edits.push_back(std::move(edit));
  return request;
}

stc::Status Commit(const stc::CommitRequest& request, stc::CommitResult* result,
                   milliseconds timeout = kLong) {
  Limits limits(timeout);
  stc::LockSet locks;
  bool is_held = false;
  const std::string path = "keychain-test-" + std::to_string(getpid()) + ".lockfile";
  stc::Status status = locks.TryAcquire({path}, &is_held);
  if (!status.ok() || !is_held) return status;
  return Store().Commit(At(), request, limits.limits, &locks, result);
}

bool HasOurs() { return TheItem().value.find("FAKE-new") != std::string::npos; }

TEST(Reads, "an item is read completely, with its stamp and its modification time") {
  const Scene scene;
  std::string text;
  std::string stamp;
  EXPECT(Open(&text, &stamp).ok());
  EXPECT(text == kCache);
  std::string alone;
  EXPECT(StampOf(&alone).ok());
  EXPECT_WITH(alone == stamp && alone == "20260131235901Z:20260131235901Z", alone);
  Limits limits;
  std::unique_ptr<stc::ByteSource> source;
  EXPECT(Store().Open(At(), limits.limits, &source).ok());
  EXPECT_WITH(source->modified_ms() == 1769903941000, std::to_string(source->modified_ms()));
}

TEST(Names, "an item is found by its exact name, byte by byte") {
  const Scene scene(false);
  the_name = {
      "Gr\xC3\xBC\xC3\x9F"
      "e",
      "MSALCache"};
  stand_in::Put(the_name, "{}");
  stand_in::Put({"Gr\xC3\xBC\xC3\x9F", "eMSALCache"}, "[]");
  std::string text;
  EXPECT(Open(&text).ok() && text == "{}");
}

TEST(StampReadsNoSecret, "the stamp is read without the value and without a question") {
  const Scene scene;
  TheItem().asks = true;
  std::string stamp;
  EXPECT(StampOf(&stamp).ok());
  EXPECT(TheKeychain().reads_of_values == 0 && TheKeychain().questions == 0);
  TheItem().modified = "20260131235902Z";
  std::string later;
  EXPECT(StampOf(&later).ok());
  EXPECT(later != stamp);
}

TEST(NoDates, "an item without dates can be read") {
  const Scene scene;
  TheKeychain().has_dates = false;
  std::string text;
  std::string stamp;
  EXPECT(Open(&text, &stamp).ok() && text == kCache && stamp == ":");
}

TEST(Absent, "a missing item is not an error; an empty item is an empty cache") {
  const Scene scene(false);
  std::string text = "x";
  std::string stamp;
  EXPECT(Open(&text).code() == StatusCode::kNotFound);
  EXPECT(StampOf(&stamp).code() == StatusCode::kNotFound);
  stand_in::Put(the_name, "");
  EXPECT(Open(&text).ok() && text.empty());
  // The item is deleted between being found and being read.
  TheKeychain().on_call = [](const std::string& function) {
    if (function == "SecKeychainItemCopyContent") TheKeychain().items.erase(the_name);
  };
  EXPECT(Open(&text).code() == StatusCode::kNotFound);
}

TEST(Errors, "each status has its error code and a one-line message with advice") {
  const struct {
    int32_t status;
    StatusCode code;
  } cases[] = {
      {-25308, StatusCode::kStoreLocked},
      {-25315, StatusCode::kStoreLocked},
      {-25320, StatusCode::kStoreLocked},
      {-25293, StatusCode::kStoreDenied},
      {-128, StatusCode::kStoreDenied},
      {-25243, StatusCode::kStoreDenied},
      {-25292, StatusCode::kStoreDenied},
      {-25294, StatusCode::kStoreUnavailable},
      {-25295, StatusCode::kStoreUnavailable},
      {-25307, StatusCode::kStoreUnavailable},
      {-25291, StatusCode::kStoreUnavailable},
      {-108, StatusCode::kIo},
      {-25302, StatusCode::kIo},
      {-67808, StatusCode::kIo},
      {-25300, StatusCode::kNotFound},
  };
  for (const char* function : {"SecKeychainFindGenericPassword", "SecKeychainItemCopyContent"}) {
    for (const auto& [number, code] : cases) {
      const Scene scene;
      TheKeychain().next_status[function] = number;
      std::string text;
      const stc::Status status = Open(&text);
      EXPECT_WITH(status.code() == code, std::to_string(number));
      if (code == StatusCode::kNotFound) continue;
      EXPECT(status.operation() == function);
      EXPECT(status.domain() == "OSStatus" && status.os_code() == number);
      EXPECT(!status.message().empty() && status.message().find('\n') == std::string::npos);
    }
  }
}

TEST(InPlace, "a commit changes the item in place and keeps everything else in it") {
  const Scene scene;
  TheItem().created = "20200101000000Z";
  stc::CommitResult result;
  EXPECT(Commit(Request(), &result).ok());
  EXPECT(result.outcome == CommitOutcome::kWritten && !result.lock_lost);
  EXPECT(TheKeychain().updates == 1 && TheKeychain().additions == 0);
  EXPECT(TheItem().created == "20200101000000Z");
  EXPECT(TheItem().value.find(R"("Other":{"kept":[1]})") != std::string::npos && HasOurs());
  std::string text;
  std::string stamp;
  EXPECT(Open(&text, &stamp).ok());
  EXPECT_WITH(stamp == result.stamp, stamp);
  EXPECT(result.base_stamp.has_value() && *result.base_stamp != result.stamp);
  // A second commit has nothing to change.
  EXPECT(Commit(Request(), &result).ok());
  EXPECT(result.outcome == CommitOutcome::kUnchanged && TheKeychain().updates == 1);
}

TEST(Creates, "an item is created only if the request says so") {
  const Scene scene(false);
  stc::CommitResult result;
  EXPECT(Commit(Request(), &result).ok());
  EXPECT(result.outcome == CommitOutcome::kAbsent && TheKeychain().items.empty());
  EXPECT(Commit(Request(true), &result).ok());
  EXPECT(result.outcome == CommitOutcome::kWritten && !result.base_stamp);
  EXPECT(TheKeychain().additions == 1 && HasOurs());
}

TEST(Expected, "an outdated expected stamp: kChanged") {
  const Scene scene;
  stc::CommitRequest request = Request();
  request.expected_stamp.emplace("1:2");
  stc::CommitResult result;
  EXPECT(Commit(request, &result).ok());
  EXPECT(result.outcome == CommitOutcome::kChanged && TheKeychain().updates == 0);
}

TEST(Races, "changes by other programs between the read and the write are kept") {
  const auto write = [] {
    TheItem().value = "{\"theirs\":{}}";
    TheItem().modified = "20260131235902Z";
  };
  // Within the same second, so that the stamp stays the same.
  const auto write_at_once = [] { TheItem().value = "{\"theirs\":{}}"; };
  const auto remove = [] { TheKeychain().items.erase(the_name); };
  const auto remake = [] { stand_in::Put(the_name, "{}"); };
  const auto fail = [] {
    TheKeychain().next_status["SecKeychainItemModifyAttributesAndData"] = -67638;
  };
  const struct {
    const char* function;
    int call;
    void (*act)();
    bool has_item;
    CommitOutcome outcome = CommitOutcome::kChanged;
  } cases[] = {
      {"SecKeychainItemCopyContent", 2, write_at_once, true},
      {"SecKeychainItemCopyContent", 2, remove, true},
      {"SecKeychainFindGenericPassword", 2, remake, false},
      // The check of the stamp before the write.
      {"SecKeychainItemCopyContent", 3, write, true},
      {"SecKeychainItemCopyContent", 3, remove, true},
      {"SecKeychainFindGenericPassword", 3, remove, true},
      {"SecKeychainItemModifyAttributesAndData", 1, remove, true},
      {"SecKeychainItemModifyAttributesAndData", 1, remake, true},
      {"SecKeychainItemModifyAttributesAndData", 1, fail, true},
      {"SecKeychainAddGenericPassword", 1, remake, false},
      // The read of the stamp after the write: A9, the change was written and may be lost.
      {"SecKeychainFindGenericPassword", 4, remove, true, CommitOutcome::kWritten},
  };
  int number = 0;
  for (const auto& each : cases) {
    const Scene scene(each.has_item);
    int calls = 0;
    TheKeychain().on_call = [&](const std::string& function) {
      if (function == each.function && ++calls == each.call) each.act();
    };
    stc::CommitResult result;
    EXPECT(Commit(Request(!each.has_item), &result).ok());
    EXPECT_WITH(result.outcome == each.outcome, std::to_string(number));
    EXPECT_WITH(result.lock_lost == (each.outcome == CommitOutcome::kWritten),
                std::to_string(number));
    EXPECT_WITH(!HasOurs(), std::to_string(number));
    EXPECT_WITH(calls >= each.call, std::to_string(number++));
    TheKeychain().on_call = nullptr;
  }
}

TEST(Questions,
     "an unanswered question: the call ends at the deadline, and a late answer does no harm") {
  const Scene scene;
  TheItem().asks = true;
  std::string text;
  const auto start = steady_clock::now();
  const stc::Status status = Open(&text, nullptr, milliseconds(200));
  EXPECT(status.code() == StatusCode::kStoreTimeout);
  EXPECT(status.message().find("keyringTimeoutInMs") != std::string::npos);
  EXPECT(steady_clock::now() - start < milliseconds(10000));
  EXPECT(stand_in::IsAsking());
  stand_in::Answer(true);
  WaitFor([] { return !stand_in::IsAsking(); });
  EXPECT(!stand_in::IsAsking());
}

TEST(OneQuestion,
     "while a question is open, no call asks another; all waiting calls share its answer") {
  const Scene scene;
  TheItem().asks = true;
  std::string text;
  for (int i = 0; i < 10; ++i) {
    EXPECT(Open(&text, nullptr, milliseconds(120)).code() == StatusCode::kStoreTimeout);
  }
  // Stamp and Commit do not ask either.
  std::string stamp;
  Limits short_limits(milliseconds(50));
  EXPECT(Store().Stamp(At(), short_limits.limits, &stamp).code() == StatusCode::kStoreTimeout);
  stc::CommitResult result;
  EXPECT(Commit(Request(), &result, milliseconds(50)).code() == StatusCode::kStoreTimeout);
  std::atomic<int> readings{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      std::string own;
      if (Open(&own).ok() && own == kCache) ++readings;
    });
  }
  std::this_thread::sleep_for(milliseconds(200));
  stand_in::Answer(true);
  for (std::thread& reader : readers) reader.join();
  EXPECT_WITH(readings == 4, std::to_string(readings));
  EXPECT_WITH(TheKeychain().questions == 1, std::to_string(TheKeychain().questions));
}

TEST(OtherItems, "the answer to a question about one item is not used for another item") {
  const Scene scene;
  TheItem().asks = true;
  std::string text;
  EXPECT(Open(&text, nullptr, milliseconds(1200)).code() == StatusCode::kStoreTimeout);
  const auto asked_about = the_name;
  the_name.second += " another";
  stand_in::Put(the_name, "{}");
  std::thread user([] {
    std::this_thread::sleep_for(milliseconds(50));
    stand_in::Answer(true);
  });
  EXPECT(Open(&text).ok() && text == "{}");
  user.join();
  the_name = asked_about;
}

TEST(Answers, "an answered question: yes returns the cache, no is an error") {
  for (const bool is_allowed : {true, false}) {
    const Scene scene;
    TheItem().asks = true;
    std::thread user([is_allowed] {
      WaitFor([] { return stand_in::IsAsking(); });
      stand_in::Answer(is_allowed);
    });
    std::string text;
    const stc::Status status = Open(&text);
    user.join();
    EXPECT(is_allowed ? status.ok() && text == kCache : status.code() == StatusCode::kStoreDenied);
  }
}

TEST(NoPrompts, "no_prompts: an item that requires a question is an error") {
  for (const int32_t code : {-25308, -25293}) {
    const Scene scene;
    stc::StoreLocation at = At();
    at.no_prompts = true;
    std::string text;
    EXPECT(Open(&text, nullptr, kLong, at).ok() && text == kCache);
    TheItem().asks = true;
    TheKeychain().status_without_questions = code;
    const stc::Status status = Open(&text, nullptr, kLong, at);
    EXPECT(status.code() == (code == -25308 ? StatusCode::kStoreLocked : StatusCode::kStoreDenied));
    EXPECT(TheKeychain().questions == 0 && TheKeychain().interaction_allowed);
  }
}

TEST(Refused,
     "after a refusal, the user is not asked again at once, and may allow access elsewhere") {
  for (const int32_t code : {-25308, -25293}) {
    const Scene scene;
    TheItem().asks = true;
    TheKeychain().status_without_questions = code;
    std::thread user([] {
      WaitFor([] { return stand_in::IsAsking(); });
      stand_in::Answer(false);
    });
    std::string text;
    EXPECT(Open(&text).os_code() == -128);
    user.join();
    for (int i = 0; i < 3; ++i) {
      const stc::Status again = Open(&text);
      EXPECT(again.code() == StatusCode::kStoreDenied && again.os_code() == -128);
    }
    EXPECT(TheKeychain().questions == 1 && TheKeychain().interaction_allowed);
    TheItem().asks = false;
    EXPECT(Open(&text).ok() && text == kCache);
    // The successful read has cleared the refusal, so that the user is asked again.
    TheItem().asks = true;
    std::thread friendly([] {
      WaitFor([] { return stand_in::IsAsking(); });
      stand_in::Answer(true);
    });
    EXPECT(Open(&text).ok() && TheKeychain().questions == 2);
    friendly.join();
  }
}

TEST(Cancelled, "a cancelled job ends at once; a job that is already cancelled makes no call") {
  const Scene scene;
  TheItem().asks = true;
  Limits limits;
  std::thread ending([&] {
    WaitFor([] { return stand_in::IsAsking(); });
    limits.cancellation.Cancel();
  });
  std::unique_ptr<stc::ByteSource> source;
  const auto start = steady_clock::now();
  EXPECT(Store().Open(At(), limits.limits, &source).code() == StatusCode::kStoreTimeout);
  ending.join();
  // Cancellation also ends a call that waits for its turn.
  Limits waiting;
  std::thread other([&] {
    std::this_thread::sleep_for(milliseconds(50));
    waiting.cancellation.Cancel();
  });
  std::string stamp;
  EXPECT(Store().Stamp(At(), waiting.limits, &stamp).code() == StatusCode::kStoreTimeout);
  other.join();
  EXPECT(steady_clock::now() - start < kLong / 2);
  stand_in::Answer(true);
  WaitFor([] { return stand_in::LiveObjects() == 0; });
  TheItem().asks = false;
  EXPECT(Store().Open(At(), limits.limits, &source).code() == StatusCode::kStoreTimeout);
  Limits over(milliseconds(0));
  EXPECT(Store().Open(At(), over.limits, &source).code() == StatusCode::kStoreTimeout);
  // Calls run one at a time, so that none is running after this one.
  EXPECT(StampOf(&stamp).ok());
  EXPECT(TheKeychain().reads_of_values == 1);
}

TEST(NoQuestions, "a commit asks no question and restores the process-wide switch") {
  for (const bool before : {true, false}) {
    for (const int32_t code : {-25308, -25293}) {
      const Scene scene;
      TheItem().asks = true;
      TheKeychain().interaction_allowed = before;
      TheKeychain().status_without_questions = code;
      stc::CommitResult result;
      const stc::Status status = Commit(Request(), &result);
      EXPECT(!status.ok() && status.os_code() == code);
      EXPECT(TheKeychain().interaction_allowed == before && TheKeychain().questions == 0);
      EXPECT(TheItem().value == kCache);
    }
  }
  const Scene scene;
  TheKeychain().next_status["SecKeychainGetUserInteractionAllowed"] = -50;
  stc::CommitResult result;
  EXPECT(Commit(Request(), &result).ok() && result.outcome == CommitOutcome::kWritten);
  EXPECT(TheKeychain().interaction_allowed);
}

TEST(SwitchForOne, "a commit does not turn questions off for a concurrent read") {
  const Scene scene;
  TheItem().asks = true;
  std::atomic<bool> is_over{false};
  std::atomic<int> wrong{0};
  std::thread user([&] {
    while (!is_over) {
      if (stand_in::IsAsking()) stand_in::Answer(true);
      std::this_thread::yield();
    }
  });
  std::thread writer([&] {
    for (int i = 0; i < 200; ++i) {
      stc::CommitResult result;
      if (Commit(Request(), &result).code() != StatusCode::kStoreLocked) ++wrong;
    }
  });
  for (int i = 0; i < 200; ++i) {
    std::string text;
    if (!Open(&text).ok() || text != kCache) ++wrong;
  }
  writer.join();
  is_over = true;
  user.join();
  EXPECT_WITH(wrong == 0, std::to_string(wrong));
  EXPECT_WITH(TheKeychain().questions == 200, std::to_string(TheKeychain().questions));
}

TEST(LateWrite, "a write whose deadline passes before it starts does not happen later") {
  for (const bool has_item : {true, false}) {
    const Scene scene(has_item);
    std::atomic<int> calls{0};
    std::atomic<bool> goes_on{false};
    // The third such call is part of the write; the first two are the read and the check before the
    // write.
    const std::string held =
        has_item ? "SecKeychainFindGenericPassword" : "SecKeychainGetUserInteractionAllowed";
    TheKeychain().on_call = [&](const std::string& function) {
      if (function == held && ++calls == 3) WaitFor([&] { return goes_on.load(); });
    };
    stc::CommitResult result;
    const stc::Status status = Commit(Request(!has_item), &result, milliseconds(2000));
    EXPECT(status.code() == StatusCode::kStoreTimeout && calls == 3);
    goes_on = true;
    WaitFor([] { return stand_in::LiveObjects() == 0; });
    // Waits for its turn, so that the write has ended when it returns.
    std::string stamp;
    EXPECT(StampOf(&stamp).code() == (has_item ? StatusCode::kOk : StatusCode::kNotFound));
    EXPECT(TheKeychain().updates == 0 && TheKeychain().additions == 0);
    TheKeychain().on_call = nullptr;
  }
}

TEST(WriteFails, "a failed write leaves the item unchanged") {
  const Scene scene;
  TheKeychain().next_status["SecKeychainItemModifyAttributesAndData"] = -25292;
  stc::CommitResult result;
  EXPECT(Commit(Request(), &result).code() == StatusCode::kStoreDenied);
  EXPECT(TheItem().value == kCache);
}

TEST(Signal, "the signal file is created and touched after a successful write only") {
  const Scene scene;
  const std::string path = "keychain-test-" + std::to_string(getpid()) + ".signal";
  stc::CommitRequest request = Request();
  request.signal_path = path;
  TheKeychain().next_status["SecKeychainItemModifyAttributesAndData"] = -36;
  stc::CommitResult result;
  struct stat info;
  EXPECT(!Commit(request, &result).ok());
  EXPECT(stat(path.c_str(), &info) != 0);
  EXPECT(Commit(request, &result).ok());
  EXPECT(stat(path.c_str(), &info) == 0 && (info.st_mode & 0777) == 0600);
  unlink(path.c_str());
}

TEST(Garbage, "an item that is not a cache is not overwritten") {
  const Scene scene;
  TheItem().value = "eyJhbGciOiJkaXIi.a.b";
  stc::CommitResult result;
  EXPECT(!Commit(Request(), &result).ok());
  EXPECT(TheKeychain().updates == 0);
}

TEST(Large, "an item of 5 MB") {
  const Scene scene;
  std::string large = "{\"AccessToken\":{\"x\":{\"secret\":\"";
  large.append(5 << 20, 'x').append("\"}}}");
  TheItem().value = large;
  stc::CommitResult result;
  EXPECT(Commit(Request(), &result).ok() && result.outcome == CommitOutcome::kWritten);
  EXPECT(TheItem().value.size() > large.size());
}

// Whichever allocation fails: no crash, no leak, and the item has either the old or the new value.
TEST(NoMemory, "an out-of-memory error at any allocation") {
  for (const bool has_item : {true, false}) {
    int objects = 0;
    {
      const Scene scene(has_item);
      stc::CommitResult result;
      stand_in::FailAllocation(0);
      EXPECT(Commit(Request(!has_item), &result).ok());
      objects = stand_in::Allocations();
    }
    EXPECT(objects >= (has_item ? 12 : 4));
    for (int number = 1; number <= objects; ++number) {
      const Scene scene(has_item);
      stand_in::FailAllocation(number);
      stc::CommitResult result;
      const stc::Status status = Commit(Request(!has_item), &result);
      if (TheKeychain().updates + TheKeychain().additions > 0 && HasOurs()) {
        // The failure came after the write. The commit succeeded, but the caller has to check the
        // cache again.
        EXPECT_WITH(status.ok() && result.outcome == CommitOutcome::kWritten && result.lock_lost,
                    std::to_string(number));
      } else {
        EXPECT_WITH(status.os_code() == -108, std::to_string(number));
        EXPECT(has_item ? TheItem().value == kCache : TheKeychain().items.empty());
      }
    }
  }
}

}  // namespace

int main() { return tap::RunAll(); }
