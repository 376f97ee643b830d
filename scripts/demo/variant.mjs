// Runs one variant of the demo. This is a separate process, so that the first step is a cold start. Its argument is a VariantJob as
// JSON, its output a VariantReport. It uses the built package as an application does.

import {spawnSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {readFileSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';

/** @type {import('./steps.ts').VariantJob} */
const job = JSON.parse(process.argv[2]);
const hits = 200_000;
/** @type {import('./steps.ts').VariantReport} */
const report = {variant: job.variant, steps: [], accounts: []};

async function step(name, action, describe) {
	const start = performance.now();
	const result = await action();
	report.steps.push({name, ms: performance.now() - start, note: describe(result)});
	return result;
}

/** Describes a token by its length. */
function describeToken({token, expiresOnTimestamp}) {
	return `${token.length} characters, expires in ${Math.round((expiresOnTimestamp - Date.now()) / 60_000)} min`;
}

/** Marks the cached access tokens as expired. */
function expire(path) {
	const cache = JSON.parse(readFileSync(path, 'utf8'));
	for (const record of Object.values(cache.AccessToken)) {
		record.expires_on = String(Math.floor(Date.now() / 1000) - 60);
	}

	writeFileSync(path, JSON.stringify(cache, undefined, 4));
}

const digestOf = token => createHash('sha256').update(token).digest('hex');

/** Takes the steps of a second process: loads the package and gets the token. */
async function runNext() {
	const start = performance.now();
	const {SharedTokenCacheCredential} = createRequire(import.meta.url)('../../dist/index.js');
	const credential = new SharedTokenCacheCredential({...job.options, useNativeAddon: job.variant === 'native'});
	const {token} = await credential.getToken(job.scope);
	const ms = performance.now() - start;
	await credential.close();
	return {ms, digest: digestOf(token)};
}

function startNext(token) {
	const {stdout} = spawnSync(process.execPath, [fileURLToPath(import.meta.url), JSON.stringify({...job, isNext: true})], {encoding: 'utf8'});
	const {ms, digest} = JSON.parse(stdout);
	report.steps.push({name: 'another process: load, getToken', ms, note: digest === digestOf(token) ? 'the same token, from the cache' : 'another token'});
}

async function run() {
	const {SharedTokenCacheCredential} = await step(
		'load the package',
		async () => createRequire(import.meta.url)('../../dist/index.js'),
		() => 'require',
	);
	const credential = new SharedTokenCacheCredential({...job.options, useNativeAddon: job.variant === 'native'});
	try {
		const first = await step('first getToken', async () => credential.getToken(job.scope), describeToken);
		const again = await step(
			`getToken again, ${hits.toLocaleString('en')} times`,
			async () => {
				let token;
				for (let hit = 0; hit < hits; hit++) {
					// Callers await each hit, too.
					token = await credential.getToken(job.scope);
				}

				return token;
			},
			token => token === first ? 'the same token, from memory' : 'a new token',
		);
		report.steps.at(-1).ms /= hits;
		report.steps.at(-1).name = 'getToken again (hot, each)';
		report.accounts = (await step('list accounts', async () => credential.listAccounts(), accounts => `${accounts.length} found`))
			.map(({username, homeAccountId, usable, source}) => ({
				username, homeAccountId, usable, source,
			}));
		if (job.expirePath) {
			expire(job.expirePath);
			// The next check of the cache, at most a second later, finds the change.
			await sleep(1100);
			await credential.getToken(job.scope);
			await sleep(100);
			const renewed = await step('the token expires: redeem', async () => credential.getToken(job.scope), token => `${describeToken(token)}${token === again ? ', the old one' : ', a new one'}`);
			startNext(renewed.token);
		}
	} finally {
		await credential.close();
	}
}

if (job.isNext) {
	process.stdout.write(JSON.stringify(await runNext()));
} else {
	try {
		await run();
	} catch (error) {
		report.failure = `${error.name} ${error.code ?? ''}: ${error.message}`;
	}

	process.stdout.write(JSON.stringify(report));
}
