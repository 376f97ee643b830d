/** JSON objects. */

export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether this is an object as JSON has them: neither `null` nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The most levels that claims may have. Those of a request for claims have five at most. `JSON.stringify` ends a program's stack at thousands. */
export const maxClaimsDepth = 100;

/** {@link parseJsonObject} for claims, which are merged and written again. */
export function parseClaims(text: string): JsonObject | undefined {
	const claims = parseJsonObject(text);
	let level: unknown[] = [claims];
	for (let depth = 0; depth < maxClaimsDepth && level.length > 0; depth++) {
		level = level.flatMap((value): unknown[] => typeof value === 'object' && value !== null ? Object.values(value) : []);
	}

	return level.some(value => typeof value === 'object' && value !== null) ? undefined : claims;
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
