// What an edit makes of a record: a new one, or changes of the text of one that is there.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_RECORD_WRITER_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_RECORD_WRITER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cache/cache_editor.h"
#include "cache/object_splicer.h"
#include "json/secure_text.h"

namespace stc {

// Appends `,"name":json`.
void AppendMember(const std::u16string& name, std::string_view json, SecureText* text);

// A record as it is added.
SecureText NewRecord(const RecordEdit& edit);

// Adds to `splices`, in the order of their offsets, what writes the edit's `set` and `unset` into a
// record. `record`: its text, a well-formed object that begins at `offset`.
void SpliceRecord(std::string_view record, uint64_t offset, const RecordEdit& edit,
                  std::vector<Splice>* splices);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_RECORD_WRITER_H_
