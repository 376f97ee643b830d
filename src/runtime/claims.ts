/** The claims that a request or a challenge asks for. Loaded when there are some. */

import {type JsonObject, parseJsonObject} from './json.js';

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
