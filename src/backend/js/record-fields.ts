/** Reads the fields of a parsed record by the addon's rules (`native/cache/cache_record.h`). */

import type {Json} from './cache-file.js';

/** An own property of the record: not one of `Object.prototype`. */
export function own(record: Json, name: string): unknown {
	return Object.hasOwn(record, name) ? record[name] : undefined;
}

export function anyString(record: Json, name: string): string | undefined {
	const value = own(record, name);
	return typeof value === 'string' ? value : undefined;
}

export function requiredString(record: Json, name: string): string | undefined {
	return anyString(record, name) || undefined;
}

/** Larger times and family IDs are invalid. */
const maxInteger = 1e15;

function isInteger(value: unknown): value is number {
	return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= maxInteger;
}

export function time(record: Json, name: string): number | undefined {
	const value = own(record, name);
	if (typeof value === 'string') {
		return /^\d{1,15}$/.test(value) ? Number(value) : undefined;
	}

	// Adding zero turns -0 into 0.
	return isInteger(value) ? value + 0 : undefined;
}

export function familyId(record: Json): string | undefined {
	const value = own(record, 'family_id');
	return isInteger(value) ? String(value) : requiredString(record, 'family_id');
}
