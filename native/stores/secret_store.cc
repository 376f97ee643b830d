#include "stores/secret_store.h"

#include <algorithm>

#include "base/no_destructor.h"

namespace stc {

namespace {

struct Entry {
  const SecretStore* store;
  int rank;
};

// Created on first use: static initialisers of several files fill it, in no defined order.
std::vector<Entry>& Registry() { return NoDestructor<std::vector<Entry>>(); }

// In the order of their rank.
struct SortedStores : std::vector<const SecretStore*> {
  SortedStores() {
    std::vector<Entry> entries = Registry();
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.rank < b.rank; });
    for (const Entry& entry : entries) push_back(entry.store);
  }
};

}  // namespace

const std::vector<const SecretStore*>& RegisteredStores() { return NoDestructor<SortedStores>(); }

bool internal::RegisterStore(const SecretStore* store, int rank) {
  Registry().push_back({store, rank});
  return true;
}

}  // namespace stc
