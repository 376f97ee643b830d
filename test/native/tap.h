// A small test harness for programs without Node: prints TAP and sets the exit code. The plan is
// printed last, so that the output of a program that ends early has no plan.

#ifndef AZURE_SHARED_TOKEN_CACHE_TEST_NATIVE_TAP_H_
#define AZURE_SHARED_TOKEN_CACHE_TEST_NATIVE_TAP_H_

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace tap {

struct Test {
  const char* name;
  void (*run)();
};

inline std::vector<Test>& Tests() {
  static std::vector<Test> tests;
  return tests;
}

inline bool& IsFine() {
  static bool is_fine = true;
  return is_fine;
}

struct Registration {
  Registration(const char* name, void (*run)()) { Tests().push_back({name, run}); }
};

inline void Expect(bool is_true, const char* what, const std::string& detail, const char* file,
                   int line) {
  if (is_true) return;
  IsFine() = false;
  std::printf("# %s:%d: %s%s%s\n", file, line, what, detail.empty() ? "" : ": ", detail.c_str());
}

// Runs all tests. Returns 0 if there is at least one and all pass.
inline int RunAll() {
  int failed = 0;
  int number = 0;
  for (const Test& test : Tests()) {
    IsFine() = true;
    test.run();
    if (!IsFine()) ++failed;
    std::printf("%s %d - %s\n", IsFine() ? "ok" : "not ok", ++number, test.name);
    std::fflush(stdout);
  }
  std::printf("1..%d\n", number);
  return failed == 0 && number > 0 ? 0 : 1;
}

}  // namespace tap

#define TEST(identifier, name)                                                \
  static void identifier();                                                   \
  static const tap::Registration identifier##_registration(name, identifier); \
  static void identifier()

#define EXPECT(condition) tap::Expect(condition, #condition, "", __FILE__, __LINE__)
#define EXPECT_WITH(condition, detail) \
  tap::Expect(condition, #condition, detail, __FILE__, __LINE__)

#endif  // AZURE_SHARED_TOKEN_CACHE_TEST_NATIVE_TAP_H_
