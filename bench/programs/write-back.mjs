// P9: asynchronous write of one entry, with a warm page cache, compared with writing the same bytes as one buffer, with
// fdatasync and a rename, and with a program that parses and serializes the cache. The last series shows what fdatasync
// costs. Argument: JSON. Prints series of milliseconds as JSON.

import {
	copyFile, open, readFile, rename, stat,
} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {interleave} from '../statistics.mjs';

const load = createRequire(import.meta.url);
const {editsOfGrant} = load('../../dist/grant/grant-edits.js');
const {jsBackend: pure} = load('../../dist/backend/js/js-backend.js');
const {backend: native, error} = load('../../dist/backend/native-backend.js').loadNativeBackend();
const {storeOf} = load('../../dist/backend/stores.js');

if (!native) {
	throw error;
}

const {path, account, clientId, scope, rounds} = JSON.parse(process.argv[2]);
const {homeAccountId, environment, realm} = account;

/** Each round has other tokens of the same length, so that there is always something to write. */
let round = 0;
function changeOf() {
	round++;
	const expiresOnSec = 4_000_000_000 + round;
	const secret = String(round).padStart(2000, 'x');
	return editsOfGrant({
		response: {
			accessToken: `fake-access-${secret}`, expiresOnSec, scope, refreshToken: `fake-refresh-${secret}`, idToken: `fake-id-${secret}`, familyId: '1',
		},
		account,
		environment,
		environments: [environment],
		clientId,
		isAdfs: false,
		scopes: [scope],
		realm,
		redeemed: {
			homeAccountId, environment, clientId, familyId: '1', secret: '',
		},
		isOwnCache: false,
		// A commit also removes tokens that have expired by then.
		nowSec: Math.floor(Date.now() / 1000) + round,
	}, false);
}

async function copyTo(suffix) {
	await copyFile(path, path + suffix);
	return path + suffix;
}

const viaBackend = (backend, file) => async () => {
	const request = {change: changeOf(), lockPaths: [`${file}.lockfile`, `${file}.java.lockfile`], create: false};
	const start = performance.now();
	const {outcome} = await storeOf(backend, 'plaintext').commit({path: file}, request, 10_000);
	const elapsedMs = performance.now() - start;
	if (outcome !== 'written') {
		throw new Error(`the outcome is ${outcome}`);
	}

	return elapsedMs;
};

const files = {
	native: await copyTo('.native'), pure: await copyTo('.pure'), whole: await copyTo('.whole'), parsed: await copyTo('.parsed'),
};
const whole = await readFile(path);

async function replace(path, content, {isFlushed}) {
	const file = await open(`${path}.tmp`, 'w', 0o600);
	try {
		await file.writeFile(content);
		if (isFlushed) {
			await file.datasync();
		}
	} finally {
		await file.close();
	}

	await rename(`${path}.tmp`, path);
}

const writeWhole = isFlushed => async () => {
	const start = performance.now();
	await replace(files.whole, whole, {isFlushed});
	return performance.now() - start;
};

async function parseAndWrite() {
	const start = performance.now();
	const cache = JSON.parse(await readFile(files.parsed, 'utf8'));
	Object.values(cache.AccessToken)[0].secret = `fake-access-${String(round).padStart(2000, 'x')}`;
	await replace(files.parsed, JSON.stringify(cache), {isFlushed: true});
	return performance.now() - start;
}

const [ours, floor, parsed, variant, unflushed] = await interleave({rounds, warmUpRounds: 3}, [
	viaBackend(native, files.native), writeWhole(true), parseAndWrite, viaBackend(pure, files.pure), writeWhole(false),
]);
const grown = (await stat(files.native)).size - whole.length;
if (Math.abs(grown) > 20_000) {
	throw new Error(`the cache grew by ${grown} bytes: entries were added instead of replaced`);
}

process.stdout.write(JSON.stringify({
	ours, floor, parsed, variant, unflushed,
}));
