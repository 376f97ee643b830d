/**
 * A program: makes one commit with the code under test. Argument: JSON of {variant, path, uid?, durable?}; `uid` is the user to
 * switch to after the code is loaded. Prints the outcome and `lockLost`, or the error's code, op and osCode, as JSON.
 */

import path from 'node:path';
import process from 'node:process';
import {loadNativeBackend} from '../../../dist/backend/native-backend.js';
import {jsBackend} from '../../../dist/backend/js/js-backend.js';
import {storeOf} from '../../../dist/backend/stores.js';

const {variant, path: cachePath, uid, durable} = JSON.parse(process.argv[2]);
const backend = variant === 'native' ? loadNativeBackend().backend : jsBackend;
if (uid !== undefined) {
	process.setgroups([]);
	process.setgid(uid);
	process.setuid(uid);
}

const change = {
	edits: [{
		section: 'Mine', action: 'put', key: 'k', set: {padding: JSON.stringify('x'.repeat(100_000))},
	}],
};
try {
	const {outcome, lockLost} = await storeOf(backend, 'plaintext').commit({path: cachePath}, {
		change, lockPaths: [`${cachePath}.lockfile`, `${path.dirname(cachePath)}/.lockfile`], create: true, durable,
	}, 1000);
	console.log(JSON.stringify({outcome, lockLost}));
} catch (error) {
	const {name, code, op, osDomain, osCode, message} = error;
	console.log(JSON.stringify({
		name, code, op, osDomain, osCode, message,
	}));
}
