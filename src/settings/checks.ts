/** Checks of single options. */

import {invalidArgument} from '../errors.js';
import {isObject} from '../runtime/json.js';

export function checkIsObject(value: unknown, name: string): asserts value is object {
	if (!isObject(value)) {
		throw invalidArgument(`${name} must be an object.`);
	}
}

/** An empty string counts as not given, as with an environment variable. */
export function optionalString(value: unknown, name: string): string | undefined {
	if (value === undefined || value === '') {
		return undefined;
	}

	if (typeof value !== 'string') {
		throw invalidArgument(`${name} must be a string.`);
	}

	return value;
}

export function optionalBoolean(value: unknown, name: string): boolean | undefined {
	if (value !== undefined && typeof value !== 'boolean') {
		throw invalidArgument(`${name} must be true or false.`);
	}

	return value;
}

/** The longest delay of a Node.js timer, milliseconds. */
const maxTimerMs = 2_147_483_647;

export function milliseconds(value: unknown, name: string, byDefault: number, least: number): number {
	if (value === undefined) {
		return byDefault;
	}

	if (typeof value !== 'number' || !(value >= least && value <= maxTimerMs)) {
		throw invalidArgument(`${name} must be a number of milliseconds from ${least} to ${maxTimerMs}.`);
	}

	return value;
}
