/**
 * A program: uses the package with all file descriptors in use, and again after some are closed. Argument: JSON of
 * {options, scopes, warmUp}: `warmUp` are the requests made before. Prints JSON: the outcomes without free file
 * descriptors, and those afterwards.
 */

import {
	closeSync, openSync, readdirSync, readFileSync,
} from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';

// The CommonJS build loads its modules lazily, as in an application.
const {SharedTokenCache, SharedTokenCacheCredential} = createRequire(import.meta.url)('../../../dist/index.js');
const {options, scopes, warmUp} = JSON.parse(process.argv[2]);
const files = [];

function openAll() {
	try {
		for (;;) {
			files.push(openSync('/dev/null'));
		}
	} catch {
		// No file descriptor is left.
	}
}

function closeAll() {
	for (const file of files.splice(0)) {
		closeSync(file);
	}
}

const outcome = async action => {
	try {
		return await action();
	} catch (error) {
		const {name, code, message, osCode} = error;
		return {
			name, code, message, osCode,
		};
	}
};

const credential = new SharedTokenCacheCredential(options);
const tokens = async list => Object.fromEntries(await Promise.all(list.map(async scope => [scope, await outcome(async () => (await credential.getToken(scope)).token)])));
const accounts = () => outcome(async () => (await credential.listAccounts()).map(({username}) => username));

const wholeCache = () => outcome(async () => new SharedTokenCache({useNativeAddon: options.useNativeAddon}).withCache(cache => Object.keys(cache.AccessToken).length));

const folder = path.join(process.env.HOME, '.IdentityService');

/** Whether the tokens are in the cache and the write of them holds no file any more. It would close that later, when no other is free. */
function isWritten(granted) {
	const text = readFileSync(path.join(folder, 'msal.cache.nocae'), 'utf8');
	return Object.values(granted).every(token => text.includes(token)) && !readdirSync(folder).some(name => /\.(?:lease|lockfile|tmp)/.test(name));
}

const before = await tokens(warmUp);
if (warmUp.length > 0) {
	while (!isWritten(before)) {
		await sleep(10);
	}

	await wholeCache();
}

openAll();
const meanwhile = {
	tokens: await tokens(scopes), again: await tokens(scopes), warm: await tokens(warmUp), accounts: await accounts(), wholeCache: await wholeCache(),
};
closeAll();
const after = {tokens: await tokens(scopes), accounts: await accounts(), wholeCache: await wholeCache()};
const native = await outcome(async () => (await new SharedTokenCacheCredential({...options, useNativeAddon: true}).listAccounts()).length);
await credential.close();
console.log(JSON.stringify({
	before, meanwhile, after, native,
}));
