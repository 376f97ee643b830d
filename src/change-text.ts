/** A change as the addon takes it: as JSON text, because `native/change_text.h` says why. Loaded with the first change. */

import type {CacheChange, RecordEdit} from './backend.js';

export function changeText({edits, requiredAccount}: CacheChange): string {
	return `{"edits":[${edits.map(edit => editText(edit)).join(',')}]${requiredAccount ? `,"requiredAccount":${JSON.stringify(requiredAccount)}` : ''}}`;
}

function editText({set = {}, fill = {}, ...others}: RecordEdit): string {
	return `${JSON.stringify(others).slice(0, -1)},"fill":${fieldsText(fill)},"set":${fieldsText(set)}}`;
}

/** The values stand in it as they are, since they are JSON text. If one is not, the addon sees it. */
function fieldsText(fields: Readonly<Record<string, string>>): string {
	return `{${Object.entries(fields).map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(',')}}`;
}
