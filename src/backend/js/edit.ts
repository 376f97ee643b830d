/**
 * Changes records of MSAL's cache by splicing its text, so that all other bytes stay as they are. `native/cache/cache_editor.h` describes
 * the result exactly; `test/conformance` holds both to the same bytes.
 */

import type {
	CacheChange, EditResult, MatchField, RecordEdit,
} from '../backend.js';
import {StoreError} from '../../errors.js';
import {foldAscii, isSame} from '../../runtime/fold-case.js';
import {isObject} from '../../runtime/json.js';
import {type Json, parseCache} from './cache-file.js';
import {type Member, membersOf, skipSpace} from './json-offsets.js';
import {
	anyString, familyId, own, time,
} from './record-fields.js';

/** Replaces the bytes from `begin` to `end` by `text`. */
type Splice = {begin: number; end: number; text: string};

/**
 * @param subject The beginning of an error text.
 * @throws {StoreError} `STC_CACHE_CORRUPT`, `STC_CACHE_FORMAT`.
 */
export function editCache(bytes: Uint8Array, change: CacheChange, subject: string): EditResult {
	const json = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const {text, root} = parseCache(json, subject);
	if (change.requiredAccount && !hasAccount(root, change.requiredAccount)) {
		return {outcome: 'no-account'};
	}

	const sections = [...new Set(change.edits.map(edit => edit.section))].map(name => {
		const edits = change.edits.filter(edit => edit.section === name);
		return {name, edited: editSection(own(root, name), edits, subject)};
	});
	const brace = skipSpace(json, 0);
	const members = text === '' ? [] : membersOf(json, brace);
	const splices: Splice[] = [];
	const newSections: string[] = [];
	for (const {name, edited} of sections) {
		const member = members.findLast(each => each.name === name);
		if (member) {
			spliceSection(json, member, edited, splices);
		} else if (edited.added.length > 0) {
			newSections.push(memberText(name, objectText(edited.added)));
		}
	}

	if (text !== '') {
		spliceMembers(brace, members, {added: newSections}, splices);
	} else if (newSections.length > 0) {
		// A cache of white space alone is written without it.
		splices.push({begin: 0, end: json.length, text: objectText(newSections)});
	}

	return splices.length === 0 ? {outcome: 'unchanged'} : {outcome: 'changed', bytes: assemble(json, splices)};
}

/** The changes of one section. */
type EditedSection = {
	/** `undefined` if there are no records. */
	records: Json | undefined;
	/** The edit that each record belongs to, by the record's key. */
	matched: ReadonlyMap<string, RecordEdit>;
	/** Keys of the records to remove. */
	removed: ReadonlySet<string>;
	/** Members to add, as JSON text. */
	added: string[];
};

function editSection(section: unknown, edits: readonly RecordEdit[], subject: string): EditedSection {
	if (section !== undefined && section !== null && !isObject(section)) {
		throw new StoreError('STC_CACHE_CORRUPT', `${subject} not a token cache: one of its sections is not an object. Sign in again or move it away.`, {op: 'edit', store: 'plaintext'});
	}

	const records = section ?? undefined;
	const matched = new Map<string, RecordEdit>();
	const removed = new Set<string>();
	const finder = new EditFinder(edits);
	for (const [key, record] of Object.entries(records ?? {})) {
		const edit = finder.editOf(key, record);
		if (edit) {
			matched.set(key, edit);
			if (edit.action === 'remove' && !isKept(record, edit)) {
				removed.add(key);
			}
		}
	}

	const used = new Set(matched.values());
	const addedKeys = new Set<string>();
	const added: string[] = [];
	for (const edit of edits) {
		const {action, key} = edit;
		if (
			(action === 'put' || action === 'add') && key !== undefined && !used.has(edit)
			&& !addedKeys.has(key) && (removed.has(key) || !matched.has(key))
		) {
			addedKeys.add(key);
			added.push(memberText(key, newRecord(edit)));
		}
	}

	return {
		records, matched, removed, added,
	};
}

/** Finds the first edit that matches a record. In a map, if it can: a change may have thousands of edits, and a cache as many records. */
class EditFinder {
	readonly #edits: readonly RecordEdit[];
	/** The first edit of each key. */
	readonly #byKey = new Map<string, number>();
	/** Edits that match one secret or more, by each of them. */
	readonly #bySecret = new Map<string, number[]>();
	/** All other edits that match fields. */
	readonly #others: number[] = [];

	constructor(edits: readonly RecordEdit[]) {
		this.#edits = edits;
		for (const [index, {key, match}] of edits.entries()) {
			if (key !== undefined && !this.#byKey.has(key)) {
				this.#byKey.set(key, index);
			}

			if (!match) {
				continue;
			}

			const secrets = match.secret;
			if (!secrets || secrets.includes('')) {
				this.#others.push(index);
				continue;
			}

			for (const secret of new Set(secrets)) {
				const known = this.#bySecret.get(secret);
				if (known) {
					known.push(index);
				} else {
					this.#bySecret.set(secret, [index]);
				}
			}
		}
	}

	editOf(key: string, record: unknown): RecordEdit | undefined {
		let first = this.#byKey.get(key) ?? Infinity;
		if (isObject(record)) {
			for (const indexes of [this.#bySecret.get(anyString(record, 'secret') ?? '') ?? [], this.#others]) {
				const limit = first;
				first = indexes.find(index => index < limit && matchesFields(record, this.#edits[index]!)) ?? first;
			}
		}

		return this.#edits[first];
	}
}

function spliceSection(json: Buffer, section: Member, {records, matched, removed, added}: EditedSection, splices: Splice[]): void {
	if (!records) {
		if (added.length > 0) {
			splices.push({begin: section.value, end: section.end, text: objectText(added)});
		}

		return;
	}

	if (matched.size === 0 && added.length === 0) {
		return;
	}

	const members = membersOf(json, section.value);
	const last = new Map(members.map(member => [member.name, member]));
	for (const [key, edit] of matched) {
		const member = last.get(key);
		const record = own(records, key);
		if (member && (edit.action === 'put' || edit.action === 'update') && !isKept(record, edit)) {
			if (isObject(record)) {
				spliceRecord(json, member, edit, splices);
			} else {
				splices.push({begin: member.value, end: member.end, text: newRecord(edit)});
			}
		}
	}

	spliceMembers(section.value, members, {removed, added}, splices);
}

function spliceRecord(json: Buffer, record: Member, {set = {}, unset = []}: RecordEdit, splices: Splice[]): void {
	const fields = membersOf(json, record.value);
	const last = new Map(fields.map(field => [field.name, field]));
	const added: string[] = [];
	for (const [name, value] of Object.entries(set)) {
		const field = last.get(name);
		if (!field) {
			added.push(memberText(name, value));
		} else if (json.toString('utf8', field.value, field.end) !== value) {
			splices.push({begin: field.value, end: field.end, text: value});
		}
	}

	// A field in both is set.
	const removed = new Set(unset.filter(name => !Object.hasOwn(set, name)));
	spliceMembers(record.value, fields, {removed, added}, splices);
}

/**
 * @param brace The offset of the object's `{`.
 * @param changes Names of members to remove, and members to add. All members of a name are removed: otherwise an older duplicate would count
 * again.
 */
function spliceMembers(
	brace: number,
	members: readonly Member[],
	{removed, added}: {removed?: ReadonlySet<string>; added: readonly string[]},
	splices: Splice[],
): void {
	let keptEnd: number | undefined;
	// One run of removed members, from the first to the last, between two that stay.
	let gap: {begin: number; end: number} | undefined;
	for (const {name, begin, end} of members) {
		if (removed?.has(name)) {
			gap = {begin: gap?.begin ?? begin, end};
		} else {
			if (gap) {
				splices.push({begin: gap.begin, end: begin, text: ''});
			}

			gap = undefined;
			keptEnd = end;
		}
	}

	if (gap !== undefined || added.length > 0) {
		const begin = keptEnd ?? gap?.begin ?? brace + 1;
		const text = added.join(',');
		splices.push({begin, end: gap?.end ?? begin, text: text !== '' && keptEnd !== undefined ? `,${text}` : text});
	}
}

function assemble(json: Buffer, splices: readonly Splice[]): Uint8Array {
	const inOrder = splices.toSorted((a, b) => a.begin - b.begin);
	let size = json.length;
	for (const {begin, end, text} of inOrder) {
		size += Buffer.byteLength(text) - (end - begin);
	}

	// Not from Node's buffer pool: other buffers share its memory, so it cannot be wiped.
	const bytes = Buffer.allocUnsafeSlow(size);
	let copied = 0;
	let done = 0;
	for (const {begin, end, text} of inOrder) {
		done += json.copy(bytes, done, copied, begin);
		done += bytes.write(text, done);
		copied = end;
	}

	json.copy(bytes, done, copied);
	return bytes;
}

function newRecord({fill = {}, set = {}}: RecordEdit): string {
	const filled = Object.entries(fill).filter(([name]) => !Object.hasOwn(set, name));
	return objectText([...filled, ...Object.entries(set)].map(([name, value]) => memberText(name, value)));
}

function memberText(name: string, value: string): string {
	return `${JSON.stringify(name)}:${value}`;
}

function objectText(members: readonly string[]): string {
	return `{${members.join(',')}}`;
}

function hasAccount(root: Json, {homeAccountId, environments}: NonNullable<CacheChange['requiredAccount']>): boolean {
	const accounts = own(root, 'Account');
	return isObject(accounts) && Object.values(accounts).some(record => {
		const id = isObject(record) ? anyString(record, 'home_account_id') : undefined;
		const environment = isObject(record) ? anyString(record, 'environment') : undefined;
		return id !== undefined && environment !== undefined && isSame(id, homeAccountId) && environments.some(each => isSame(environment, each));
	});
}

/** Whether a record that matches stays as it is. */
function isKept(record: unknown, {unlessNewer, onlyIfOlder, onlyIfSecret}: RecordEdit): boolean {
	if (!isObject(record)) {
		return onlyIfOlder !== undefined;
	}

	const secret = anyString(record, 'secret') ?? '';
	return (unlessNewer !== undefined && (time(record, unlessNewer.field) ?? -1) >= unlessNewer.value)
		|| (onlyIfOlder !== undefined && (time(record, onlyIfOlder.field) ?? Infinity) >= onlyIfOlder.value)
		|| (onlyIfSecret !== undefined && secret !== '' && !onlyIfSecret.includes(secret));
}

function matchesFields(record: Json, {match}: RecordEdit): boolean {
	const conditions = Object.entries(match ?? {}) as Array<[MatchField, readonly string[]]>;
	return conditions.length > 0 && conditions.every(([field, values]) => values.some(value => matchesField(record, field, value)));
}

function matchesField(record: Json, field: MatchField, wanted: string): boolean {
	const value = (field === 'family_id' ? familyId(record) : anyString(record, field)) ?? '';
	switch (field) {
		case 'secret': {
			return value === wanted;
		}

		case 'target':
		case 'requested_scopes': {
			return isSame(value, wanted) || scopesOf(value) === scopesOf(wanted);
		}

		default: {
			return isSame(value, wanted);
		}
	}
}

/** The scopes of a target as one string, sorted and without duplicates. */
function scopesOf(target: string): string {
	return [...new Set(foldAscii(target).split(' ').filter(Boolean))].toSorted().join(' ');
}
