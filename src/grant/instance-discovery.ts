/**
 * Results of instance discovery: whether the public cloud knows an authority. The operator of an authority that it does not know could use a
 * refresh token that is sent there.
 */

import type {AuthenticationError} from '../errors.js';
import {BoundedMap} from '../runtime/bounded-map.js';
import type {JsonObject} from '../runtime/json.js';
import type {Authority} from '../settings/authority.js';
import type {HttpSettings} from './http-client.js';

/** Without `error`, the authority is known. */
export type Discovered = {
	/** When the result expires, by `performance.now()`. */
	untilMs: number;
	/** Why no refresh token is sent to the authority. */
	error?: AuthenticationError;
};

/** How long an authority is remembered as unknown, milliseconds: it may belong to a new cloud. */
export const unknownMs = 3_600_000;

/** How long it is remembered that there was no usable answer, milliseconds. */
export const noAnswerMs = 60_000;

/** Most authorities, and most proxies, that are remembered. */
const maxRemembered = 100;

type Results = BoundedMap<string, Discovered>;

/** By what carries the requests: an answer through one proxy or dispatcher says nothing about the others. */
const byDispatcher = new WeakMap<object, Results>();
const byProxy = new BoundedMap<string, Results>(maxRemembered);

/** Results by the origin of the authority, for all credentials of the process that send their requests the same way. */
export function discoveredThrough({dispatcher, proxy}: HttpSettings): Results {
	const key = JSON.stringify(proxy ?? null);
	const known = dispatcher ? byDispatcher.get(dispatcher) : byProxy.get(key);
	if (known) {
		return known;
	}

	const results: Results = new BoundedMap(maxRemembered);
	if (dispatcher) {
		byDispatcher.set(dispatcher, results);
	} else {
		byProxy.set(key, results);
	}

	return results;
}

/**
 * Whether an answer confirms the authority: it names the authority's endpoint, at the authority's host or at one that it lists as the same.
 * Source: Microsoft identity platform, instance discovery.
 */
export function confirms(json: JsonObject, {host}: Authority): boolean {
	const endpoint = json['tenant_discovery_endpoint'];
	if ('error' in json || typeof endpoint !== 'string' || !URL.canParse(endpoint)) {
		return false;
	}

	const url = new URL(endpoint);
	return url.protocol === 'https:' && (url.host === host || aliasesOf(json).some(aliases => aliases.includes(url.host) && aliases.includes(host)));
}

function aliasesOf({metadata}: JsonObject): string[][] {
	return (Array.isArray(metadata) ? metadata : []).map((entry: {aliases?: unknown} | null) => {
		const aliases: unknown[] = Array.isArray(entry?.aliases) ? entry.aliases : [];
		return aliases.filter(alias => typeof alias === 'string').map(alias => alias.toLowerCase());
	});
}
