/**
 * Scripted responses for the embedded Entra server: everything that an authority, a proxy or the network can do to a
 * token request.
 */

import {setTimeout as sleep} from 'node:timers/promises';
import {clientInfo} from './entra-answers.js';
import {
	type Behaviour, type Exchange, type JsonObject, refusal, sendJson,
} from './entra-server.js';

/** Sends a grant whose JSON `change` has replaced. The return value of `change` is sent without checks. */
export function changedGrant(change: (json: JsonObject) => unknown): Behaviour {
	return exchange => {
		const {status, json} = exchange.answer();
		sendJson(exchange, status, status === 200 ? change(json) : json);
	};
}

/** Sends a grant without these fields. */
export function grantWithout(...names: string[]): Behaviour {
	return changedGrant(json => Object.fromEntries(Object.entries(json).filter(([name]) => !names.includes(name))));
}

/** Sends a grant for another account. */
export function grantForAnotherAccount(uid = '99999999-0000-4000-8000-000000000009', utid = '99999999-0000-4000-8000-00000000000a'): Behaviour {
	return changedGrant(json => ({...json, client_info: clientInfo({uid, utid})}));
}

/**
 * Sends a grant with `expires_on` (Unix seconds as a decimal string) instead of `expires_in`, as version 1 endpoints
 * do.
 */
export function grantWithExpiresOn(): Behaviour {
	return changedGrant(({expires_in: expiresIn, ...rest}) => ({...rest, expires_on: String(Math.floor(Date.now() / 1000) + Number(expiresIn))}));
}

/** Sends a grant whose numbers are decimal strings. */
export function grantWithStringNumbers(): Behaviour {
	return changedGrant(json => Object.fromEntries(Object.entries(json).map(([name, value]) => [name, typeof value === 'number' ? String(value) : value])));
}

const revoked = 'The provided grant has expired due to it being revoked, a fresh auth token is needed.';

/** Sends `invalid_grant`, by default the error for a revoked refresh token. */
export function invalidGrant({code = 50_173, suberror, text = revoked}: {code?: number; suberror?: string; text?: string} = {}): Behaviour {
	return oauthError({
		error: 'invalid_grant', code, text, ...(suberror !== undefined && {suberror}),
	});
}

/** Sends `interaction_required` with a claims challenge for a second factor. */
export function interactionRequired(claims = '{"access_token":{"capolids":{"essential":true,"values":["FAKE-policy"]}}}'): Behaviour {
	return oauthError({
		error: 'interaction_required',
		code: 50_076,
		text: 'Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication.',
		suberror: 'basic_action',
		claims,
	});
}

export function consentRequired(): Behaviour {
	return oauthError({
		error: 'invalid_grant', code: 65_001, text: 'The user or administrator has not consented to use the application.', suberror: 'consent_required',
	});
}

/** Sends an OAuth error in Entra's format. */
export function oauthError(details: Parameters<typeof refusal>[1], status = 400): Behaviour {
	return exchange => {
		sendJson(exchange, status, refusal(exchange.request, details).json);
	};
}

/** Sends a 429 with an OAuth body. `Retry-After` is seconds for a number and an HTTP date for a date. */
export function throttled(retryAfter?: number | Date): Behaviour {
	return exchange => {
		const headers = retryAfter === undefined ? undefined : {'retry-after': typeof retryAfter === 'number' ? String(retryAfter) : retryAfter.toUTCString()};
		const {json} = refusal(exchange.request, {error: 'temporarily_unavailable', code: 90_055, text: 'Too many requests.'});
		sendJson(exchange, 429, json, headers);
	};
}

/** Sends this JSON. */
export function answer(json: JsonObject, {status = 400, headers = {}}: {status?: number; headers?: Readonly<Record<string, string>>} = {}): Behaviour {
	return exchange => {
		sendJson(exchange, status, json, headers);
	};
}

/** Sends a status with a meaningless body, as gateways do. */
export function bareStatus(status: number, headers: Readonly<Record<string, string>> = {}): Behaviour {
	return ({response}) => {
		response.writeHead(status, {'content-length': '0', ...headers});
		response.end();
	};
}

/** Sends `text` as the body. */
export function body(text: string | Buffer, {status = 200, contentType = 'application/json'}: {status?: number; contentType?: string} = {}): Behaviour {
	return exchange => {
		sendBody(exchange, text, status, contentType);
	};
}

/** Sends an HTML page, as captive portals and gateways do. */
export function html(status = 200): Behaviour {
	return body('<!DOCTYPE html>\n<html><head><title>Sign in to the network</title></head><body><h1>Welcome</h1></body></html>\n', {status, contentType: 'text/html'});
}

export function emptyBody(status = 200): Behaviour {
	return body('', {status});
}

/** Sends a grant whose JSON is cut in half, in a complete transfer. */
export function invalidJson(): Behaviour {
	return exchange => {
		const text = JSON.stringify(exchange.answer().json);
		sendBody(exchange, text.slice(0, text.length / 2), 200, 'application/json');
	};
}

export function jsonArray(): Behaviour {
	return changedGrant(json => [json]);
}

/** Sends a grant with one extra field that makes the body at least this long. */
export function oversizedBody(sizeBytes = 2 * 1024 * 1024): Behaviour {
	return changedGrant(json => ({...json, padding: 'x'.repeat(sizeBytes)}));
}

/** @param status 301, 302, 303, 307 or 308. */
export function redirect(status: number, location: string): Behaviour {
	return bareStatus(status, {location});
}

/** Sends the grant, but delays the headers. */
export function slowHeaders(delayMs: number): Behaviour {
	return async exchange => {
		await sleep(delayMs, undefined, {signal: exchange.signal});
		const {status, json} = exchange.answer();
		sendJson(exchange, status, json);
	};
}

/** Sends the headers and half of the body at once, and the rest when `mayEnd` resolves. */
export function slowBody(mayEnd: Promise<void>): Behaviour {
	return async exchange => {
		const bytes = startAnswer(exchange);
		exchange.response.write(bytes.subarray(0, bytes.length / 2));
		await mayEnd;
		exchange.response.end(bytes.subarray(bytes.length / 2));
	};
}

/** Reads the request and never answers. */
export function noAnswer(): Behaviour {
	return () => undefined;
}

/** Resets the TCP connection after it has read the request. */
export function resetBeforeHeaders(): Behaviour {
	return ({reset}) => {
		reset();
	};
}

/** Resets the TCP connection after the headers, before the first byte of the body. */
export function resetAfterHeaders(): Behaviour {
	return async exchange => {
		startAnswer(exchange);
		exchange.response.flushHeaders();
		await flushed(exchange);
		exchange.reset();
	};
}

/** Resets the TCP connection in the middle of the body. */
export function resetInBody(): Behaviour {
	return async exchange => {
		const bytes = startAnswer(exchange);
		exchange.response.write(bytes.subarray(0, bytes.length / 2));
		await flushed(exchange);
		exchange.reset();
	};
}

/** Closes the connection normally in the middle of a body whose length was announced. */
export function truncatedBody(): Behaviour {
	return exchange => {
		const bytes = startAnswer(exchange);
		exchange.response.write(bytes.subarray(0, bytes.length / 2), () => {
			exchange.response.socket?.end();
		});
	};
}

/**
 * Sends a grant that is invalid HTTP in one place. The grant or the request stands where a parser's error message
 * quotes it.
 */
export function brokenHttp(how: keyof typeof brokenAnswers): Behaviour {
	return ({response, request, answer}) => {
		const {json} = answer();
		response.socket?.end(brokenAnswers[how](JSON.stringify(json), request.body.toString('utf8')));
	};
}

const brokenAnswers = {
	'an invalid chunk size': (grant: string) => `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n${grant}\r\n0\r\n\r\n`,
	'an invalid header': (grant: string) => `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nno header\r\n\r\n${grant}`,
	'no status line': (grant: string) => grant,
	'the request in the place of the status line': (_grant: string, request: string) => request,
	'a header that holds the grant': (grant: string) => `HTTP/1.1 200 OK\r\n${grant}\r\n\r\n`,
};

/** The ways in which {@link brokenHttp} can break a response. */
export const httpBreaks = Object.keys(brokenAnswers) as Array<keyof typeof brokenAnswers>;

function sendBody({response}: Exchange, text: string | Buffer, status: number, contentType: string): void {
	response.writeHead(status, {'content-type': contentType, 'content-length': Buffer.byteLength(text)});
	response.end(text);
}

function startAnswer({response, answer}: Exchange): Buffer {
	const {status, json} = answer();
	const bytes = Buffer.from(JSON.stringify(json));
	response.writeHead(status, {'content-type': 'application/json; charset=utf-8', 'content-length': bytes.length});
	return bytes;
}

/** Waits until the client has received the data: a reset discards what the kernel has not delivered yet. */
async function flushed({signal}: Exchange): Promise<void> {
	await sleep(50, undefined, {signal});
}
