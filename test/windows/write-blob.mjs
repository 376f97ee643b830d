/** A program: writes a cache that DPAPI encrypts for the current user. Argument: the file. */

import process from 'node:process';
import {loadNativeBackend} from '../../dist/backend/native-backend.js';
import {storeOf} from '../../dist/backend/stores.js';

const [path] = process.argv.slice(2);
const {backend, error} = loadNativeBackend();
if (!backend) {
	throw error;
}

await storeOf(backend, 'dpapi').commit({path}, {
	change: {
		edits: [{
			section: 'RefreshToken', action: 'put', key: 'key', set: {secret: '"FAKE-of-another"'},
		}],
	}, lockPaths: [`${path}.lockfile`], create: true,
}, 10_000);
