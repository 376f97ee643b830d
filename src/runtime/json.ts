/** JSON objects. */

export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether this is an object as JSON has them: neither `null` nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @returns `undefined` if the text is not a JSON object. `JSON.parse` quotes the text in its error, so that error goes no further. */
export function parseJsonObject(text: string): JsonObject | undefined {
	try {
		const value: unknown = JSON.parse(text);
		return isObject(value) ? value : undefined;
	} catch {
		return undefined;
	}
}
