/**
 * The expected result of a change: a third, simple implementation of the rules of `RecordEdit`, on the objects of
 * `JSON.parse`. It shares no code with the two editors, so tests can compare them with it. It does not check white
 * space, escapes or the order of fields.
 */

import type {CacheChange, RecordEdit} from '../../../dist/backend/backend.js';

type Fields = Record<string, unknown>;

export type EditedRoot =
	| {code: 'STC_CACHE_CORRUPT'}
	| {outcome: 'no-account'}
	| {
		outcome: 'edited';
		root: Fields;
		/** By section: keys of records that an edit may have written or removed. */
		touched: Map<string, Set<string>>;
	};

/** @param parsed The cache from `JSON.parse`, `{}` if it is empty. Not modified. */
export function applyChange(parsed: unknown, {edits, requiredAccount}: CacheChange): EditedRoot {
	if (!isFields(parsed)) {
		return {code: 'STC_CACHE_CORRUPT'};
	}

	const root = copy(parsed);
	if (requiredAccount) {
		const accounts = isFields(root['Account']) ? Object.values(root['Account']).filter(record => isFields(record)).map(record => copy(record)) : [];
		const isThere = accounts.some(account =>
			typeof account['home_account_id'] === 'string'
			&& typeof account['environment'] === 'string'
			&& lower(account['home_account_id']) === lower(requiredAccount.homeAccountId)
			&& requiredAccount.environments.some(environment => lower(environment) === lower(account['environment'] as string)));
		if (!isThere) {
			return {outcome: 'no-account'};
		}
	}

	const touched = new Map<string, Set<string>>();
	for (const name of new Set(edits.map(({section}) => section))) {
		const before = root[name] ?? {};
		if (!isFields(before)) {
			return {code: 'STC_CACHE_CORRUPT'};
		}

		const keys = new Set<string>();
		const after = editRecords(copy(before), edits.filter(({section}) => section === name), keys);
		touched.set(name, keys);
		if (name in root ? root[name] !== null || Object.keys(after).length > 0 : Object.keys(after).length > 0) {
			root[name] = after;
		}
	}

	return {outcome: 'edited', root, touched};
}

function editRecords(records: Fields, edits: RecordEdit[], touched: Set<string>): Fields {
	const owners = new Map<string, number>();
	for (const [key, record] of Object.entries(records)) {
		const owner = edits.findIndex(edit => key === edit.key || (isFields(record) && fits(copy(record), edit)));
		if (owner !== -1) {
			owners.set(key, owner);
			touched.add(key);
		}
	}

	for (const [key, owner] of owners) {
		const {action, unlessNewer, onlyIfOlder, onlyIfSecret, set = {}, unset = [], fill = {}} = edits[owner]!;
		const record = records[key];
		if (isFields(record) && unlessNewer && (seconds(copy(record)[unlessNewer.field]) ?? -1) >= unlessNewer.value) {
			continue;
		}

		if (onlyIfOlder && ((isFields(record) ? seconds(copy(record)[onlyIfOlder.field]) : undefined) ?? Infinity) >= onlyIfOlder.value) {
			continue;
		}

		const secret = isFields(record) ? copy(record)['secret'] : undefined;
		if (onlyIfSecret && typeof secret === 'string' && !['', ...onlyIfSecret].includes(secret)) {
			continue;
		}

		if (action === 'remove') {
			delete records[key];
		} else if (action !== 'add') {
			const written = isFields(record) ? copy(record) : parsedFields(fill);
			for (const name of isFields(record) ? unset : []) {
				delete written[name];
			}

			records[key] = Object.assign(written, parsedFields(set));
		}
	}

	for (const [index, {action, key, fill = {}, set = {}}] of edits.entries()) {
		const mayAdd = action === 'put' || action === 'add';
		if (mayAdd && key !== undefined && ![...owners.values()].includes(index) && !(key in records)) {
			records[key] = Object.assign(parsedFields(fill), parsedFields(set));
			touched.add(key);
		}
	}

	return records;
}

function fits(record: Fields, {match = {}}: RecordEdit): boolean {
	const wanted = Object.entries(match);
	return wanted.length > 0 && wanted.every(([field, values]) => values.some(value => {
		const found = record[field];
		const isWholeNumber = typeof found === 'number' && Number.isInteger(found) && found >= 0 && found <= 1e15;
		const text = typeof found === 'string' ? found : (field === 'family_id' && isWholeNumber ? found.toFixed(0).replace('-', '') : '');
		switch (field) {
			case 'secret': {
				return text === value;
			}

			case 'target':
			case 'requested_scopes': {
				const scopes = (target: string) => new Set(lower(target).split(' ').filter(scope => scope !== ''));
				const [a, b] = [scopes(text), scopes(value)];
				return a.size === b.size && [...a].every(scope => b.has(scope));
			}

			default: {
				return lower(text) === lower(value);
			}
		}
	}));
}

/**
 * Describes the first difference of two parsed texts by names only. Values are tokens, which test output must not
 * contain.
 *
 * @returns `undefined` if they are equal.
 */
export function differenceOfJson(a: unknown, b: unknown, path = '$'): string | undefined {
	if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
		return Object.is(a, b) ? undefined : `${path} differs`;
	}

	if (Array.isArray(a) !== Array.isArray(b)) {
		return `${path} is of another type`;
	}

	for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
		const inner = `${path}[${JSON.stringify(name)}]`;
		if (!Object.hasOwn(a, name) || !Object.hasOwn(b, name)) {
			return `${inner} is missing on one side`;
		}

		const difference = differenceOfJson((a as Fields)[name], (b as Fields)[name], inner);
		if (difference !== undefined) {
			return difference;
		}
	}

	return undefined;
}

function isFields(value: unknown): value is Fields {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Copies into an object without a prototype, so that `__proto__` is an ordinary field and no field is inherited. */
function copy(fields: Fields): Fields {
	return Object.assign(Object.create(null) as Fields, fields);
}

function parsedFields(texts: Readonly<Record<string, string>>): Fields {
	const fields = Object.create(null) as Fields;
	for (const [name, text] of Object.entries(texts)) {
		fields[name] = JSON.parse(text);
	}

	return fields;
}

function lower(text: string): string {
	return text.replaceAll(/[A-Z]/g, letter => String.fromCharCode(letter.charCodeAt(0) + 32));
}

function seconds(value: unknown): number | undefined {
	if (typeof value === 'string') {
		return /^[0-9]{1,15}$/.test(value) ? Number.parseInt(value, 10) : undefined;
	}

	return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 1e15 ? (value as number) : undefined;
}
