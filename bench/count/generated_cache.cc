#include "generated_cache.h"

#include <cstdint>
#include <random>
#include <utility>

namespace stc {

const char kClientId[] = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
const char kEnvironment[] = "login.microsoftonline.com";

namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

// The C++ standard defines the output of this engine, but not of its distributions.
class Texts {
 public:
  std::string Base64Url(size_t size) {
    return Of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 64, size);
  }
  std::string Guid() {
    return Hex(8) + "-" + Hex(4) + "-4" + Hex(3) + "-8" + Hex(3) + "-" + Hex(12);
  }
  uint64_t Below(uint64_t bound) { return engine_() % bound; }

 private:
  std::string Hex(size_t size) { return Of("0123456789abcdef", 16, size); }
  std::string Of(const char* alphabet, uint64_t count, size_t size) {
    std::string text(size, ' ');
    for (char& c : text) c = alphabet[Below(count)];
    return text;
  }

  std::mt19937_64 engine_{1};
};

class Writer {
 public:
  explicit Writer(CacheStyle style) : is_python_(style == CacheStyle::kPython) {}

  void BeginSection(const char* name) {
    Member(&sections_, 1, name);
    text_ += '{';
    records_ = 0;
  }
  void EndSection() { Close(1); }
  void Record(const std::string& key, const Fields& fields) {
    Member(&records_, 2, key);
    text_ += '{';
    int count = 0;
    for (const auto& [name, value] : fields) {
      Member(&count, 3, name);
      text_ += value;
    }
    Close(2);
  }
  std::string Finish() {
    Close(0);
    return std::move(text_);
  }

 private:
  void Member(int* count, int depth, const std::string& name) {
    if ((*count)++ > 0) text_ += ',';
    Indent(depth);
    text_ += '"' + name + (is_python_ ? "\": " : "\":");
  }
  void Close(int depth) {
    Indent(depth);
    text_ += '}';
  }
  void Indent(int depth) {
    if (is_python_) text_ += '\n' + std::string(static_cast<size_t>(depth) * 4, ' ');
  }

  const bool is_python_;
  std::string text_ = "{";
  int sections_ = 0;
  int records_ = 0;
};

std::string Quoted(const std::string& text) { return '"' + text + '"'; }

}  // namespace

GeneratedCache GenerateCache(int account_count, int tokens_per_account, CacheStyle style) {
  Texts texts;
  GeneratedCache cache;
  std::vector<std::string> names;
  for (int i = 0; i < account_count; ++i) {
    const std::string tenant = texts.Guid();
    cache.accounts.push_back({texts.Guid() + "." + tenant, tenant, {}});
    // A German and a Japanese word.
    const std::string foreign = style == CacheStyle::kPython
                                    ? "m\\u00fcller-\\u540d\\u524d"
                                    : "m\xC3\xBCller-\xE5\x90\x8D\xE5\x89\x8D";
    names.push_back((i % 2 == 1 ? foreign : "user") + std::to_string(i) + "@contoso.com");
  }
  const std::string environment = kEnvironment;
  const std::string client = kClientId;
  const auto common = [&](const GeneratedAccount& account) {
    return Fields{{"home_account_id", Quoted(account.home_account_id)},
                  {"environment", Quoted(environment)}};
  };
  const auto with = [](Fields fields, const Fields& others) {
    fields.insert(fields.end(), others.begin(), others.end());
    return fields;
  };

  Writer writer(style);
  writer.BeginSection("Account");
  for (size_t i = 0; i < cache.accounts.size(); ++i) {
    const GeneratedAccount& account = cache.accounts[i];
    writer.Record(account.home_account_id + "-" + environment + "-" + account.tenant_id,
                  with(common(account),
                       {{"realm", Quoted(account.tenant_id)},
                        {"local_account_id", Quoted(account.home_account_id.substr(0, 36))},
                        {"username", Quoted(names[i])},
                        {"authority_type", Quoted("MSSTS")},
                        {"tenantProfiles", "[" +
                                               Quoted("{\\\"tenantId\\\":\\\"" + account.tenant_id +
                                                      "\\\",\\\"isHomeTenant\\\":true}") +
                                               "]"}}));
  }
  writer.EndSection();
  writer.BeginSection("AccessToken");
  for (GeneratedAccount& account : cache.accounts) {
    for (int token = 0; token < tokens_per_account; ++token) {
      const std::string resource = "https://resource-" + std::to_string(token) + ".example.net";
      account.targets.push_back(resource + "/user_impersonation " + resource + "/.default");
      const std::string& target = account.targets.back();
      writer.Record(
          account.home_account_id + "-" + environment + "-accesstoken-" + client + "-" +
              account.tenant_id + "-" + target,
          with(common(account), {{"credential_type", Quoted("AccessToken")},
                                 {"client_id", Quoted(client)},
                                 {"secret", Quoted("eyFAKE" + texts.Base64Url(100) + "." +
                                                   texts.Base64Url(1300 + texts.Below(900)) + "." +
                                                   texts.Base64Url(342))},
                                 {"realm", Quoted(account.tenant_id)},
                                 {"target", Quoted(target)},
                                 {"cached_at", Quoted("1800000000")},
                                 {"expires_on", Quoted("1800003600")},
                                 {"extended_expires_on", Quoted("1800007200")},
                                 {"token_type", Quoted("Bearer")}}));
    }
  }
  writer.EndSection();
  writer.BeginSection("RefreshToken");
  for (const GeneratedAccount& account : cache.accounts) {
    writer.Record(account.home_account_id + "-" + environment + "-refreshtoken-1--",
                  with(common(account), {{"credential_type", Quoted("RefreshToken")},
                                         {"client_id", Quoted(client)},
                                         {"secret", Quoted("1.FAKE" + texts.Base64Url(1150))},
                                         {"family_id", Quoted("1")}}));
  }
  writer.EndSection();
  writer.BeginSection("AppMetadata");
  writer.Record("appmetadata-" + environment + "-" + client, {{"client_id", Quoted(client)},
                                                              {"environment", Quoted(environment)},
                                                              {"family_id", Quoted("1")}});
  writer.EndSection();
  cache.text = writer.Finish();
  return cache;
}

}  // namespace stc
