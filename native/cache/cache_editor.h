// PlanEdits: changes records of an MSAL cache by splicing its text, so that all other bytes are
// preserved. The rules are those of CacheChange and RecordEdit in src/backend/backend.ts.
// src/backend/js/edit.ts is the same in JavaScript; test/conformance checks that both produce the
// same bytes.
//
// Exact output, for each object whose members change (a record, a section, the root):
// - Removing a member that has a kept member behind it removes all bytes up to the start of the
//   next member's name. Removing the members behind the last kept one removes all bytes from the
//   end of the kept member's value to the end of the last value. If no member is kept, all bytes
//   from the first name to the end of the last value are removed.
// - New members follow the last kept member's value, each as `,"name":value`. If no member is kept,
//   they start where the first member's name was, or behind the `{` of an empty object, and the
//   first one has no comma. Names are escaped as JSON.stringify escapes them. The order is that of
//   the edits, and within a record that of `set`.
// - A new record is `{"name":value,...}` made of `fill` and `set`, without white space. A new
//   section has no white space either.
// - An empty cache (0 bytes, or white space only) becomes `{"Section":{...}}`.
// - Adding a record to a section that is `null` replaces the `null`. If an edit names a section of
//   any other non-object type, the cache is corrupt.
// - The value of a field that exists is replaced by the new text, unless both are the same text.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_CACHE_EDITOR_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_CACHE_EDITOR_H_

#include "base/status.h"
#include "cache/edit_plan.h"
#include "cache/record_edit.h"
#include "io/byte_source.h"

namespace stc {

// Reads `source` once, to its end, and does not call Verify. Returns kCacheCorrupt or kCacheFormat
// with the same messages as ScanCache, or the error of the source. Sets `plan` only on success.
// Memory: the text of changed records, plus 24 bytes for each record of a section with removals.
// Has no state; safe on any thread.
Status PlanEdits(ByteSource* source, const CacheChange& change, EditPlan* plan);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_CACHE_EDITOR_H_
