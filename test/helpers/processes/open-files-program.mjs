/**
 * A process that has as many files open as it may, and then fewer. Argument: JSON of {options, scopes, warmUp}: what is asked for beforehand, and
 * then. Prints JSON: the outcomes while no file could be opened, and after.
 */

import {closeSync, openSync} from 'node:fs';
import {createRequire} from 'node:module';
import process from 'node:process';

// A copy for CommonJS loads its parts when they are needed, as an application's does.
const {SharedTokenCache, SharedTokenCacheCredential} = createRequire(import.meta.url)('../../../dist/index.js');
const {options, scopes, warmUp} = JSON.parse(process.argv[2]);
const files = [];

function openAll() {
	try {
		for (;;) {
			files.push(openSync('/dev/null'));
		}
	} catch {
		// No more can be had.
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

const before = await tokens(warmUp);
if (warmUp.length > 0) {
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
