import test from 'ava';
import {findProxy} from '../../dist/grant/proxy-rules.js';

const proxyOf = (environment: Record<string, string>, host = 'login.microsoftonline.com', port = 443) => findProxy(host, port, {option: undefined, environment})?.name;

test('D13: HTTPS_PROXY, then ALL_PROXY, then HTTP_PROXY; lower case first; an empty variable is none', t => {
	const all = {
		https_proxy: 'http://a:1', HTTPS_PROXY: 'http://b:1', all_proxy: 'http://c:1', ALL_PROXY: 'http://d:1', http_proxy: 'http://e:1', HTTP_PROXY: 'http://f:1',
	};
	const names = Object.keys(all) as Array<keyof typeof all>;
	for (const [index, name] of names.entries()) {
		const rest = Object.fromEntries(names.slice(index).map(each => [each, all[each]]));
		t.is(proxyOf(rest), all[name]);
		t.is(proxyOf({...Object.fromEntries(names.slice(0, index).map(each => [each, ''])), ...rest}), all[name]);
	}

	t.is(proxyOf({}), undefined);
	t.is(proxyOf(Object.fromEntries(names.map(each => [each, '']))), undefined);
});

test('D13: only the variable that is used is judged', t => {
	t.is(proxyOf({HTTPS_PROXY: 'http://good:1', HTTP_PROXY: 'nonsense', ALL_PROXY: 'ftp://x'}), 'http://good:1');
	t.is(proxyOf({HTTPS_PROXY: 'nonsense', NO_PROXY: '*'}), undefined);
	t.throws(() => proxyOf({ALL_PROXY: 'nonsense', HTTP_PROXY: 'http://good:1'}), {message: /the environment variable ALL_PROXY is not the URL of a proxy/});
});

test('in a CGI program, HTTP_PROXY may come from a request\'s header', t => {
	t.is(proxyOf({HTTP_PROXY: 'http://evil:1', REQUEST_METHOD: 'GET'}), undefined);
	t.is(proxyOf({http_proxy: 'http://good:1', REQUEST_METHOD: 'GET'}), 'http://good:1');
});

for (const [text, name, authorization] of [
	['http://proxy.example', 'http://proxy.example:80', undefined],
	['https://proxy.example', 'https://proxy.example:443', undefined],
	['HTTP://Proxy.Example:8080/', 'http://proxy.example:8080', undefined],
	[' http://proxy.example:8080/path?query ', 'http://proxy.example:8080', undefined],
	['http://[::1]:8080', 'http://[::1]:8080', undefined],
	['socks5://proxy.example', 'socks5://proxy.example:1080', undefined],
	['socks5h://proxy.example:9', 'socks5://proxy.example:9', undefined],
	['socks://ann:FAKE@proxy.example:9', 'socks5://proxy.example:9', 'ann:FAKE'],
	['http://ann:FAKE@proxy.example:8080', 'http://proxy.example:8080', 'ann:FAKE'],
	['http://ann@proxy.example:8080', 'http://proxy.example:8080', 'ann:'],
	['http://corp%5Cann:FAKE%40%3A%2F%23@proxy.example:8080', 'http://proxy.example:8080', String.raw`corp\ann:FAKE@:/#`],
] as const) {
	test(`a proxy URL: ${text}`, t => {
		const proxy = findProxy('login.example', 443, {option: undefined, environment: {HTTPS_PROXY: text}})!;
		t.is(proxy.name, name);
		t.is(proxy.credentials, authorization);
		t.is(proxy.setting, 'HTTPS_PROXY');
	});
}

for (const [text, cure] of [
	[String.raw`http://corp\user:FAKE@proxy.example:8080`, /%5C/],
	['http://proxy.example:8080\\', /%5C/],
	['http://ann:FA#KE@proxy.example:8080', /percent-encoded/],
	['http://ann:1#FAKE@proxy.example:8080', /percent-encoded/],
	['http://ann:1/FAKE@proxy.example:8080', /percent-encoded/],
	['http://ann:1?FAKE@proxy.example:8080', /percent-encoded/],
	['http://ann:FAKE%zz@proxy.example', /percent-encoded/],
	['http://two words', /Set it to a URL/],
	['proxy.example:8080', /Set it to a URL/],
	['ann:FAKE@proxy:3128', /Set it to a URL/],
	['//proxy.example:8080', /Set it to a URL/],
	['http://proxy.example:99999', /Set it to a URL/],
	['http://', /Set it to a URL/],
	['socks4://proxy.example', /Set it to a URL/],
	['ftp://proxy.example', /Set it to a URL/],
] as const) {
	test(`D13: refused as a proxy, with a cure and without its value: ${text}`, t => {
		const error = t.throws<Error & {cure?: string; kind?: string; isTransient?: boolean}>(() => proxyOf({HTTPS_PROXY: text}));
		t.is(error.message, 'the environment variable HTTPS_PROXY is not the URL of a proxy');
		t.regex(error.cure ?? '', cure);
		t.false(error.isTransient);
		t.notRegex(error.cure ?? '', /FAKE/);
	});
}

for (const [list, exempt, others] of [
	['*', ['login.example', '10.0.0.1', '[2001:db8::1]'], []],
	['a,*', ['login.example'], []],
	['a, *', ['login.example'], []],
	['login.example', ['login.example', 'LOGIN.example', 'login.example.', 'eu.login.example'], ['xlogin.example', 'example', 'login.example.evil']],
	['.example', ['login.example', 'example'], ['login.examples']],
	['*.example', ['login.example', 'a.b.example'], ['login.examples']],
	['a.example,login.example', ['login.example'], ['b.example']],
	['a.example login.example', ['login.example', 'a.example'], ['b.example']],
	[' Login.Example. ', ['login.example'], []],
	['login.example:443', ['login.example'], []],
	['login.example:8443', [], ['login.example']],
	['.example:443', ['login.example'], []],
	['10.0.0.1', ['10.0.0.1'], ['10.0.0.10', '110.0.0.1', 'x.10.0.0.1']],
	['10.0.0.0/8', ['10.1.2.3'], ['11.1.2.3', 'ten.example']],
	['10.0.0.0/33', [], ['10.0.0.0']],
	['10.0.0.1:443', ['10.0.0.1'], []],
	['0.0.1', [], ['10.0.0.1']],
	['2001:db8::1', ['[2001:db8::1]', '[2001:DB8:0::1]'], ['[2001:db8::2]']],
	['[2001:db8::1]', ['[2001:db8::1]'], []],
	['[2001:db8::1]:443', ['[2001:db8::1]'], []],
	['[2001:db8::1]:8443', [], ['[2001:db8::1]']],
	['2001:db8::/32', ['[2001:db8:1::1]'], ['[2001:db9::1]', '10.0.0.1']],
	['[2001:db8::]/32', ['[2001:db8:1::1]'], []],
	['', [], ['login.example']],
	[',, ,', [], ['login.example']],
	['.', [], ['login.example']],
	['b\u00FCro.example', ['xn--bro-hoa.example'], []],
] as const) {
	test(`D13: NO_PROXY "${list}"`, t => {
		for (const name of ['NO_PROXY', 'no_proxy']) {
			const environment = {HTTPS_PROXY: 'http://proxy:1', [name]: list};
			for (const host of exempt) {
				t.is(proxyOf(environment, host), undefined, host);
			}

			for (const host of others) {
				t.is(proxyOf(environment, host), 'http://proxy:1', host);
			}
		}
	});
}

test('the lower-case no_proxy comes first, unless it is empty', t => {
	t.is(proxyOf({HTTPS_PROXY: 'http://proxy:1', no_proxy: 'a', NO_PROXY: '*'}), 'http://proxy:1');
	t.is(proxyOf({HTTPS_PROXY: 'http://proxy:1', no_proxy: '', NO_PROXY: '*'}), undefined);
});

test('G3: a loopback host is never proxied, not by the option either', t => {
	const environment = {HTTPS_PROXY: 'http://proxy:1', HTTP_PROXY: 'http://proxy:1', ALL_PROXY: 'http://proxy:1'};
	for (const host of ['localhost', 'LOCALHOST', 'localhost.', '127.0.0.1', '127.1.2.3', '[::1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]']) {
		t.is(proxyOf(environment, host), undefined, host);
		t.is(findProxy(host, 443, {option: {host: 'http://proxy', port: 1}, environment: {}}), undefined, host);
	}

	for (const host of ['localhost.example', '127.0.0.1.example', '128.0.0.1', '[::2]', 'notlocalhost']) {
		t.is(proxyOf(environment, host), 'http://proxy:1', host);
	}
});

test('the option outranks the environment', t => {
	const option = {
		host: 'https://proxy.example', port: 8443, username: String.raw`corp\ann`, password: 'FAKE',
	};
	const proxy = findProxy('login.example', 443, {option, environment: {HTTPS_PROXY: 'nonsense', NO_PROXY: '*'}});
	t.like(proxy, {name: 'https://proxy.example:8443', credentials: String.raw`corp\ann:FAKE`, setting: 'proxyOptions'});
});
