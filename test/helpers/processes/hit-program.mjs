// A program: makes a million cache hits between two system calls that nothing else makes. Argument: the scope.

import {existsSync} from 'node:fs';
import {createRequire} from 'node:module';
import process from 'node:process';

const {SharedTokenCacheCredential} = createRequire(import.meta.url)('../../../dist/index.js');
const [scope] = process.argv.slice(2);

// The check of the cache file, once a second by default, is not part of a hit. It would occur in some runs only.
const credential = new SharedTokenCacheCredential({cacheCheckIntervalInMs: 3_600_000});
const {token} = await credential.getToken(scope);
// Warms up, so that the engine has compiled everything before the measurement.
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
