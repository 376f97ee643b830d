/** Why there is no answer of an authority, in words that name the side that failed and what to do. No I/O. */

import {isIP} from 'node:net';

export type FailureKind = 'network' | 'timeout' | 'too-large' | 'certificate' | 'tls' | 'proxy';

export type FailureOptions = ErrorOptions & {
	/** What to do, one or two sentences. Default: by kind. */
	cure?: string | undefined;
	/** Whether another attempt may succeed. Default: for `network` and `timeout`. */
	isTransient?: boolean;
};

/** There is no response, or it cannot be used. */
export class HttpFailure extends Error {
	override readonly name = 'HttpFailure';
	readonly cure: string | undefined;
	readonly isTransient: boolean;

	constructor(readonly kind: FailureKind, message: string, {cure, isTransient = kind === 'network' || kind === 'timeout', ...options}: FailureOptions = {}) {
		super(message, options);
		this.cure = cure ?? cures[kind];
		this.isTransient = isTransient;
	}
}

const cures: Readonly<Record<FailureKind, string | undefined>> = {
	network: 'Check the network, DNS and proxy settings (HTTPS_PROXY, NO_PROXY).',
	timeout: 'Check the network and proxy, or try again.',
	'too-large': 'Check that authorityHost is an authority.',
	certificate: undefined,
	tls: undefined,
	proxy: undefined,
};

/** The side that an error came from. */
export type Peer = {
	/** The grammatical subject, and what belongs to it. */
	readonly subject: string;
	readonly possessive: string;
	/** What names the peer: an option or an environment variable. */
	readonly setting: string;
	readonly isProxy: boolean;
};

const authority: Peer = {
	subject: 'it', possessive: 'its', setting: 'authorityHost', isProxy: false,
};

type Trouble = readonly [codes: RegExp, what: (peer: Peer) => string, cure: (peer: Peer) => string];

const operator = ({isProxy}: Peer) => `operator of the ${isProxy ? 'proxy' : 'host'}`;

/**
 * Codes of certificate errors, and what to do about each. Sources: Node.js documentation, "TLS: X509 certificate error codes"; OpenSSL,
 * `X509_verify_cert_error_string`.
 */
const certificateTroubles: readonly Trouble[] = [
	[
		/^(?:CERT|CRL)_HAS_EXPIRED$/,
		({possessive}) => `${possessive} certificate has expired`,
		peer => `Check the clock of this machine. If it is right, the ${operator(peer)} has to renew the certificate.`,
	],
	[
		/^(?:CERT|CRL)_NOT_YET_VALID$/,
		({possessive}) => `${possessive} certificate is not valid yet`,
		() => 'Check the clock of this machine.',
	],
	[
		/^(?:ERR_TLS_CERT_ALTNAME_\w+|HOSTNAME_MISMATCH|(?:EMAIL|IP_ADDRESS)_MISMATCH)$/,
		({possessive}) => `${possessive} certificate is for another host name`,
		({setting, isProxy}) => isProxy ? `Write the name of the certificate in ${setting}.` : `Check ${setting} and DNS, and whether a proxy or a sign-in page answers in its place.`,
	],
	[
		/^CERT_(?:REVOKED|REJECTED)$/,
		({possessive}) => `${possessive} certificate was revoked`,
		peer => `Ask the ${operator(peer)}.`,
	],
	[
		/CRL/,
		({possessive}) => `the revocation list for ${possessive} certificate cannot be used`,
		() => 'Renew the revocation list that this program gives to Node.',
	],
	[
		/^(?:ERROR_IN_CERT_\w+|CERT_SIGNATURE_FAILURE|UNABLE_TO_DECRYPT_CERT_SIGNATURE|UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY|CERT_CHAIN_TOO_LONG|PATH_LENGTH_EXCEEDED|INVALID_PURPOSE|INVALID_CA|(?:EE|CA)_KEY_TOO_SMALL|CA_MD_TOO_WEAK)$/,
		({possessive}) => `${possessive} certificate is faulty, or not one of a server`,
		peer => `The ${operator(peer)} has to replace it.`,
	],
	[
		/^(?:CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|UNSPECIFIED$)/,
		({possessive}) => `${possessive} certificate is not trusted`,
		({isProxy}) => `Give Node the certificate authority${isProxy ? '' : ', or that of a proxy that reads TLS,'} in NODE_EXTRA_CA_CERTS.`,
	],
];

/** Codes of other TLS errors. Sources: OpenSSL, `sslerr.h`; Node.js documentation, "Errors: ERR_TLS, ERR_SSL". */
const tlsTroubles: readonly Trouble[] = [
	[
		/^(?:EPROTO|ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|HTTPS_PROXY_REQUEST|UNKNOWN_PROTOCOL|BAD_RECORD_TYPE|RECORD_LAYER_FAILURE|UNEXPECTED_MESSAGE|RECORD_TOO_\w+))$/,
		({subject}) => `${subject} does not answer with TLS`,
		({setting, isProxy}) => isProxy ? `Write http:// instead of https:// in ${setting}.` : `Check the host and port in ${setting}, and whether a proxy answers in its place.`,
	],
	[
		/CERTIFICATE_REQUIRED|ALERT_(?:BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_\w+|ACCESS_DENIED)/,
		({subject}) => `${subject} asks for a client certificate`,
		() => 'Give the credential a dispatcher that has one.',
	],
	[
		/^ERR_(?:SSL|TLS)_/,
		({subject}) => `${subject} and Node cannot agree on TLS`,
		peer => `Check the TLS version and ciphers of Node (--tls-min-v1.2, --tls-cipher-list), or ask the ${operator(peer)}.`,
	],
];

/** Explains an error of a TLS handshake. @returns `undefined` for any other error. */
export function toTlsFailure(error: unknown, peer: Peer = authority): HttpFailure | undefined {
	const cause = toCause(error);
	const {code = ''} = cause;
	const certificate = certificateTroubles.find(([codes]) => codes.test(code));
	const trouble = certificate ?? tlsTroubles.find(([codes]) => codes.test(code));
	return trouble && new HttpFailure(certificate ? 'certificate' : 'tls', `${trouble[1](peer)} (${code})`, {cause, cure: trouble[2](peer)});
}

/** The proxy of an injected dispatcher, of which nothing is known. */
const dispatcherProxy: Peer = {
	subject: 'the dispatcher\'s proxy', possessive: 'the dispatcher\'s proxy: its', setting: 'the dispatcher', isProxy: true,
};

export function toHttpFailure(error: unknown): HttpFailure {
	if (error instanceof HttpFailure) {
		return error;
	}

	const cause = toCause(error);
	const {code = '', name} = cause;
	const {message, cause: inner} = (error ?? {}) as {message?: unknown; cause?: unknown};
	// Source: undici 5 to 7, `lib/dispatcher/proxy-agent.js`.
	const refused = typeof message === 'string' && code === 'UND_ERR_ABORTED' ? /^Proxy response \((\d{3})\)/.exec(message)?.[1] : undefined;
	if (refused !== undefined) {
		return new HttpFailure('proxy', `${dispatcherProxy.subject} refused (${refused})`, {cause, cure: 'Give it the user name and password that it asks for, or ask its operator.', isTransient: isTransientStatus(Number(refused))});
	}

	if (code === 'UND_ERR_PRX_TLS') {
		return toTlsFailure(inner, dispatcherProxy) ?? new HttpFailure('tls', `${dispatcherProxy.subject} and Node cannot agree on TLS (${code})`, {cause});
	}

	return toTlsFailure(error) ?? new HttpFailure('network', name === 'HTTPParserError' ? 'the answer is not HTTP' : code || 'the connection failed', {cause});
}

/** Whether a server that sent this status may give another answer to the same request soon. */
export function isTransientStatus(status: number): boolean {
	return status === 429 || status === 408 || status >= 500;
}

/** What is copied from an error of undici, Node or a dispatcher. */
type Cause = Error & {code?: string; syscall?: string; address?: string; port?: number};

/**
 * Copies only those fields of an error that cannot hold a secret. undici's parser quotes the response in its error, an interceptor may attach
 * the whole response, and the error of an invalid proxy URL contains its password.
 *
 * @param depth How many nested causes are copied.
 */
export function toCause(error: unknown, depth = 3): Cause {
	// When connecting to several addresses fails, there is one error for each.
	const {name, code, syscall, address, port, cause} = ((error instanceof AggregateError && error.errors[0]) || error || {}) as Readonly<Record<string, unknown>>;
	const fields = {
		...(isWord(code) && {code}),
		...(isWord(syscall) && {syscall}),
		...(typeof address === 'string' && isIP(address) > 0 && {address}),
		...(typeof port === 'number' && {port}),
	};
	const text = isWord(name) ? name : 'Error';
	const made: Cause = new Error(
		['The request failed:', fields.syscall ?? text, fields.code, fields.address, fields.port].filter(each => each !== undefined).join(' '),
		cause instanceof Error && depth > 0 ? {cause: toCause(cause, depth - 1)} : undefined,
	);
	return Object.assign(made, fields, {name: text});
}

/** Whether a value looks like the name, code or system call of an error. A dispatcher's error may contain anything. */
function isWord(value: unknown): value is string {
	return typeof value === 'string' && /^[A-Za-z]\w{0,49}$/.test(value);
}
