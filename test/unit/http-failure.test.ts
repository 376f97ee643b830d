import test from 'ava';
import {HttpFailure, toHttpFailure} from '../../dist/grant/http-failure.js';

const of = (code: string) => toHttpFailure(Object.assign(new Error('FAKE secret'), {code}));

/** Source: Node.js documentation, "TLS: X509 certificate error codes". */
const certificateCodes: Readonly<Record<string, RegExp>> = {
	UNABLE_TO_GET_ISSUER_CERT: /NODE_EXTRA_CA_CERTS/,
	UNABLE_TO_GET_CRL: /revocation list/,
	UNABLE_TO_DECRYPT_CERT_SIGNATURE: /has to replace it/,
	UNABLE_TO_DECRYPT_CRL_SIGNATURE: /revocation list/,
	UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY: /has to replace it/,
	CERT_SIGNATURE_FAILURE: /has to replace it/,
	CRL_SIGNATURE_FAILURE: /revocation list/,
	CERT_NOT_YET_VALID: /clock/,
	CERT_HAS_EXPIRED: /clock.*renew/,
	CRL_NOT_YET_VALID: /clock/,
	CRL_HAS_EXPIRED: /clock/,
	ERROR_IN_CERT_NOT_BEFORE_FIELD: /has to replace it/,
	ERROR_IN_CERT_NOT_AFTER_FIELD: /has to replace it/,
	ERROR_IN_CRL_LAST_UPDATE_FIELD: /revocation list/,
	ERROR_IN_CRL_NEXT_UPDATE_FIELD: /revocation list/,
	DEPTH_ZERO_SELF_SIGNED_CERT: /NODE_EXTRA_CA_CERTS/,
	SELF_SIGNED_CERT_IN_CHAIN: /NODE_EXTRA_CA_CERTS/,
	UNABLE_TO_GET_ISSUER_CERT_LOCALLY: /NODE_EXTRA_CA_CERTS/,
	UNABLE_TO_VERIFY_LEAF_SIGNATURE: /NODE_EXTRA_CA_CERTS/,
	CERT_CHAIN_TOO_LONG: /has to replace it/,
	CERT_REVOKED: /Ask the operator/,
	INVALID_CA: /has to replace it/,
	PATH_LENGTH_EXCEEDED: /has to replace it/,
	INVALID_PURPOSE: /has to replace it/,
	CERT_UNTRUSTED: /NODE_EXTRA_CA_CERTS/,
	CERT_REJECTED: /Ask the operator/,
	HOSTNAME_MISMATCH: /authorityHost/,
	ERR_TLS_CERT_ALTNAME_INVALID: /authorityHost/,
	ERR_TLS_CERT_ALTNAME_FORMAT: /authorityHost/,
	UNSPECIFIED: /NODE_EXTRA_CA_CERTS/,
};

for (const [code, cure] of Object.entries(certificateCodes)) {
	test(`D4: ${code} has its own cure`, t => {
		const failure = of(code);
		t.like(failure, {kind: 'certificate', isTransient: false});
		t.true(failure.message.endsWith(`(${code})`));
		t.regex(failure.message, code.includes('CRL') ? /certificate|revocation/ : /^its certificate /);
		t.regex(failure.cure ?? '', cure);
	});
}

for (const code of ['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG', 'ERR_SSL_HTTP_REQUEST', 'ERR_SSL_UNSUPPORTED_PROTOCOL', 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', 'ERR_SSL_DH_KEY_TOO_SMALL', 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'ERR_TLS_INVALID_PROTOCOL_VERSION']) {
	test(`D4: ${code} is a failure of TLS, not of a certificate`, t => {
		const failure = of(code);
		t.like(failure, {kind: 'tls', isTransient: false});
		t.truthy(failure.cure);
		t.notRegex(`${failure.message} ${failure.cure}`, /NODE_EXTRA_CA_CERTS|trusted/);
	});
}

for (const code of ['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'ETIMEDOUT', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_SOCKET', 'UND_ERR_ABORTED', 'OUT_OF_MEM']) {
	test(`${code} is a failure of the network`, t => {
		t.like(of(code), {kind: 'network', isTransient: true, message: code});
	});
}

test('an error of any shape becomes a failure, without its text', t => {
	for (const error of [undefined, null, 'FAKE', 5, {}, {message: 5}, new Error('FAKE'), {message: 'Proxy response (407) FAKE', code: 'x y'}, new AggregateError([new Error('FAKE')], 'FAKE')]) {
		const failure = toHttpFailure(error);
		t.true(failure instanceof HttpFailure);
		t.is(failure.kind, 'network');
		t.notRegex(`${failure.message} ${failure.cure ?? ''} ${String(failure.cause)}`, /FAKE/);
	}
});

test('D3, D4: failures of an injected dispatcher\'s proxy', t => {
	const aborted = (status: number) => toHttpFailure(Object.assign(new Error(`Proxy response (${status}) !== 200 when HTTP Tunneling`), {code: 'UND_ERR_ABORTED'}));
	t.like(aborted(407), {kind: 'proxy', isTransient: false, message: 'the dispatcher\'s proxy refused (407)'});
	t.like(aborted(503), {kind: 'proxy', isTransient: true});
	const tls = toHttpFailure(Object.assign(new Error('x', {cause: Object.assign(new Error('y'), {code: 'ERR_TLS_CERT_ALTNAME_INVALID'})}), {code: 'UND_ERR_PRX_TLS'}));
	t.like(tls, {kind: 'certificate', message: 'the dispatcher\'s proxy: its certificate is for another host name (ERR_TLS_CERT_ALTNAME_INVALID)'});
	t.like(toHttpFailure(Object.assign(new Error('x'), {code: 'UND_ERR_PRX_TLS'})), {kind: 'tls'});
});
