// A million hits between two system calls that nothing else makes. Argument: the scope.

import {existsSync} from 'node:fs';
import {createRequire} from 'node:module';
import process from 'node:process';

const {SharedTokenCacheCredential} = createRequire(import.meta.url)('../../../dist/index.js');
const [scope] = process.argv.slice(2);

// The look at the cache, once a second by default, is no part of a hit, and would fall into some runs and not into others.
const credential = new SharedTokenCacheCredential({cacheCheckIntervalInMs: 3_600_000});
const {token} = await credential.getToken(scope);
// Compiled and settled, so that the engine has nothing left to set up.
for (let index = 0; index < 200_000; index++) {
	await credential.getToken(scope);
}

existsSync('/hits-begin');
let last;
for (let index = 0; index < 1_000_000; index++) {
	last = await credential.getToken(scope);
}

existsSync('/hits-end');
await credential.close();
process.stdout.write(last.token === token ? 'served' : 'not the token');
