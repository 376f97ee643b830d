/**
 * Changing records of MSAL's cache by splicing its text, so that every byte that is not concerned survives: the twin of
 * `native/cache_editor.cc`, whose header says exactly what comes out. `test/conformance` holds both to the same bytes.
 */

import type {
	CacheChange, EditResult, MatchField, RecordEdit,
} from './backend.js';
import {StoreError} from './errors.js';
import {isObject, type Json, parseCache} from './pure-file.js';
import {
	anyString, familyId, isSame, own, time,
} from './pure-records.js';

/** `end - begin` bytes from `begin` give way to `text`. */
type Splice = {begin: number; end: number; text: string};

/** A member of an object, as positions in the bytes: of its name, its value, and behind its value. */
type Member = {name: string; begin: number; value: number; end: number};

/**
 * @param subject What an error text begins with.
 * @throws {StoreError} `STC_CACHE_CORRUPT`, `STC_CACHE_FORMAT`.
 */
export function editCache(bytes: Uint8Array, change: CacheChange, subject: string): EditResult {
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const {text, root} = parseCache(buffer, subject);
	if (change.requiredAccount && !hasAccount(root, change.requiredAccount)) {
		return {outcome: 'no-account'};
	}

	const splices: Splice[] = [];
	const newSections: string[] = [];
	const members = text === '' ? [] : membersOf(buffer, skipSpace(buffer, 0));
	for (const name of new Set(change.edits.map(edit => edit.section))) {
		const edits = change.edits.filter(edit => edit.section === name);
		const section = new SectionEdits(own(root, name), edits, subject);
		const place = members.findLast(member => member.name === name);
		if (place) {
			section.splice(buffer, place, splices);
		} else if (section.added.length > 0) {
			newSections.push(`${JSON.stringify(name)}:{${section.added.join(',')}}`);
		}
	}

	if (newSections.length > 0) {
		if (text === '') {
			splices.push({begin: 0, end: buffer.length, text: `{${newSections.join(',')}}`});
		} else {
			spliceMembers(skipSpace(buffer, 0), members, {isRemoved: () => false, added: newSections}, splices);
		}
	}

	return splices.length === 0 ? {outcome: 'unchanged'} : {outcome: 'changed', bytes: assemble(buffer, splices)};
}

/** The edits of one section, against the records that count in it. */
class SectionEdits {
	/** Members to add, as text. */
	readonly added: string[] = [];
	readonly #records: unknown;
	/** By key: the edit that a record belongs to. */
	readonly #matched = new Map<string, RecordEdit>();

	constructor(records: unknown, edits: readonly RecordEdit[], subject: string) {
		if (records !== undefined && records !== null && !isObject(records)) {
			throw new StoreError('STC_CACHE_CORRUPT', `${subject} not a token cache: one of its sections is no object. Sign in again or move it away.`, {op: 'edit', store: 'plaintext'});
		}

		this.#records = records;
		for (const [key, record] of Object.entries(records ?? {})) {
			const edit = edits.find(each => each.key === key || (isObject(record) && matchesFields(record, each)));
			if (edit) {
				this.#matched.set(key, edit);
			}
		}

		const used = new Set(this.#matched.values());
		for (const edit of edits) {
			if ((edit.action === 'put' || edit.action === 'add') && !used.has(edit) && edit.key !== undefined) {
				this.added.push(`${JSON.stringify(edit.key)}:${recordText(edit)}`);
			}
		}
	}

	splice(buffer: Buffer, place: Member, splices: Splice[]): void {
		if (!isObject(this.#records)) {
			if (this.added.length > 0) {
				splices.push({begin: place.value, end: place.end, text: `{${this.added.join(',')}}`});
			}

			return;
		}

		if (this.#matched.size === 0 && this.added.length === 0) {
			return;
		}

		const members = membersOf(buffer, place.value);
		const last = new Map(members.map(member => [member.name, member]));
		for (const [key, edit] of this.#matched) {
			const member = last.get(key);
			if (member && (edit.action === 'put' || edit.action === 'update')) {
				spliceRecord(buffer, member, own(this.#records, key), edit, splices);
			}
		}

		spliceMembers(place.value, members, {
			// All of one key, or an older one would come back.
			isRemoved: ({name}) => this.#matched.get(name)?.action === 'remove',
			added: this.added,
		}, splices);
	}
}

function spliceRecord(buffer: Buffer, member: Member, record: unknown, edit: RecordEdit, splices: Splice[]): void {
	if (!isObject(record)) {
		splices.push({begin: member.value, end: member.end, text: recordText(edit)});
		return;
	}

	const {set = {}, unset = [], unlessNewer} = edit;
	if (unlessNewer && (time(record, unlessNewer.field) ?? -1) >= unlessNewer.value) {
		return;
	}

	const fields = membersOf(buffer, member.value);
	const last = new Map(fields.map(field => [field.name, field]));
	const added: string[] = [];
	for (const [name, json] of Object.entries(set)) {
		const field = last.get(name);
		if (!field) {
			added.push(`${JSON.stringify(name)}:${json}`);
		} else if (buffer.toString('utf8', field.value, field.end) !== json) {
			splices.push({begin: field.value, end: field.end, text: json});
		}
	}

	spliceMembers(member.value, fields, {isRemoved: ({name}) => unset.includes(name), added}, splices);
}

function recordText({fill = {}, set = {}}: RecordEdit): string {
	return `{${[...Object.entries(fill), ...Object.entries(set)].map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(',')}}`;
}

/** @param brace Where the object begins. */
function spliceMembers(
	brace: number,
	members: readonly Member[],
	{isRemoved, added}: {isRemoved: (member: Member) => boolean; added: readonly string[]},
	splices: Splice[],
): void {
	let kept: Member | undefined;
	let removed: {begin: number; end: number} | undefined;
	for (const member of members) {
		if (isRemoved(member)) {
			removed = {begin: removed?.begin ?? member.begin, end: member.end};
		} else {
			if (removed) {
				splices.push({begin: removed.begin, end: member.begin, text: ''});
			}

			removed = undefined;
			kept = member;
		}
	}

	const begin = kept?.end ?? removed?.begin ?? brace + 1;
	const end = removed?.end ?? begin;
	const text = added.length === 0 ? '' : (kept ? ',' : '') + added.join(',');
	if (end > begin || text !== '') {
		splices.push({begin, end, text});
	}
}

function assemble(buffer: Buffer, splices: Splice[]): Uint8Array {
	const pieces: Buffer[] = [];
	let position = 0;
	// The sort is stable.
	for (const {begin, end, text} of splices.toSorted((a, b) => a.begin - b.begin)) {
		pieces.push(buffer.subarray(position, begin), Buffer.from(text));
		position = end;
	}

	pieces.push(buffer.subarray(position));
	const size = pieces.reduce((sum, {length}) => sum + length, 0);
	// Of its own, because Node's pool would keep what a wipe forgets.
	const bytes = Buffer.allocUnsafeSlow(size);
	let done = 0;
	for (const piece of pieces) {
		done += piece.copy(bytes, done);
	}

	return bytes;
}

function hasAccount(root: Json, {homeAccountId, environments}: NonNullable<CacheChange['requiredAccount']>): boolean {
	const accounts = own(root, 'Account');
	return isObject(accounts) && Object.values(accounts).some(record => (
		isObject(record)
		&& isSame(anyString(record, 'home_account_id') ?? '', homeAccountId)
		&& environments.some(environment => isSame(anyString(record, 'environment') ?? '', environment))));
}

function matchesFields(record: Json, {match}: RecordEdit): boolean {
	const conditions = Object.entries(match ?? {}) as Array<[MatchField, readonly string[]]>;
	return conditions.length > 0 && conditions.every(([field, values]) => values.some(value => matchesField(record, field, value)));
}

function matchesField(record: Json, field: MatchField, wanted: string): boolean {
	const value = field === 'family_id' ? familyId(record) ?? '' : anyString(record, field) ?? '';
	switch (field) {
		case 'secret': {
			return value === wanted;
		}

		case 'target': {
			return (value === '') === (wanted === '') && scopesOf(value) === scopesOf(wanted);
		}

		default: {
			return isSame(value, wanted);
		}
	}
}

/** The scopes of a target as one text, each once, in an order of their own. Only A-Z are folded. */
function scopesOf(target: string): string {
	const folded = target.replaceAll(/[A-Z]/g, letter => letter.toLowerCase());
	return [...new Set(folded.split(' ').filter(Boolean))].toSorted().join(' ');
}

const quote = 0x22;
const backslash = 0x5C;
const comma = 0x2C;

/** The members of the object that begins at `brace`, in text that is known to be well formed. */
function membersOf(buffer: Buffer, brace: number): Member[] {
	const members: Member[] = [];
	let position = skipSpace(buffer, brace + 1);
	while (buffer[position] === quote) {
		const begin = position;
		const nameEnd = skipString(buffer, begin);
		const value = skipSpace(buffer, skipSpace(buffer, nameEnd) + 1);
		const end = skipValue(buffer, value);
		members.push({
			name: JSON.parse(buffer.toString('utf8', begin, nameEnd)) as string, begin, value, end,
		});
		position = skipSpace(buffer, end);
		if (buffer[position] !== comma) {
			break;
		}

		position = skipSpace(buffer, position + 1);
	}

	return members;
}

function skipSpace(buffer: Buffer, from: number): number {
	let position = from;
	while (buffer[position] === 0x20 || buffer[position] === 0x0A || buffer[position] === 0x0D || buffer[position] === 0x09) {
		position++;
	}

	return position;
}

/** @param from Where the first quotation mark is. */
function skipString(buffer: Buffer, from: number): number {
	let end = from;
	for (;;) {
		end = buffer.indexOf(quote, end + 1);
		let slashes = 0;
		while (buffer[end - 1 - slashes] === backslash) {
			slashes++;
		}

		if (slashes % 2 === 0) {
			return end + 1;
		}
	}
}

function skipValue(buffer: Buffer, from: number): number {
	let depth = 0;
	let position = from;
	do {
		const byte = buffer[position];
		switch (byte) {
			case quote: {
				position = skipString(buffer, position);

				break;
			}

			case 0x7B:
			case 0x5B: {
				depth++;
				position++;

				break;
			}

			case 0x7D:
			case 0x5D: {
				depth--;
				position++;

				break;
			}

			default: {
				if (depth > 0) {
					position++;
				} else {
					// A number or a word.
					while (position < buffer.length && !isEndOfWord(buffer[position])) {
						position++;
					}
				}
			}
		}
	} while (depth > 0);

	return position;
}

function isEndOfWord(byte: number | undefined): boolean {
	return byte === comma || byte === 0x7D || byte === 0x5D || byte === 0x20 || byte === 0x0A || byte === 0x0D || byte === 0x09;
}
