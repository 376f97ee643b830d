// The Keychain store against a stand-in for macOS's frameworks: see keychain_stand_in.h. What macOS
// itself does (its questions, access lists, which keychain it looks into) is not shown by this.

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "keychain_stand_in.h"
#include "secret_store.h"
#include "tap.h"

namespace {

using stand_in::TheKeychain;
using stc::Cancellation;
using stc::CommitOutcome;
using stc::StatusCode;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

const std::pair<std::string, std::string> kName = {"Microsoft.Developer.IdentityService",
                                                   "MSALCache"};
constexpr char kCache[] = R"({"Account":{"a":{"home_account_id":"u.t"}},"Other":{"kept":[1]}})";

const stc::SecretStore& Store() {
  for (const stc::SecretStore* store : stc::RegisteredStores()) {
    if (std::string(store->name()) == "keychain") return *store;
  }
  std::abort();
}

stc::StoreLocation At() {
  stc::StoreLocation at;
  at.attributes = {{"service", kName.first}, {"account", kName.second}};
  return at;
}

struct Limits {
  explicit Limits(int timeout_ms = 10000)
      : limits{steady_clock::now() + milliseconds(timeout_ms), &cancellation} {}
  Cancellation cancellation;
  stc::CallLimits limits;
};

// At the beginning and at the end of each test.
class Scene {
 public:
  explicit Scene(bool has_item = true) {
    stand_in::Reset();
    if (has_item) TheKeychain().items[kName].value = kCache;
  }
  ~Scene() {
    stand_in::Reset();
    // A call that was left alone ends in its own time.
    for (int i = 0; i < 500 && stand_in::LiveObjects() > 0; ++i) {
      std::this_thread::sleep_for(milliseconds(10));
    }
    EXPECT_WITH(stand_in::LiveObjects() == 0, std::to_string(stand_in::LiveObjects()));
  }
};

stc::Status Open(std::string* text, std::string* stamp = nullptr, int timeout_ms = 10000) {
  Limits limits(timeout_ms);
  std::unique_ptr<stc::ByteSource> source;
  stc::Status status = Store().Open(At(), limits.limits, &source);
  if (status.ok()) {
    bool is_whole = false;
    *text = source->Whole(&is_whole);
    EXPECT(is_whole);
    if (stamp != nullptr) *stamp = source->stamp();
  }
  return status;
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
                   int timeout_ms = 10000) {
  Limits limits(timeout_ms);
  stc::LockSet locks;
  bool is_held = false;
  const std::string path = "keychain-test-" + std::to_string(getpid()) + ".lockfile";
  stc::Status status = locks.TryAcquire({path}, &is_held);
  if (!status.ok() || !is_held) return status;
  return Store().Commit(At(), request, limits.limits, &locks, result);
}

std::string ValueOf() { return TheKeychain().items[kName].value; }

TEST(Reads, "an item is read whole, with its stamp") {
  const Scene scene;
  std::string text;
  std::string stamp;
  EXPECT(Open(&text, &stamp).ok());
  EXPECT(text == kCache);
  std::string alone;
  Limits limits;
  EXPECT(Store().Stamp(At(), limits.limits, &alone).ok());
  EXPECT_WITH(alone == stamp, alone);
}

TEST(StampReadsNoSecret, "the stamp is had without the value, and without a question") {
  const Scene scene;
  TheKeychain().items[kName].asks = true;
  std::string stamp;
  Limits limits;
  EXPECT(Store().Stamp(At(), limits.limits, &stamp).ok());
  EXPECT(TheKeychain().reads_of_values == 0);
  TheKeychain().items[kName].modified += 1;
  std::string later;
  EXPECT(Store().Stamp(At(), limits.limits, &later).ok());
  EXPECT(later != stamp);
}

TEST(Absent, "an item that is not there is no error; one without a value is an empty cache") {
  const Scene scene(false);
  std::string text = "x";
  EXPECT(Open(&text).code() == StatusCode::kNotFound);
  TheKeychain().items[kName].has_value = false;
  EXPECT(Open(&text).ok());
  EXPECT(text.empty());
}

TEST(Errors, "each status has its code and one line that says what to do") {
  const struct {
    int32_t status;
    StatusCode code;
  } cases[] = {
      {-25308, StatusCode::kStoreLocked},
      {-25315, StatusCode::kStoreLocked},
      {-25293, StatusCode::kStoreDenied},
      {-128, StatusCode::kStoreDenied},
      {-25243, StatusCode::kStoreDenied},
      {-34018, StatusCode::kStoreDenied},
      {-25292, StatusCode::kStoreDenied},
      {-25294, StatusCode::kStoreUnavailable},
      {-25307, StatusCode::kStoreUnavailable},
      {-25291, StatusCode::kStoreUnavailable},
      {-36, StatusCode::kIo},
      {-25300, StatusCode::kNotFound},
  };
  for (const auto& [number, code] : cases) {
    const Scene scene;
    TheKeychain().next_status["SecItemCopyMatching"] = number;
    std::string text;
    const stc::Status status = Open(&text);
    EXPECT_WITH(status.code() == code, std::to_string(number));
    if (code == StatusCode::kNotFound) continue;
    EXPECT(status.domain() == "OSStatus" && status.os_code() == number);
    EXPECT(!status.message().empty() && status.message().find('\n') == std::string::npos);
  }
}

TEST(InPlace, "a commit changes the item in place, and leaves what is not ours") {
  const Scene scene;
  TheKeychain().items[kName].created = 77;
  stc::CommitResult result;
  EXPECT(Commit(Request(), &result).ok());
  EXPECT(result.outcome == CommitOutcome::kWritten && !result.lock_lost);
  EXPECT(TheKeychain().updates == 1 && TheKeychain().additions == 0);
  EXPECT(TheKeychain().items[kName].created == 77);
  EXPECT(ValueOf().find(R"("Other":{"kept":[1]})") != std::string::npos);
  EXPECT(ValueOf().find("FAKE-new") != std::string::npos);
  std::string text;
  std::string stamp;
  EXPECT(Open(&text, &stamp).ok());
  EXPECT_WITH(stamp == result.stamp, stamp);
  EXPECT(result.base_stamp.has_value() && *result.base_stamp != result.stamp);
  // Once more there is nothing to change.
  EXPECT(Commit(Request(), &result).ok());
  EXPECT(result.outcome == CommitOutcome::kUnchanged && TheKeychain().updates == 1);
}

TEST(Creates, "an item is made only where that is asked for") {
  const Scene scene(false);
  stc::CommitResult result;
  EXPECT(Commit(Request(), &result).ok());
  EXPECT(result.outcome == CommitOutcome::kAbsent && TheKeychain().items.empty());
  EXPECT(Commit(Request(true), &result).ok());
  EXPECT(result.outcome == CommitOutcome::kWritten && !result.base_stamp);
  EXPECT(TheKeychain().additions == 1);
}

TEST(Expected, "a stamp that is no longer the item's: changed") {
  const Scene scene;
  stc::CommitRequest request = Request();
  request.expected_stamp.emplace("1:2");
  stc::CommitResult result;
  EXPECT(Commit(request, &result).ok());
  EXPECT(result.outcome == CommitOutcome::kChanged && TheKeychain().updates == 0);
}

TEST(Races, "what others do between the reading and the writing is kept") {
  const struct {
    const char* function;
    int call;
    void (*act)();
    bool has_item;
  } cases[] = {
      {"SecItemCopyMatching", 2, [] { TheKeychain().items[kName].value = "{\"theirs\":{}}"; },
       true},
      {"SecItemCopyMatching", 2, [] { TheKeychain().items.erase(kName); }, true},
      {"SecItemCopyMatching", 2, [] { TheKeychain().items[kName].value = "{}"; }, false},
      {"SecItemUpdate", 1, [] { TheKeychain().items.erase(kName); }, true},
      {"SecItemAdd", 1, [] { TheKeychain().items[kName].value = "{}"; }, false},
  };
  for (const auto& each : cases) {
    const Scene scene(each.has_item);
    int calls = 0;
    TheKeychain().on_call = [&](const std::string& function) {
      if (function == each.function && ++calls == each.call) each.act();
    };
    stc::CommitResult result;
    EXPECT(Commit(Request(!each.has_item), &result).ok());
    EXPECT_WITH(result.outcome == CommitOutcome::kChanged, each.function);
    EXPECT(ValueOf().find("FAKE-new") == std::string::npos);
    TheKeychain().on_call = nullptr;
  }
}

TEST(Questions, "a question that nobody answers ends at the deadline, and harms nobody later") {
  const Scene scene;
  TheKeychain().items[kName].asks = true;
  std::string text;
  const auto start = steady_clock::now();
  const stc::Status status = Open(&text, nullptr, 200);
  EXPECT(status.code() == StatusCode::kStoreTimeout);
  EXPECT(status.message().find("keyringTimeoutInMs") != std::string::npos);
  EXPECT(steady_clock::now() - start < milliseconds(5000));
  EXPECT(stand_in::IsAsking());
  stand_in::Answer(true);
  for (int i = 0; i < 500 && stand_in::IsAsking(); ++i) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT(!stand_in::IsAsking());
}

TEST(Answers, "a question that is answered: yes gives the cache, no is an error") {
  for (const bool is_allowed : {true, false}) {
    const Scene scene;
    TheKeychain().items[kName].asks = true;
    std::thread user([is_allowed] {
      while (!stand_in::IsAsking()) std::this_thread::sleep_for(milliseconds(1));
      stand_in::Answer(is_allowed);
    });
    std::string text;
    const stc::Status status = Open(&text);
    user.join();
    EXPECT(is_allowed ? status.ok() && text == kCache : status.code() == StatusCode::kStoreDenied);
  }
}

TEST(Cancelled, "a job that is cancelled ends at once") {
  const Scene scene;
  TheKeychain().items[kName].asks = true;
  Limits limits(60000);
  std::thread ending([&] {
    while (!stand_in::IsAsking()) std::this_thread::sleep_for(milliseconds(1));
    limits.cancellation.Cancel();
  });
  std::unique_ptr<stc::ByteSource> source;
  const auto start = steady_clock::now();
  EXPECT(Store().Open(At(), limits.limits, &source).code() == StatusCode::kStoreTimeout);
  EXPECT(steady_clock::now() - start < milliseconds(30000));
  ending.join();
}

TEST(NoQuestions, "a commit asks nobody, and leaves the switch as it was") {
  for (const bool before : {true, false}) {
    const Scene scene;
    TheKeychain().items[kName].asks = true;
    TheKeychain().interaction_allowed = before;
    stc::CommitResult result;
    const stc::Status status = Commit(Request(), &result);
    EXPECT(status.code() == StatusCode::kStoreLocked && status.os_code() == -25308);
    EXPECT(TheKeychain().interaction_allowed == before);
    EXPECT(ValueOf() == kCache);
  }
}

TEST(WriteFails, "a write that fails leaves the item") {
  const Scene scene;
  TheKeychain().next_status["SecItemUpdate"] = -25292;
  stc::CommitResult result;
  EXPECT(Commit(Request(), &result).code() == StatusCode::kStoreDenied);
  EXPECT(ValueOf() == kCache);
}

TEST(Signal, "the signal file is made and touched after a write, and not otherwise") {
  const Scene scene;
  const std::string path = "keychain-test-" + std::to_string(getpid()) + ".signal";
  stc::CommitRequest request = Request();
  request.signal_path = path;
  TheKeychain().next_status["SecItemUpdate"] = -36;
  stc::CommitResult result;
  struct stat info;
  EXPECT(!Commit(request, &result).ok());
  EXPECT(stat(path.c_str(), &info) != 0);
  EXPECT(Commit(request, &result).ok());
  EXPECT(stat(path.c_str(), &info) == 0 && (info.st_mode & 0777) == 0600);
  unlink(path.c_str());
}

TEST(Garbage, "what is no cache is not overwritten") {
  const Scene scene;
  TheKeychain().items[kName].value = "eyJhbGciOiJkaXIi.a.b";
  stc::CommitResult result;
  EXPECT(!Commit(Request(), &result).ok());
  EXPECT(TheKeychain().updates == 0);
}

TEST(Large, "an item of 5 MB") {
  const Scene scene;
  std::string large = "{\"AccessToken\":{\"x\":{\"secret\":\"";
  large.append(5 << 20, 'x').append("\"}}}");
  TheKeychain().items[kName].value = large;
  stc::CommitResult result;
  EXPECT(Commit(Request(), &result).ok() && result.outcome == CommitOutcome::kWritten);
  EXPECT(ValueOf().size() > large.size());
}

// Whatever cannot be made: no crash, nothing leaks, and the item is the old or the new one.
TEST(NoMemory, "memory that runs out at any object") {
  int objects = 0;
  {
    const Scene scene;
    stc::CommitResult result;
    stand_in::FailAllocation(0);
    EXPECT(Commit(Request(), &result).ok());
    objects = stand_in::Allocations();
  }
  EXPECT(objects > 10);
  for (int number = 1; number <= objects; ++number) {
    const Scene scene;
    stand_in::FailAllocation(number);
    stc::CommitResult result;
    const stc::Status status = Commit(Request(), &result);
    EXPECT(stand_in::BadReleases() == 0);
    const std::string value = ValueOf();
    const bool is_new = value.find("FAKE-new") != std::string::npos;
    EXPECT(is_new || value == kCache);
    if (status.ok() && result.outcome == CommitOutcome::kWritten) EXPECT(is_new);
  }
}

TEST(References, "no object is freed twice or used after that, by anything above") {
  // Reset sets the count back: each test would have shown it in its own count of live objects.
  const Scene scene;
  std::string text;
  EXPECT(Open(&text).ok());
  stc::CommitResult result;
  EXPECT(Commit(Request(), &result).ok());
  EXPECT(stand_in::BadReleases() == 0);
}

}  // namespace

int main() { return tap::RunAll(); }
