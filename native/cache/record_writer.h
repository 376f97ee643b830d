// Creates the text of a new record, and the splices that change an existing one.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_WRITER_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_WRITER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cache/object_splicer.h"
#include "cache/record_edit.h"
#include "json/secure_text.h"

namespace stc {

// Appends `,"name":json`.
void AppendMember(const std::u16string& name, std::string_view json, SecureText* text);

// Text of a new record: an object made of the edit's `fill` and `set`.
SecureText NewRecord(const RecordEdit& edit);

// Appends to `splices`, in the order of offsets, the changes that apply the edit's `set` and
// `unset` to a record. `record`: its text, a well-formed object at `offset`.
void SpliceRecord(std::string_view record, uint64_t offset, const RecordEdit& edit,
                  std::vector<Splice>* splices);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_WRITER_H_
