/**
 * MSAL for Python with its extensions, plaintext and keyring, reads what our credential writes: it finds and redeems
 * our tokens, and both continue when each writes between the other's read and write. Sign-outs and foreign data are
 * tested here for MSAL for Node as well; `msal-node-writers.test.ts` contains its other tests.
 */

import {mkdirSync, readdirSync, readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import type {SharedTokenCacheCredential} from '../../dist/index.js';
import {type EntraServer, startEntraServer} from '../helpers/authority/entra-server.js';
import {holdAnswer} from '../helpers/processes/fleet.js';
import {
	ann, bob, type CacheSections, homeAccountId, TestHome,
} from '../helpers/home.js';
import {missingKeyring, startKeyring} from '../helpers/keyring/keyring.js';
import {MsalProcess} from '../helpers/peers/msal-process.js';
import {lackOf, lackOfAddon, testWhere} from '../helpers/peers/peers.js';
import {PythonProcess} from '../helpers/peers/python-process.js';
import {readInProcess} from '../helpers/processes/reader.js';
import {
	environmentOf, namer, nameTokens, query, storage, vault,
} from '../helpers/peers/written-cache.js';
import {until} from '../helpers/until.js';

const scopeOf = (name: string) => `https://${name}.example/.default`;
const refreshTokenOfBob = 'FAKE-refresh-bob';
/** Longer than the delay of the first check after a write, and a repair. */
const lookedMs = 2500;

type Stage = {entra: EntraServer; home: TestHome; cachePath: string; name: (secret: string | undefined) => string};

async function setStage(t: ExecutionContext, rotation: 'keep-old' | 'revoke-old' = 'keep-old'): Promise<Stage> {
	const home = new TestHome(t);
	const cachePath = join(home.path, '.IdentityService', 'msal.cache.nocae');
	mkdirSync(dirname(cachePath), {recursive: true, mode: 0o700});
	const entra = await startEntraServer({rotation, deviceCodeUser: ann, refreshTokens: {[refreshTokenOfBob]: bob}});
	t.teardown(async () => entra.close());
	return {
		entra, home, cachePath, name: secret => namer(entra)(secret),
	};
}

/** MSAL for Python, with a user signed in. */
async function startPython(t: ExecutionContext, {entra, home, cachePath}: Stage): Promise<PythonProcess> {
	const python = await PythonProcess.start(t, {
		store: 'plaintext', cachePath, server: entra, tenant: ann.utid,
	}, environmentOf(home));
	await python.ask({do: 'signIn', scopes: [scopeOf('first')]});
	return python;
}

const read = (cachePath: string) => JSON.parse(readFileSync(cachePath, 'utf8')) as CacheSections;
const token = async (credential: SharedTokenCacheCredential, scope: string) => (await credential.getToken(scope)).token;

/** Gets a token and waits until it is in the cache. On a busy machine the caller gets it earlier. */
async function writtenToken(credential: SharedTokenCacheCredential, scope: string, cachePath: string): Promise<string> {
	const given = await token(credential, scope);
	await until(() => readFileSync(cachePath, 'utf8').includes(given));
	return given;
}

for (const variant of ['native', 'pure'] as const) {
	const lacks = [lackOf('msal-python'), variant === 'native' ? lackOfAddon() : undefined];

	testWhere(test, lacks, `MSAL for Python, plaintext, ${variant}: finds our access token, redeems our refresh token, and vice versa`, async t => {
		const stage = await setStage(t, 'revoke-old');
		const {entra, home, cachePath, name} = stage;
		const python = await startPython(t, stage);
		const credential = home.credential({useNativeAddon: variant === 'native'}, entra);
		t.is(name(await writtenToken(credential, vault, cachePath)), 'access token 2');
		t.is(name(entra.grants[1]!.redeemed), 'refresh token 1');

		t.is(name(await python.silent(ann.username, vault)), 'access token 2');
		t.is(entra.tokenRequests.length, 2, 'without a request');
		t.deepEqual(await python.ask<string[]>({do: 'accounts'}), [ann.username], 'the account still has its name');
		// Only the last refresh token is valid.
		t.is(name(await python.silent(ann.username, storage)), 'access token 3');
		t.is(name(entra.grants[2]!.redeemed), 'refresh token 2');
		t.is(name(await writtenToken(credential, scopeOf('third'), cachePath)), 'access token 4');
		t.is(name(entra.grants[3]!.redeemed), 'refresh token 3');
		t.is(name(await token(credential, storage)), 'access token 3', 'its access token, without a request');
		t.is(name(await python.silent(ann.username, scopeOf('third'))), 'access token 4');
		t.is(name(await python.silent(ann.username, scopeOf('first'))), 'access token 1');
		t.is(entra.tokenRequests.length, 4);
		// A check after a write holds the locks for a moment.
		await until(() => readdirSync(dirname(cachePath)).length === 1);
	});

	testWhere(test, lacks, `MSAL for Python, ${variant}: each writes between the other's read and write`, async t => {
		const stage = await setStage(t);
		const {entra, home, cachePath, name} = stage;
		const python = await startPython(t, stage);
		const credential = home.credential({useNativeAddon: variant === 'native'}, entra);

		const itsAnswer = holdAnswer();
		entra.script(itsAnswer.behaviour);
		const its = python.silent(ann.username, storage, true);
		await itsAnswer.arrived;
		t.is(name(await writtenToken(credential, vault, cachePath)), 'access token 2');
		itsAnswer.release();
		t.is(name(await its), 'access token 3');
		t.is(name(await python.silent(ann.username, vault)), 'access token 2');

		const ourAnswer = holdAnswer();
		entra.script(ourAnswer.behaviour);
		const ours = writtenToken(credential, scopeOf('ours'), cachePath);
		await ourAnswer.arrived;
		t.is(name(await python.silent(ann.username, scopeOf('its'))), 'access token 4');
		ourAnswer.release();
		t.is(name(await ours), 'access token 5');
		t.is(name(await python.silent(ann.username, scopeOf('ours'))), 'access token 5');
		await sleep(lookedMs);
		const secrets = Object.values(read(cachePath)['AccessToken']!).map(({secret}) => name(String(secret)));
		t.deepEqual(secrets.toSorted(), [1, 2, 3, 4, 5].map(number => `access token ${number}`));
		t.is(entra.tokenRequests.length, 5);
	});
}

testWhere(test, [lackOf('msal-python-keyring'), lackOfAddon(), missingKeyring()], 'MSAL for Python, keyring: finds our access token, redeems our refresh token, and vice versa', async t => {
	const {entra, home, cachePath, name} = await setStage(t, 'revoke-old');
	const keyring = await startKeyring();
	t.teardown(async () => keyring.close());
	const environment = environmentOf(home, keyring.environment);
	const python = await PythonProcess.start(t, {
		store: 'keyring', cachePath, server: entra, tenant: ann.utid,
	}, environment);
	await python.ask({do: 'signIn', scopes: [scopeOf('first')]});
	const ask = async (...scopes: string[]) => nameTokens(await readInProcess({
		variant: 'native', query, server: {port: entra.port, ca: entra.ca}, options: {}, requests: scopes.map(scope => ({scope})),
	}, environment), name);

	t.deepEqual(await ask(vault), ['access token 2']);
	t.is(name(await python.silent(ann.username, vault)), 'access token 2');
	t.is(entra.tokenRequests.length, 2, 'without a request');
	t.deepEqual(await python.ask<string[]>({do: 'accounts'}), [ann.username]);
	t.is(name(await python.silent(ann.username, storage)), 'access token 3');
	t.is(name(entra.grants[2]!.redeemed), 'refresh token 2');
	t.deepEqual(await ask(storage, scopeOf('third'), scopeOf('first')), ['access token 3', 'access token 4', 'access token 1']);
	t.is(name(entra.grants[3]!.redeemed), 'refresh token 3');
	t.is(name(await python.silent(ann.username, scopeOf('third'))), 'access token 4');
	t.is(entra.tokenRequests.length, 4);
	t.false(readFileSync(cachePath, 'utf8').includes('FAKE'), 'no secret in the file');
	await until(() => readdirSync(dirname(cachePath)).length === 1);
});

testWhere(test, [lackOf('msal-python'), lackOfAddon()], 'an account that MSAL for Python signs out during our write is not restored and leaves no secret', async t => {
	const stage = await setStage(t);
	const {
		entra, home, cachePath, name,
	} = stage;
	const python = await startPython(t, stage);
	// It removes the tokens one by one, and then the account.
	for (let index = 0; index < 8; index++) {
		await python.silent(ann.username, scopeOf(`its-${index}`));
	}

	const credential = home.credential({cacheCheckIntervalInMs: 20}, entra);
	await token(credential, scopeOf('ours'));
	const held = Array.from({length: 40}, () => holdAnswer());
	entra.script(...held.map(({behaviour}) => behaviour));
	const ours = Array.from({length: 40}, async (_, index) => token(credential, scopeOf(`ours-${index}`)));
	// All callers redeem the refresh token before the first gets its response. The responses come during the sign-out.
	await Promise.all(held.map(async ({arrived}) => arrived));
	const signedOut = python.ask({do: 'signOut', username: ann.username});
	for (const each of held) {
		each.release();
		await sleep(3);
	}

	const given = (await Promise.allSettled(ours)).filter(({status}) => status === 'fulfilled').length;
	await signedOut;
	t.log(`${given} of 40 tokens were granted beside the sign-out.`);
	const left = () => Object.entries(read(cachePath)).filter(([section, records]) => section !== 'AppMetadata' && Object.keys(records).length > 0).map(([section]) => section);
	await until(() => left().length === 0);
	await sleep(lookedMs);
	t.deepEqual(left(), []);
	t.false(readFileSync(cachePath, 'utf8').includes(homeAccountId(ann)));
	await t.throwsAsync(token(credential, scopeOf('after')).then(name), {name: 'CredentialUnavailableError'});
	t.deepEqual(await python.ask<string[]>({do: 'accounts'}), []);
});

testWhere(test, [lackOf('msal-node'), lackOfAddon()], 'an account that MSAL for Node signs out is not restored, and another one\'s tokens are kept', async t => {
	const {entra, home, cachePath, name} = await setStage(t);
	const node = await MsalProcess.start(t, {plugin: 'extensions', cachePath, server: entra}, environmentOf(home));
	await node.ask({do: 'deviceCode', scopes: [storage]});
	await node.ask({do: 'signIn', refreshTokens: [refreshTokenOfBob], scopes: [storage]});
	const ofAnn = home.credential({username: ann.username, cacheCheckIntervalInMs: 20}, entra);
	const ofBob = home.credential({username: bob.username}, entra);
	const [anns, bobs] = await Promise.all([token(ofAnn, vault), token(ofBob, vault)]);
	await node.ask({do: 'signOut', username: ann.username});
	await until(() => !readFileSync(cachePath, 'utf8').includes(anns));
	await sleep(lookedMs);
	const text = readFileSync(cachePath, 'utf8');
	t.false(text.includes(anns));
	t.false(text.includes(homeAccountId(ann)));
	t.true(text.includes(bobs));
	// A hit is served before the cache is checked.
	await until(async () => {
		try {
			await ofAnn.getToken(vault);
			return false;
		} catch {
			return true;
		}
	});
	await t.throwsAsync(token(ofAnn, vault).then(name), {name: 'CredentialUnavailableError'});
	t.is(name(await token(ofBob, vault)), name(bobs));
	t.deepEqual(await node.accounts(), [bob.username]);
});

test('foreign data is kept byte for byte: unknown sections, fields, numbers, white space, order', async t => {
	const {entra, home, cachePath} = await setStage(t);
	const id = homeAccountId(bob);
	const pieces = [
		'{\r\n\t"Unknown" :{"a":[1.50e+3, -0, 12345678901234567890, {"\\u0041":"\\/\\u00e9"}], "a":null },',
		String.raw`"Account":{"any key":{"home_account_id":"${id}","environment":"login.microsoftonline.com","realm":"${bob.utid}","local_account_id":"${bob.uid}","username":"${bob.username}","authority_type":"MSSTS","tenantProfiles":["{\"a\":1}"] , "number" : 1e2}},`,
		`  "RefreshToken" : { "theirs":{"secret":"FAKE-not-ours","home_account_id":"x.y","extra":[ ]},"r-1":{"home_account_id":"${id}", "environment":"login.microsoftonline.com","client_id":"04b07795-8ddb-461a-bbee-02f9e1bf7b46","family_id":"1","unknown_field": { "deep" : [true , false] },"secret":`,
		'} , "AccessToken":{"malformed": 7 ,"theirs" : {"secret":"FAKE","expires_on":"soon"}',
		String.raw`},"Last":"\ud83d\ude00"`,
	];
	const [head, account, refreshToken, middle, tail] = pieces as [string, string, string, string, string];
	home.writeSettled(`${head}${account}${refreshToken}"${refreshTokenOfBob}"}${middle}${tail} }\n`);
	const credential = home.credential({}, entra);
	const given = await writtenToken(credential, vault, cachePath);
	const after = readFileSync(cachePath, 'utf8');
	let position = 0;
	for (const piece of pieces) {
		const found = after.indexOf(piece, position);
		t.true(found !== -1, piece);
		position = found + piece.length;
	}

	t.true(after.startsWith(head));
	t.true(after.endsWith(' }\n'));
	const cache = read(cachePath);
	t.deepEqual(Object.keys(cache), ['Unknown', 'Account', 'RefreshToken', 'AccessToken', 'Last', 'IdToken', 'AppMetadata']);
	t.deepEqual(Object.keys(cache['RefreshToken']!), ['theirs', 'r-1'], 'under its own key');
	t.is(cache['RefreshToken']!['r-1']?.['secret'], entra.grants[0]!.refreshToken);
	t.true(Object.values(cache['AccessToken']!).some(record => record['secret'] === given));
	t.is(Object.keys(cache['AccessToken']!).length, 3);
});

test('a library without a lock overwrites our tokens repeatedly: they are restored in its pauses', async t => {
	const {entra, home, cachePath} = await setStage(t);
	home.writeSettled(JSON.stringify({
		Account: {
			a: {
				home_account_id: homeAccountId(bob), environment: 'login.microsoftonline.com', realm: bob.utid, local_account_id: bob.uid, username: bob.username, authority_type: 'MSSTS',
			},
		},
		RefreshToken: {
			r: {
				home_account_id: homeAccountId(bob), environment: 'login.microsoftonline.com', client_id: '04b07795-8ddb-461a-bbee-02f9e1bf7b46', family_id: '1', secret: refreshTokenOfBob,
			},
		},
	}));
	const before = readFileSync(cachePath, 'utf8');
	const credential = home.credential({}, entra);
	const given = await writtenToken(credential, vault, cachePath);
	home.write(before);
	// Other grants arrive all the time, which must not delay the check of the first one.
	let count = 0;
	await until(async () => {
		await token(credential, scopeOf(`more-${count++}`));
		await sleep(200);
		return readFileSync(cachePath, 'utf8').includes(given);
	});
	home.write(before);
	await until(() => readFileSync(cachePath, 'utf8').includes(given));
	t.true(readFileSync(cachePath, 'utf8').includes(given));
});
