#include "secret_store.h"

#include <algorithm>

namespace stc {

namespace {

struct Entry {
  const SecretStore* store;
  int rank;
};

// Filled by static initialisers, whose order is not defined: made by whoever comes first.
std::vector<Entry>& Registry() {
  static std::vector<Entry> registry;
  return registry;
}

}  // namespace

const std::vector<const SecretStore*>& RegisteredStores() {
  static const std::vector<const SecretStore*> stores = [] {
    std::vector<Entry> entries = Registry();
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.rank < b.rank; });
    std::vector<const SecretStore*> sorted;
    for (const Entry& entry : entries) sorted.push_back(entry.store);
    return sorted;
  }();
  return stores;
}

bool internal::RegisterStore(const SecretStore* store, int rank) {
  Registry().push_back({store, rank});
  return true;
}

}  // namespace stc
