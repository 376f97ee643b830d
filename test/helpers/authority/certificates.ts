/**
 * Makes a certificate authority and a server certificate for one run of one server, so that tests and the demo use
 * verified TLS. Nothing is stored. The authority's private key is dropped after it signs the server certificate.
 */

import {webcrypto} from 'node:crypto';
import {isIP} from 'node:net';
// @peculiar/x509 needs this polyfill before it is imported.
// eslint-disable-next-line import-x/no-unassigned-import
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

export type ServerCertificate = {
	/** The authority's certificate (PEM), which clients must trust. */
	ca: string;
	/** The server's certificate, PEM. */
	cert: string;
	/** The server's private key, PEM (PKCS #8). */
	key: string;
};

export type CertificateOptions = {
	/** All its names. */
	onlyNames?: readonly string[];
	/** When the server's certificate becomes valid, and when it expires, milliseconds from now. */
	fromMs?: number;
	untilMs?: number;
};

const algorithm = {name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256'};
const defaultNames = ['localhost', '127.0.0.1', '::1', 'login.microsoftonline.com', 'login.microsoftonline.us'];
const lifetimeMs = 24 * 3_600_000;
/** Covers clocks that were set back and tests that pretend an earlier time. */
const backdatedMs = 24 * 3_600_000;

/**
 * @param extraNames Host names and IP addresses to add to the certificate, besides loopback and Entra's public and US
 * hosts.
 */
export async function makeServerCertificate(extraNames: readonly string[] = [], {onlyNames, fromMs = -backdatedMs, untilMs = lifetimeMs}: CertificateOptions = {}): Promise<ServerCertificate> {
	const crypto = webcrypto as unknown as Crypto;
	const generateKeys = async () => crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
	const [authorityKeys, serverKeys] = await Promise.all([generateKeys(), generateKeys()]);
	const validity = {notBefore: new Date(Date.now() - backdatedMs), notAfter: new Date(Date.now() + lifetimeMs), signingAlgorithm: algorithm};

	const authority = await x509.X509CertificateGenerator.createSelfSigned({
		...validity,
		name: 'CN=Throw-away test authority',
		keys: authorityKeys,
		extensions: [
			new x509.BasicConstraintsExtension(true, 0, true),
			new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
			await x509.SubjectKeyIdentifierExtension.create(authorityKeys.publicKey, false, crypto),
		],
	}, crypto);

	const names = onlyNames ?? [...new Set([...defaultNames, ...extraNames])];
	const server = await x509.X509CertificateGenerator.create({
		notBefore: new Date(Date.now() + fromMs),
		notAfter: new Date(Date.now() + untilMs),
		signingAlgorithm: algorithm,
		subject: 'CN=Embedded test server',
		issuer: authority.subject,
		publicKey: serverKeys.publicKey,
		signingKey: authorityKeys.privateKey,
		extensions: [
			new x509.BasicConstraintsExtension(false, undefined, true),
			new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
			new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
			new x509.SubjectAlternativeNameExtension(names.map(value => ({type: isIP(value) === 0 ? 'dns' as const : 'ip' as const, value}))),
			await x509.AuthorityKeyIdentifierExtension.create(authorityKeys.publicKey, false, crypto),
		],
	}, crypto);

	const keyBytes = await crypto.subtle.exportKey('pkcs8', serverKeys.privateKey);
	return {ca: authority.toString('pem'), cert: server.toString('pem'), key: x509.PemConverter.encode(keyBytes, 'PRIVATE KEY')};
}
