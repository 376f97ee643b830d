/** Reading the fields of a parsed record as the addon does (`native/cache/cache_record.h`). */

import type {Json} from './cache-file.js';

/** A field of the record itself: not what every object has. */
export function own(record: Json, name: string): unknown {
	return Object.hasOwn(record, name) ? record[name] : undefined;
}

export function isPureAscii(text: string): boolean {
	return /^[\u0000-\u007F]*$/.test(text);
}

/** Equal but for the case of A-Z. */
export function isSame(a: string, b: string): boolean {
	// Nearly always the case is the same, too, or nothing is.
	return a === b || (a.length === b.length && foldAscii(a) === foldAscii(b));
}

/** Lower case for A-Z alone: toLowerCase would also change letters that no library folds. */
export function foldAscii(text: string): string {
	return isPureAscii(text) ? text.toLowerCase() : text.replaceAll(/[A-Z]/g, letter => letter.toLowerCase());
}

export function anyString(record: Json, name: string): string | undefined {
	const value = own(record, name);
	return typeof value === 'string' ? value : undefined;
}

export function requiredString(record: Json, name: string): string | undefined {
	return anyString(record, name) || undefined;
}

/** Times and family ids beyond this are nonsense. */
const maxInteger = 1e15;

function isInteger(value: unknown): value is number {
	return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= maxInteger;
}

export function time(record: Json, name: string): number | undefined {
	const value = own(record, name);
	if (typeof value === 'string') {
		return /^\d{1,15}$/.test(value) ? Number(value) : undefined;
	}

	// Adding zero makes 0 of -0.
	return isInteger(value) ? value + 0 : undefined;
}

export function familyId(record: Json): string | undefined {
	const value = own(record, 'family_id');
	return isInteger(value) ? String(value) : requiredString(record, 'family_id');
}
