import test from 'ava';
import {parseAuthority} from '../../dist/settings/read-authority.js';

const parse = (text: string) => parseAuthority(text, 'authorityHost');

test('accepts a host or URL, in any case, with trailing slashes', t => {
	for (const text of ['login.microsoftonline.com', 'https://LOGIN.microsoftonline.com', 'https://login.microsoftonline.com//', ' login.microsoftonline.com ', 'login.microsoftonline.com:443']) {
		t.like(parse(text), {
			origin: 'https://login.microsoftonline.com', host: 'login.microsoftonline.com', isWellKnown: true, isLoopback: false, isAdfs: false,
		}, text);
	}
});

test('the default authority, a literal, equals its parsed form', t => {
	t.deepEqual(parse('login.microsoftonline.com'), parse('https://login.microsoftonline.com/'));
});

test('returns the aliases of the authority, its own name first', t => {
	t.deepEqual(parse('login.windows.net').environments, ['login.windows.net', 'login.microsoftonline.com', 'login.microsoft.com', 'sts.windows.net']);
	t.deepEqual(parse('login.chinacloudapi.cn').environments, ['login.chinacloudapi.cn', 'login.partner.microsoftonline.cn']);
	t.deepEqual(parse('login.usgovcloudapi.net').environments, ['login.usgovcloudapi.net', 'login.microsoftonline.us']);
	t.deepEqual(parse('login.microsoftonline.de').environments, ['login.microsoftonline.de']);
	t.deepEqual(parse('login.example').environments, ['login.example']);
	t.false(parse('login.example').isWellKnown);
	t.false(parse('login.microsoftonline.com.example').isWellKnown);
});

test('accepts ports, loopback hosts and plain http for loopback', t => {
	t.like(parse('localhost:8443'), {origin: 'https://localhost:8443', host: 'localhost:8443', isLoopback: true});
	t.deepEqual(parse('localhost:8443').environments, ['localhost:8443', 'localhost']);
	t.is(parse('http://127.0.0.1:8080').origin, 'http://127.0.0.1:8080');
	t.true(parse('http://[::1]:8080').isLoopback);
});

test('accepts the path of AD FS only', t => {
	t.like(parse('https://adfs.contoso.com/ADFS/'), {origin: 'https://adfs.contoso.com', isAdfs: true});
});

for (const text of ['http://login.microsoftonline.com', 'ftp://login.example', 'https://', 'https://user:secret@login.example', 'login.example/tenant', 'login.example?x', 'https://login.example#x', 'a b', 'http://localhost.example', 'http://127.0.0.1.example']) {
	test(`refused: ${text}`, t => {
		const error = t.throws(() => parse(text), {instanceOf: TypeError});
		t.true(error.message.startsWith('authorityHost '));
		t.false(error.message.includes('secret'));
	});
}

test('G13: many slashes cost no more than many other characters', t => {
	const timeOf = (text: string) => {
		const startMs = performance.now();
		t.throws(() => parse(text));
		return performance.now() - startMs;
	};

	const best = (text: string) => Math.min(...Array.from({length: 5}, () => timeOf(text)));
	const controlMs = best(`https://login.example/${'ab'.repeat(50_000)}/x`);
	for (const text of [`https://login.example/${'/'.repeat(100_000)}x`, `https://login.example${'/a'.repeat(50_000)}${'/'.repeat(50_000)}x`]) {
		t.true(best(text) < (100 * controlMs) + 100, 'linear');
	}

	t.is(parse(`https://login.example${'/'.repeat(100_000)}`).origin, 'https://login.example');
});
