/** Which proxy a connection goes through, by the option or by the environment. No I/O. Loaded when there may be a proxy. */

import {BlockList, isIP} from 'node:net';
import {domainToASCII} from 'node:url';
import {isLoopbackHost} from '../settings/authority.js';
import type {ProxyOptions} from '../types.js';
import {HttpFailure} from './http-failure.js';

export type Proxy = {
	readonly protocol: 'http:' | 'https:' | 'socks5:';
	/** Without brackets. */
	readonly hostname: string;
	readonly port: number;
	/** User name and password, with a colon between them. */
	readonly credentials: string | undefined;
	/** Scheme, host and port, for error texts. */
	readonly name: string;
	/** The option or environment variable that names the proxy, for error texts. */
	readonly setting: string;
};

export type ProxySettings = {
	option: Readonly<ProxyOptions> | undefined;
	environment: Readonly<Record<string, string | undefined>>;
};

/**
 * The variables that may name the proxy of an https host, in their order. Sources: curl, "Environment" in its manual (lower case first, an
 * empty variable is none); `@azure/core-rest-pipeline` 1.22, `proxyPolicy.ts` (HTTPS_PROXY, ALL_PROXY, HTTP_PROXY).
 */
const variables = ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY', 'http_proxy', 'HTTP_PROXY'];

const defaultPorts: Readonly<Record<Proxy['protocol'], number>> = {'http:': 80, 'https:': 443, 'socks5:': 1080};

/**
 * The proxy for a host. A loopback host has none: a plain http request would go through it in clear. The option outranks the environment and
 * NO_PROXY.
 *
 * @param hostname As in a URL: an IPv6 address in brackets.
 * @throws {HttpFailure} naming the variable that is used, if that is not the URL of a proxy.
 */
export function findProxy(hostname: string, port: number, {option, environment}: ProxySettings): Proxy | undefined {
	const host = normalHost(hostname);
	if (isLoopback(host)) {
		return undefined;
	}

	if (option) {
		const {protocol, hostname: name} = new URL(option.host);
		return toProxy({protocol: protocol as 'http:' | 'https:', hostname: name, port: option.port}, credentialsOf(option.username, option.password), 'proxyOptions');
	}

	const setting = usedVariable(environment);
	if (setting === undefined || isExempt(host, port, environment['no_proxy'] || environment['NO_PROXY'] || '')) {
		return undefined;
	}

	return readProxyUrl(environment[setting]!, setting);
}

function usedVariable(environment: ProxySettings['environment']): string | undefined {
	// In a CGI program, a request's header "Proxy" sets HTTP_PROXY ("httpoxy").
	return variables.find(name => environment[name] && !(name === 'HTTP_PROXY' && environment['REQUEST_METHOD'] && process.platform !== 'win32'));
}

const percentCure = String.raw`Characters such as @, #, / and \ in its user name and password must be percent-encoded (%40, %23, %2F, %5C).`;

function readProxyUrl(value: string, setting: string): Proxy {
	const text = value.trim();
	const wrong = (cure: string) => new HttpFailure('proxy', `the environment variable ${setting} is not the URL of a proxy`, {cure});
	if (text.includes('\\')) {
		// In a URL, a backslash is a slash: what precedes it would be the host.
		throw wrong(String.raw`Write a backslash, as in "domain\user", as %5C.`);
	}

	const usage = 'Set it to a URL such as "http://proxy.example:3128", or unset it.';
	let url: URL;
	try {
		url = new URL(text);
	} catch {
		throw wrong(/^(?:https?|socks\w*):\/\/[^/]*@/.test(text) || /^https?:\/\/[^@]*[#?/][^@]*@/.test(text) ? percentCure : usage);
	}

	const protocol = url.protocol === 'socks:' || url.protocol === 'socks5h:' ? 'socks5:' : url.protocol;
	if ((protocol !== 'http:' && protocol !== 'https:' && protocol !== 'socks5:') || url.hostname === '') {
		throw wrong(usage);
	}

	if (`${url.pathname}${url.search}${url.hash}`.includes('@')) {
		throw wrong(percentCure);
	}

	let credentials: string | undefined;
	try {
		credentials = credentialsOf(decodeURIComponent(url.username), decodeURIComponent(url.password));
	} catch {
		throw wrong(percentCure);
	}

	return toProxy({protocol, hostname: url.hostname, port: url.port === '' ? defaultPorts[protocol] : Number(url.port)}, credentials, setting);
}

function credentialsOf(username: string | undefined, password: string | undefined): string | undefined {
	return username || password ? `${username ?? ''}:${password ?? ''}` : undefined;
}

function toProxy({protocol, hostname, port}: Pick<Proxy, 'protocol' | 'hostname' | 'port'>, credentials: string | undefined, setting: string): Proxy {
	return {
		protocol, hostname: hostname.replace(/^\[(.*)\]$/, '$1'), port, credentials, name: `${protocol}//${hostname}:${port}`, setting,
	};
}

/** Whether NO_PROXY names the host. Sources: curl 8, `noproxy.c`; for ports and `*.`, undici and Go. */
function isExempt(host: string, port: number, list: string): boolean {
	return list.split(/[\s,]+/).some(entry => entry !== '' && isNamedBy(entry, host, port));
}

function isNamedBy(entry: string, host: string, port: number): boolean {
	if (entry === '*') {
		return true;
	}

	const [, bracketed, prefix, bracketedPort] = /^\[([^\]]+)\](?:\/(\d+))?(?::(\d+))?$/.exec(entry) ?? [];
	if (bracketed !== undefined) {
		return isPort(bracketedPort, port) && isAddressIn(host, bracketed, prefix);
	}

	const [, network = '', size] = /^([^/]+)\/(\d+)$/.exec(entry) ?? [];
	if (size !== undefined) {
		return isAddressIn(host, network, size);
	}

	if (isIP(entry) > 0) {
		return isAddressIn(host, entry, undefined);
	}

	const [, name = '', namePort] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
	if (!isPort(namePort, port)) {
		return false;
	}

	if (isIP(name) > 0) {
		return isAddressIn(host, name, undefined);
	}

	const domain = normalHost(name.replace(/^(?:\*?\.)/, ''));
	return domain !== '' && isIP(host) === 0 && (host === domain || host.endsWith(`.${domain}`));
}

function isPort(given: string | undefined, port: number): boolean {
	return given === undefined || Number(given) === port;
}

/** @param prefix Length of the network's prefix. Default: the address alone. */
function isAddressIn(host: string, network: string, prefix: string | undefined): boolean {
	const family = isIP(network);
	const hostFamily = isIP(host);
	const bits = family === 4 ? 32 : 128;
	const length = prefix === undefined ? bits : Number(prefix);
	if (family === 0 || hostFamily === 0 || length > bits) {
		return false;
	}

	const list = new BlockList();
	list.addSubnet(network, length, family === 4 ? 'ipv4' : 'ipv6');
	return list.check(host, hostFamily === 4 ? 'ipv4' : 'ipv6');
}

function isLoopback(host: string): boolean {
	return isLoopbackHost(isIP(host) === 6 ? `[${host}]` : host) || isAddressIn(host, '127.0.0.0', '8') || isAddressIn(host, '::1', undefined);
}

/** Lower case, ASCII, without brackets and without the dot of a full name. */
function normalHost(hostname: string): string {
	const bare = hostname.replace(/^\[(.*)\]$/, '$1');
	const host = isIP(bare) > 0 ? bare : domainToASCII(bare);
	return host.toLowerCase().replace(/\.$/, '');
}
