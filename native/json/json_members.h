// ReadMembers: reads the members of an object one by one.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_JSON_MEMBERS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_JSON_MEMBERS_H_

#include "json/json_reader.h"

namespace stc {

// Reads the object that comes next. Calls `read_member` at the opening quote of each member's name;
// it must read up to the end of the value. Both return false as the methods of JsonReader do.
template <typename ReadMember>
bool ReadMembers(JsonReader* reader, ReadMember read_member) {
  bool is_done = false;
  if (!reader->Expect('{') || !reader->Take('}', &is_done)) return false;
  while (!is_done) {
    int next = -1;
    if (!reader->Peek(&next)) return false;
    if (next != '"') return reader->Expect('"');
    bool has_more = false;
    if (!read_member() || !reader->Take(',', &has_more)) return false;
    if (!has_more) {
      if (!reader->Expect('}')) return false;
      is_done = true;
    }
  }
  return true;
}

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_JSON_MEMBERS_H_
